"""Subsets of lines, and the spread of zero-filling under them against that of sampling without replacement."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recon_monai.evaluation.uncertainty import mask_bootstrap
from recon_monai.evaluation.uncertainty.mask import line_draws, subsample_mask
from recon_monai.physics import (
    CalibrationError,
    EquispacedMask,
    PoissonMask,
    calibration_mask,
    ifft2c,
    keyed_generator,
)

WIDTH, HEIGHT, COILS = 40, 6, 2


def columns(seed: int = 0) -> torch.Tensor:
    return EquispacedMask([0.15], [3])(WIDTH, seed=seed).mask


@pytest.mark.parametrize("kind", ["columns", "columns of some rows", "samples"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8])
def test_subsets_keep_the_calibration_region_and_a_share_of_the_rest(kind: str, keep: float) -> None:
    mask = columns()
    if kind == "columns of some rows":
        mask = (mask & (torch.arange(HEIGHT) > 1)[:, None]).clone()
    if kind == "samples":
        mask = PoissonMask([0.2], [3])((32, WIDTH), seed=1).mask
    draws = line_draws(mask, keep)
    assert draws.by_column == (kind != "samples")
    assert draws.kept == max(1, round(keep * draws.lines))
    drawn = torch.stack([subsample_mask(draws, keyed_generator("subset", n)) for n in range(40)])
    assert drawn.shape[1:] == mask.shape and not bool((drawn & ~mask).any())
    assert bool(drawn[:, draws.fixed].all()) and torch.equal(draws.fixed | draws.free, mask)
    calibration = calibration_mask(columns() if draws.by_column else mask)
    assert torch.equal(draws.fixed, mask & calibration)
    rest = drawn & draws.free
    counts = (rest.any(dim=-2) if draws.by_column else rest).flatten(1).sum(dim=1)
    assert bool((counts == draws.kept).all())
    if draws.by_column:  # a line is there with all of its rows, or not at all
        assert torch.equal(rest, rest.any(dim=-2, keepdim=True) & mask)
    subsets = math.comb(draws.lines, draws.kept)
    different = len(torch.unique(rest.flatten(1), dim=0))
    assert different > 0.8 * subsets * (1 - (1 - 1 / subsets) ** 40), "as many as 40 draws give"
    often = rest.float().mean(dim=0)[draws.free]
    share = draws.kept / draws.lines
    assert float((often - share).abs().max()) < 5 * math.sqrt(share * (1 - share) / 40)


def lines_of(kspace: torch.Tensor, free: torch.Tensor) -> np.ndarray:
    """What each free line adds to the image of the first coil, real part, ``(lines, H, W)``."""
    parts = []
    for column in torch.nonzero(free.flatten())[:, 0]:
        alone = torch.zeros_like(kspace)
        alone[..., column] = kspace[..., column]
        parts.append(ifft2c(alone)[0].real.numpy())
    return np.stack(parts)


@pytest.mark.parametrize("keep", [0.4, 0.75])
def test_zero_filling_has_the_spread_of_sampling_without_replacement(keep: float) -> None:
    """Cochran 1977, theorem 2.2: of a total over m of n lines, ``m (1 - m / n) S^2``."""
    mask = columns()
    kspace = torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=keyed_generator("lines")) * mask
    draws = line_draws(mask, keep)
    parts = lines_of(kspace, draws.free)
    total, kept, replicas = draws.lines, draws.kept, 2000

    def image(sampled: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        assert masks.dtype == mask.dtype and masks.shape == (len(sampled), 1, 1, WIDTH)
        assert bool((sampled * ~masks == 0).all())
        return ifft2c(sampled)[:, :1].real

    options = {"keep": keep, "replicas": replicas, "batch_size": 500}
    found = mask_bootstrap(image, kspace, mask, **options)
    expected = np.sqrt(kept * (1 - kept / total) * parts.var(axis=0, ddof=1))
    ratio = found.std[0].numpy() / expected
    assert np.abs(ratio - 1).max() < 5 / math.sqrt(2 * replicas)
    # fewer samples: the mean is not the image of all lines, but that with the others at their share
    rest = ifft2c(kspace * draws.fixed)[0].real.numpy() + parts.sum(axis=0) * kept / total
    assert (np.abs(found.mean[0].numpy() - rest) < 5 * expected / math.sqrt(replicas)).all()
    corrected = mask_bootstrap(image, kspace, mask, correction="jackknife", **options)
    torch.testing.assert_close(corrected.std, found.std * math.sqrt(kept / (total - kept)))


@pytest.mark.parametrize("keep", [0.4, 0.75])
def test_the_jackknife_gives_the_standard_error_of_a_mean_over_lines(keep: float) -> None:
    """For which it is exact, whatever is kept: ``S / sqrt(n)``."""
    mask = columns()
    kspace = torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=keyed_generator("mean")) * mask
    draws = line_draws(mask, keep)
    parts = lines_of(kspace, draws.free)

    def mean_of_lines(sampled: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        free = masks & draws.free
        return ifft2c(sampled * free)[:, :1].real / free.sum(dim=-1, keepdim=True)

    found = mask_bootstrap(
        mean_of_lines, kspace, mask, keep=keep, correction="jackknife", replicas=2000, batch_size=500
    )
    expected = parts.std(axis=0, ddof=1) / math.sqrt(draws.lines)
    assert np.abs(found.std[0].numpy() / expected - 1).max() < 5 / math.sqrt(4000)


def test_draws_are_of_the_key_and_the_number_alone() -> None:
    mask = columns()
    kspace = torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex64, generator=keyed_generator("lines")) * mask

    def spread(key: int, batch_size: int) -> torch.Tensor:
        options = {"replicas": 6, "key": ("f", key), "batch_size": batch_size}
        return mask_bootstrap(lambda sampled, _: ifft2c(sampled)[:, :1].abs(), kspace, mask, **options).std

    torch.testing.assert_close(spread(1, 1), spread(1, 4))
    assert not torch.allclose(spread(1, 1), spread(2, 1))


def test_what_cannot_be_drawn_is_refused() -> None:
    mask = columns()
    for keep in (0, 1, -0.5):
        with pytest.raises(ValueError, match=f"keep is {keep}, expected a share"):
            line_draws(mask, keep)
    with pytest.raises(ValueError, match="the mask has 0 lines outside its calibration region"):
        line_draws(torch.ones(1, 1, 8), 0.5)
    with pytest.raises(CalibrationError):
        line_draws(torch.arange(8).reshape(1, 1, 8) % 4 == 1, 0.5)
    kspace = torch.ones(COILS, HEIGHT, WIDTH, dtype=torch.complex64) * mask
    with pytest.raises(ValueError, match="correction is 'some', expected one of"):
        mask_bootstrap(lambda sampled, _: sampled.abs(), kspace, mask, correction="some")
    with pytest.raises(ValueError, match="the mask has shape"):
        mask_bootstrap(lambda sampled, _: sampled.abs(), kspace, mask[..., 1:])
