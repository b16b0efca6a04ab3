"""How much of its k-space a volume fills: volumes that were interpolated before have less detail than voxels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["kspace_support"]

_FEWEST = 16  # samples along an axis; fewer tell nothing
_MOST_LINES = 4096
_LOWEST = 1 / 12  # of Nyquist; below, the spectrum of any object falls as steeply as that of a filled one
_EDGE = 0.5  # decades of power, in lines with air, whose rectified noise fills what zero-filling left empty
_DEEP = 0.9  # decades inside an object; k-space that was acquired by half (partial Fourier) falls by 0.3 to 0.6
_ABRUPT = 1.4  # times the fall before the edge: 1.5 and more in zero-filled heads, 1.3 in others that fall so much
_STEEP = 1.2  # decades; where the spectrum falls like that, it is that of a smooth object and shows no edge
_NEAR = 0.85
_UNRELATED = 0.3  # inside the object, of the other pairs: 0.1 in heads, interpolated or not, more in smooth phantoms
_FINE, _WIDE = 24, 10  # parts of the spectrum that its level is averaged over, on whole lines and inside the object
_FILTERED = 0.85  # of Nyquist; scanners' filters fall steeply above
_INSIDE = 0.3  # of the bright voxels; far from noise, a magnitude is as good as linear and adds no frequencies
_SHORTEST = 24  # samples of a run inside the object
_FEWEST_RUNS = 32
_MASKED = 1 / 3  # of all voxels exactly 0
_COHERENT = 0.6  # measured heads have less than 0.2, interpolated ones more than 0.75


class _Spectra(NamedTuple):
    """Of lines along an axis, windowed.

    Attributes:
        values: shape ``(lines, frequencies)``.
        size: samples of the axis.
        spread: bins over which the window spreads a peak to either side, beyond those of a window over all samples.
    """

    values: Tensor
    size: int
    spread: int


def kspace_support(volume: Tensor) -> tuple[float, float, float]:
    """Fraction of each axis's Nyquist range that holds signal of its own, at most.

    Below 1 where a volume was brought to smaller voxels than it was measured with. Two traces are looked for in the
    spectra of the lines along an axis, and the lower fraction counts:

    * an edge, beyond which there is clearly less power than before it: zero-filled k-space, as scanners make it, or
      interpolation by Fourier series;
    * copies: linear, cubic and similar interpolation of ``m`` samples leaves attenuated images of the spectrum, in
      which frequency ``m - f`` is proportional to the conjugate of frequency ``f`` in every line (interpolated signals
      are cyclostationary: Mahdian and Saic, "Blind authentication using periodic properties of interpolation", IEEE
      Trans. Information Forensics and Security 3(3), 2008). The coherence of such pairs over the lines is near 1;
      in images that were not interpolated it is near 0.

    Both are looked for twice: on whole lines, and on the parts of lines inside the object, away from air and masks. The
    magnitude of noise in air, and the borders of a mask, spread over all frequencies and fill what zero-filling left
    empty; inside, the magnitude is nearly linear. There an edge has to be deeper than that of k-space of which one side
    was not acquired (partial Fourier), which is no interpolation.

    Noise does not hide either, as it was cut or interpolated with the image; noise that was added later does once
    it is as strong as the copies, and so does coarse rounding. A smooth apodization is not an edge, nor is a smooth
    object, whose spectrum falls everywhere, nor what falls close to Nyquist (from 0.85 on) inside the object. The
    place of an edge is known to about 0.05 (filters round it), and of a volume that was interpolated twice the
    lower fraction counts. Short stretches inside a small object smear an edge upwards, by up to 0.1. Half the
    lines, those with the most signal, are used, with a Hann window against the steps at their ends.

    Args:
        volume: real, shape ``(D, H, W)``; magnitudes or not.

    Returns:
        Three numbers above 0 and at most 1; NaN for an axis that cannot be judged: with fewer than 16 samples, or of a
        volume that is exactly 0 in more than a third of its voxels (masked) and has too few unbroken stretches of
        signal.

    Raises:
        ValueError: if that is no real volume, or it holds NaN or infinity.
    """
    if volume.ndim != 3 or volume.is_complex() or volume.numel() == 0:
        raise ValueError(f"expected a real volume (D, H, W), got {volume.dtype} of shape {tuple(volume.shape)}")
    if not bool(torch.isfinite(volume).all()):
        raise ValueError("the volume holds NaN or infinity, of which no spectrum can be made; replace them first")
    masked = float((volume == 0).to(torch.float32).mean()) > _MASKED
    first, second, third = (_axis_support(volume.detach(), axis, masked) for axis in range(3))
    return first, second, third


def _axis_support(volume: Tensor, axis: int, masked: bool) -> float:
    size = volume.shape[axis]
    lines = _strongest(volume.movedim(axis, -1).reshape(-1, size))
    if size < _FEWEST or not len(lines):
        return math.nan
    window = torch.hann_window(size, periodic=True, dtype=torch.float64, device=lines.device)
    whole = _Spectra(torch.fft.rfft(lines * window, dim=1), size, 0)
    found = _lower(_edge(whole, _EDGE, _FINE), _copies(whole))
    inside = _spectra_inside(lines)
    if inside is not None:
        return min(found, _lower(_edge(inside, _DEEP, _WIDE, _FILTERED), _copies(inside)))
    return math.nan if masked and found == 1 else found


def _lower(edge: float, copies: float) -> float:
    # a cubic interpolation's own low-pass may fall like an edge just before the copies, which say the place exactly
    return copies if copies < 1 and _NEAR * copies < edge else edge


def _strongest(lines: Tensor) -> Tensor:
    """Half of the lines that are not empty, evenly thinned; float64."""
    energy = torch.linalg.vector_norm(lines.to(torch.float32), dim=1)
    order = energy.argsort(descending=True, stable=True)[: (int((energy > 0).sum()) + 1) // 2]
    step = -(-len(order) // _MOST_LINES) or 1
    return lines[order[::step]].to(torch.float64)


def _spectra_inside(lines: Tensor) -> _Spectra | None:
    """Of the longest stretch of each line inside the object; None if there are too few."""
    size = lines.shape[1]
    bright = torch.quantile(lines[lines != 0].abs()[:: -(-lines.numel() // 1_000_000)], 0.98)
    length, start = _longest_runs(lines.abs() > _INSIDE * bright)
    kept = length >= _SHORTEST
    if int(kept.sum()) < _FEWEST_RUNS:
        return None
    lines, length, start = lines[kept], length[kept, None], start[kept, None]
    # each at its place in the line: shifted ones would have pairs of frequencies of all phases
    place = torch.arange(size, device=lines.device) - start
    window = (math.pi * (place + 0.5) / length).sin().square() * ((place >= 0) & (place < length))
    mean = (window * lines).sum(dim=1, keepdim=True) / window.sum(dim=1, keepdim=True)
    energy = torch.linalg.vector_norm(window, dim=1, keepdim=True)
    spread = math.ceil(2 * size / float(length.to(torch.float64).mean())) - 2
    return _Spectra(torch.fft.rfft(window * (lines - mean) / energy, dim=1), size, max(0, spread))


def _longest_runs(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Length and start of the longest run of True in each line."""
    place = torch.arange(inside.shape[1], device=inside.device).expand_as(inside)
    before = torch.where(inside, -1, place).cummax(dim=1).values
    length, end = (place - before).max(dim=1)
    return length, end - length + 1


