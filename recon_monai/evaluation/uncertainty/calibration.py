"""How well a predicted spread says how large the true error is, over the pixels of a foreground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from recon_monai.metrics import foreground_mask, foreground_threshold

__all__ = [
    "CALIBRATION_CONVENTION",
    "Calibration",
    "CalibrationCurve",
    "calibration",
    "calibration_curve",
    "coverage",
    "rank_correlation",
]

Array = np.ndarray | Tensor

CALIBRATION_CONVENTION = (
    "pixels of the foreground of the target, in bins of equal counts by predicted spread; spread and error of a bin "
    "are root mean squares; slope = least squares of error on spread through 0, each bin alike; calibration error = "
    "mean over bins, weighted by their pixels, of |spread - error|, relative to the same mean of the error; Spearman "
    "rank correlation of spread and |error| of single pixels; coverage = share of pixels with |error| within 1 and 2 "
    "spreads (Gaussian: 0.683 and 0.954)"
)


class CalibrationCurve(NamedTuple):
    """Predicted spread against true error.

    Attributes:
        spread: root mean square of the predicted spread in each bin, rising.
        error: root mean square of the error in each bin.
        counts: pixels in each bin, which differ by 1 at most.
    """

    spread: np.ndarray
    error: np.ndarray
    counts: np.ndarray

    @property
    def slope(self) -> float:
        """Error per spread: above 1 where the spread is too small; NaN if all of it is 0."""
        squares = float(np.square(self.spread).sum())
        return float((self.spread * self.error).sum()) / squares if squares else float("nan")

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of the curve from the diagonal, in units of the image."""
        return float(np.average(np.abs(self.spread - self.error), weights=self.counts))

    @property
    def relative_calibration_error(self) -> float:
        """The same over the mean error of the bins; NaN if there is no error."""
        mean = float(np.average(self.error, weights=self.counts))
        return self.expected_calibration_error / mean if mean else float("nan")


class Calibration(NamedTuple):
    """How well a spread predicts an error, by `CALIBRATION_CONVENTION`.

    Attributes:
        curve: binned spread and error.
        rank_correlation: of the spread and the size of the error, pixel by pixel; NaN if either is constant.
        coverage_1: share of errors within the spread.
        coverage_2: within twice the spread.
    """

    curve: CalibrationCurve
    rank_correlation: float
    coverage_1: float
    coverage_2: float

    def numbers(self) -> dict[str, float]:
        """All single numbers by name, for tables."""
        return {
            "slope": self.curve.slope,
            "expected_calibration_error": self.curve.expected_calibration_error,
            "relative_calibration_error": self.curve.relative_calibration_error,
            "rank_correlation": self.rank_correlation,
            "coverage_1": self.coverage_1,
            "coverage_2": self.coverage_2,
            "pixels": float(self.curve.counts.sum()),
        }


def calibration(
    *, spread: Array, prediction: Array, target: Array, foreground: Array | None = None, bins: int = 10
) -> Calibration:
    """Compare the predicted spread of a reconstruction with its true error.

    The error is what the target says it is. A target that was reconstructed from the same scan, fully sampled, shares
    the noise of the measured samples, which then is in the spread and not in the error.

    Args:
        spread: predicted standard deviation, ``(slices, H, W)``.
        prediction: the image whose error it predicts, same shape.
        target: real, same shape and scale.
        foreground: bool, same shape: pixels to use; None for `foreground_mask` of the target at 5% of its maximum.
        bins: how many, at least 1.

    Returns:
        The curve and its numbers.

    Raises:
        ValueError: if shapes differ, values are not finite, the spread is negative, or the foreground has fewer pixels
            than there are bins.
    """
    parts = {"spread": _array(spread), "prediction": _array(prediction), "target": _array(target)}
    shapes = {name: part.shape for name, part in parts.items()}
    if len(set(shapes.values())) != 1 or parts["target"].ndim != 3:
        raise ValueError(f"expected three arrays (slices, H, W) of one shape, got {shapes}")
    if foreground is None:
        level = foreground_threshold(target=parts["target"])
        inside = foreground_mask(parts["target"], level).numpy()
    else:
        inside = _array(foreground) != 0
        if inside.shape != parts["target"].shape:
            raise ValueError(f"the foreground has shape {inside.shape}, expected {parts['target'].shape}")
    sigma = parts["spread"][inside]
    error = (parts["prediction"] - parts["target"])[inside]
    return Calibration(
        calibration_curve(sigma, error, bins),
        rank_correlation(sigma, np.abs(error)),
        coverage(sigma, error, 1),
        coverage(sigma, error, 2),
    )


def calibration_curve(spread: np.ndarray, error: np.ndarray, bins: int = 10) -> CalibrationCurve:
    """Bins of equal counts by predicted spread, and the root mean squares of spread and error in each.

    As of Levi et al. 2022 ("Evaluating and calibrating uncertainty prediction in regression tasks", Sensors 22(15),
    5540). Root mean squares, because of errors drawn with the predicted spreads both are the same, which plain means
    are not.

    Args:
        spread: predicted standard deviations, ``(n,)``.
        error: signed or not, ``(n,)``.
        bins: how many, at least 1 and at most ``n``. Equal spreads are split among bins in their order.

    Returns:
        The curve.

    Raises:
        ValueError: if the arrays do not fit, hold negative spreads or values that are not finite, or are shorter than
            ``bins``.
    """
    _check(spread, error)
    if not 1 <= bins <= len(spread):
        raise ValueError(f"bins is {bins}, expected 1 to the number of pixels, {len(spread)}")
    parts = np.array_split(np.argsort(spread, kind="stable"), bins)
    roots = [[float(np.sqrt(np.mean(np.square(values[part])))) for part in parts] for values in (spread, error)]
    return CalibrationCurve(np.array(roots[0]), np.array(roots[1]), np.array([len(part) for part in parts]))


def coverage(spread: np.ndarray, error: np.ndarray, sigmas: float) -> float:
    """Share of errors within some predicted standard deviations.

    Args:
        spread: predicted standard deviations, ``(n,)``.
        error: ``(n,)``.
        sigmas: how many.

    Returns:
        The share, 0 to 1.

    Raises:
        ValueError: if the arrays do not fit, are empty, or hold negative spreads or values that are not finite.
    """
    _check(spread, error)
    return float(np.mean(np.abs(error) <= sigmas * spread))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank.

    Args:
        one: ``(n,)``.
        other: ``(n,)``.

    Returns:
        -1 to 1; NaN if either is constant.

    Raises:
        ValueError: if the lengths differ.
    """
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"expected two arrays (n,) of one length, got {one.shape} and {other.shape}")
    first, second = (ranks - ranks.mean() for ranks in (_ranks(one), _ranks(other)))
    norm = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return float((first * second).sum()) / norm if norm else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def _array(values: Array) -> np.ndarray:
    plain = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if np.iscomplexobj(plain):
        raise ValueError(f"expected real numbers, got {plain.dtype}; pass magnitudes")
    return plain.astype(np.float64)


def _check(spread: np.ndarray, error: np.ndarray) -> None:
    if spread.ndim != 1 or spread.shape != error.shape or not len(spread):
        raise ValueError(
            f"expected spreads and errors (n,) of one length of at least 1, got {spread.shape} and {error.shape}; is "
            "the foreground empty?"
        )
    if not (np.isfinite(spread).all() and np.isfinite(error).all()) or spread.min() < 0:
        raise ValueError("spreads or errors are not finite, or a spread is negative; check the images first")