def _edge(spectra: _Spectra, least: float, parts: int, highest: float = 1.0) -> float:
    """Where the power falls by more than nature's spectra do, as fraction of Nyquist; 1 if nowhere."""
    power = spectra.values.abs().square().mean(dim=0)
    bins = torch.arange(len(power), dtype=power.dtype, device=power.device)
    # images of objects fall with the square of the frequency, which is not to be taken for an edge
    level = (power * bins.clamp(min=1).square() + 1e-14 * power.max()).log10()
    width = max(2, len(level) // parts)
    # what the window spreads of a smooth object falls as an edge
    spread = 2 * (spectra.spread + 2) + width if spectra.spread else 0
    first = max(width + 1, round(_LOWEST * spectra.size / 2), spread)
    if first >= len(level) - width:
        return 1.0
    means = level.unfold(0, width, 1).mean(dim=1)  # of `width` bins from each bin on
    places = torch.arange(width, len(level) - width, device=level.device)
    fall = means[places - width] - means[places + 1]
    before = fall[(torch.arange(len(fall), device=fall.device) - width).clamp(min=0)].clamp(min=0)
    # the steepest fall is the edge, or there is none
    possible = (places >= first) & (places <= highest * spectra.size / 2)
    edge = int(torch.where(possible, fall, -torch.inf).argmax())
    found = possible[edge] & (fall[edge] > least) & (fall[edge] > _ABRUPT * before[edge]) & (before[edge] < _STEEP)
    return float(places[edge]) / (spectra.size / 2) if bool(found) else 1.0


def _copies(spectra: _Spectra) -> float:
    """The smallest number of samples whose interpolation explains the spectrum, as a fraction; 1 if there is none."""
    values, size, spread = spectra
    norm = torch.linalg.vector_norm(values, dim=0)
    product = torch.outer(norm, norm) + (1e-6 * norm.max()) ** 2  # what rounding left is coherent with nothing
    coherence = (values.mT @ values).abs() / product
    last = values.shape[1] - 1
    found = [0.0] * (size + 1)
    for samples in range(max(6, round(_LOWEST * size)), size - 2):
        # a frequency is coherent with itself and, the object being bounded, with its neighbors
        high = list(range(samples // 2 + 3 + spread, min(samples - 1 - spread, last) + 1))
        if len(high) >= 3:
            found[samples] = float(coherence[high, [samples - one for one in high]].mean())
    computed = sorted(value for value in found if value > 0)
    if not computed or computed[len(computed) // 2] > (_UNRELATED if spread else _COHERENT):
        return 1.0  # every frequency is coherent with every other: lines of one shape, as a smooth phantom has them
    for samples in range(1, size):
        # the window spreads each peak over its neighbors, more to the higher ones
        near = found[max(0, samples - 1 - spread) : samples + 2 + spread]
        if found[samples] > _COHERENT and found[samples] >= (0.85 if spread == 0 else 1) * max(near):
            return samples / size
    return 1.0
