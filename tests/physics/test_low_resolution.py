"""Recipes: each against the steps it is made of, noise by its statistics, the five slides by what they say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    LOW_RESOLUTION_RECIPES,
    Grid,
    LowResolutionRecipe,
    gaussian_apodization,
    interpolate_axis,
    mixed_spectrum,
    resample_to_grid,
    simulate_low_resolution,
    thick_slices,
    truncate_spectrum,
)

SPACING = (0.8, 1.0, 0.8)


def smooth(*shape: int) -> torch.Tensor:
    """A positive volume with fine detail inside and air around."""
    index = torch.meshgrid(*(torch.linspace(-1, 1, size, dtype=torch.float64) for size in shape), indexing="ij")
    inside = torch.sigmoid(30 * (0.7 - sum(i**2 for i in index).sqrt()))
    return (inside * (1 + 0.3 * torch.cos(25 * index[0]) * torch.cos(21 * index[1]) * torch.cos(23 * index[2])))[None]


def simulate(name: str, volume: torch.Tensor, **options):
    return simulate_low_resolution(volume, LOW_RESOLUTION_RECIPES[name], spacing=SPACING, **options)


def test_in_plane_and_isotropic_recipes_truncate_k_space():
    x = smooth(20, 24, 22)
    expected = truncate_spectrum(x, 0.5, (1, 3), output="magnitude")
    torch.testing.assert_close(simulate("inplane2", x, slice_axis=1).volume, expected)
    assert simulate("inplane2", x, slice_axis=1).factor == (2, 1, 2)
    torch.testing.assert_close(simulate("isotropic2", x).volume, truncate_spectrum(x, 0.5, output="magnitude"))
    assert simulate("isotropic2", x).factor == (2, 2, 2)
    assert simulate("mild20", x).factor == pytest.approx((1 / 0.875, 1 / 0.875, 1))
    assert simulate("inplane5", x, slice_axis=0).factor == (1, 5, 5)
    torch.testing.assert_close(simulate("gaussian", x).volume, gaussian_apodization(x, 0.4, output="magnitude"))
    assert simulate("gaussian", x).factor == pytest.approx((1 / (0.4 * math.sqrt(2 * math.log(2))),) * 3)


@pytest.mark.parametrize("method", ["linear", "cubic", "fourier"])
def test_thick_slices_are_cut_and_interpolated(method):
    x = smooth(20, 24, 30)
    slices, positions = thick_slices(x, 3, 0.8, 4.0)
    torch.testing.assert_close(positions, torch.arange(6).double() * 5 + 2)
    expected = interpolate_axis(slices, 3, (torch.arange(30).double() - 2) / 5, method)
    found = simulate("thick4mm", x, interpolation=method)
    torch.testing.assert_close(found.volume, expected)
    assert found.factor == pytest.approx((1, 1, 5))
    assert simulate("thick6mm", x, slice_axis=1).factor == pytest.approx((1, 6, 1))


def test_losses_grow_with_thickness_and_none_is_free():
    x = smooth(20, 24, 40)
    losses = [(simulate(f"thick{mm}mm", x).volume - x).square().mean().item() for mm in range(2, 7)]
    assert 0 < losses[0] < losses[1] < losses[2] < losses[3] < losses[4]
    mild, half, fifth = ((simulate(name, x).volume - x).square().mean() for name in ("mild20", "inplane2", "inplane5"))
    assert 0 < mild < half < fifth


def test_truncated_volumes_may_be_interpolated_from_their_coarse_grid():
    """The Fourier series of the coarse samples is the zero-filled volume; other methods come close to it."""
    recipe = dataclasses.replace(
        LOW_RESOLUTION_RECIPES["isotropic2"], keep=1 / 3, interpolations=("fourier", "cubic", "linear")
    )
    x = smooth(21, 27, 33) + 1
    zero_filled = simulate_low_resolution(x, recipe, spacing=SPACING)
    torch.testing.assert_close(zero_filled.volume, truncate_spectrum(x, 1 / 3))
    coarse = truncate_spectrum(x, 1 / 3)[:, 1::3, 1::3, 1::3]
    found = simulate_low_resolution(x, recipe, spacing=SPACING, interpolation="cubic").volume
    torch.testing.assert_close(found[:, 1::3, 1::3, 1::3], coarse)
    errors = [
        (simulate_low_resolution(x, recipe, spacing=SPACING, interpolation=way).volume - zero_filled.volume).std()
        for way in ("cubic", "linear")
    ]
    assert errors[0] < 0.06 and errors[1] < 0.06


def test_a_volume_stored_at_its_resolution_is_interpolated_from_coarse_magnitudes():
    """What inference makes of a file with coarse voxels, not what a scanner makes of coarse k-space."""
    recipe = dataclasses.replace(LOW_RESOLUTION_RECIPES["isotropic2"], keep=1 / 3, magnitude="coarse")
    x = smooth(21, 27, 33)
    truncated = truncate_spectrum(x, 1 / 3)
    assert truncated.min() < -0.01
    stored = truncated[:, 1::3, 1::3, 1::3].abs()
    middles = np.diag([3.0, 3.0, 3.0, 1.0]) + np.pad([[1.0], [1.0], [1.0], [0.0]], ((0, 0), (3, 0)))
    grids = Grid((7, 9, 11), middles), Grid((21, 27, 33), np.eye(4))
    expected = resample_to_grid(stored, *grids, "fourier")
    found = simulate_low_resolution(x, recipe, spacing=SPACING).volume
    torch.testing.assert_close(found, expected)
    zero_filled = simulate_low_resolution(x, dataclasses.replace(recipe, magnitude="fine"), spacing=SPACING).volume
    assert zero_filled.min() >= 0 > found.min()
    assert (zero_filled - found).abs().max() > 0.01


@pytest.mark.parametrize(("name", "method"), [("isotropic2", "fourier"), ("thick4mm", "linear"), ("slide5", "fourier")])
def test_noise_is_rician_of_the_level_asked_for(name, method):
    x = torch.full((1, 24, 24, 40), 10.0)
    alpha = 0.0 if name == "slide5" else None
    generator = torch.Generator().manual_seed(0)
    found = simulate(name, x, interpolation=method, noise=0.3, generator=generator, alpha=alpha).volume
    if name == "thick4mm":
        found = found[..., 2::5]  # at the centers of slices, where nothing is interpolated
    assert found.std().item() == pytest.approx(0.3, rel=0.05)
    air = simulate(name, x * 0, interpolation=method, noise=0.3, generator=generator, alpha=alpha).volume
    air = air[..., 2::5] if name == "thick4mm" else air
    assert air.mean().item() == pytest.approx(0.3 * math.sqrt(math.pi / 2), rel=0.05), "Rayleigh"
    again = simulate(name, x, interpolation=method, noise=0.3, generator=torch.Generator().manual_seed(0), alpha=alpha)
    if name != "thick4mm":
        assert torch.equal(again.volume, found)


def test_the_five_slides():
    x = smooth(12, 32, 32)
    for name, keep in (("slide1", 0.875), ("slide5", 0.5)):
        expected = mixed_spectrum(x, 0.4, (2, 3), keep=keep)
        torch.testing.assert_close(simulate(name, x, slice_axis=0, alpha=0.4).volume, expected)
        with pytest.raises(ValueError, match="leaves alpha open"):
            simulate(name, x, slice_axis=0)
    expected = truncate_spectrum(gaussian_apodization(x, 0.4, (2, 3)), 0.875, (2, 3), output="magnitude")
    torch.testing.assert_close(simulate("slide2", x, slice_axis=0).volume, expected)
    assert torch.equal(simulate("slide3", x, slice_axis=0).volume, simulate("slide4", x, slice_axis=0).volume)
    # without the first shift the spectrum has another phase and the image the same magnitude
    spectrum = np.fft.fftshift(np.fft.fftn(x.numpy(), axes=(2, 3)), (2, 3))
    mask = np.zeros((32, 32))
    mask[9:24, 9:24] = 1
    three = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum * mask, (2, 3)), axes=(2, 3)))
    np.testing.assert_allclose(three, truncate_spectrum(x, 15, (2, 3), output="magnitude"), atol=1e-12)


def test_recipes_from_settings():
    recipe = LowResolutionRecipe.from_settings({"mode": "truncate", "keep": 0.4, "interpolations": ["linear"]})
    assert recipe == LowResolutionRecipe("truncate", keep=0.4, interpolations=("linear",))
    changed = LowResolutionRecipe.from_settings({"gap": 1.0}, LOW_RESOLUTION_RECIPES["thick4mm"])
    assert (changed.thickness, changed.gap) == (4.0, 1.0)
    for settings in ({"keep": 0.5}, {"mode": "blur"}, {"mode": "truncate", "kep": 1},
                     {"mode": "truncate", "magnitude": "none"},
                     {"mode": "gaussian", "sigma": 0.4, "magnitude": "coarse"}, {"mode": "truncate", "keep": 2.0},
                     {"mode": "thick_slices"}, {"mode": "gaussian"}, {"mode": "truncate", "interpolations": ["sinc"]},
                     {"mode": "mixed", "interpolations": ["linear"]}):  # fmt: skip
        with pytest.raises(ValueError, match=r"expected|is set by"):
            LowResolutionRecipe.from_settings(settings)


def test_what_does_not_fit_is_said():
    x = smooth(8, 8, 8)
    with pytest.raises(ValueError, match=r"slices of 2\.0 mm cannot be made of voxels 2\.5 mm apart"):
        simulate_low_resolution(x, LOW_RESOLUTION_RECIPES["thick2mm"], spacing=(1, 1, 2.5))
    with pytest.raises(ValueError, match="the recipe allows"):
        simulate("mild20", x, interpolation="linear")
    with pytest.raises(ValueError, match="a generator if above"):
        simulate("inplane2", x, noise=0.1)
    with pytest.raises(ValueError, match="slice axis from 0 to 2"):
        simulate("inplane2", x, slice_axis=3)


@pytest.mark.parametrize("name", ["inplane2", "isotropic2"])
@pytest.mark.parametrize("shape", [(32, 28, 24), (31, 27, 25)])
def test_noise_of_a_scan_is_the_same_for_each_interpolation(name: str, shape: tuple[int, int, int]) -> None:
    """It is that of the coarse samples; far above zero, where magnitudes change nothing."""
    flat = torch.full(shape, 10.0)
    found = {
        way: simulate(name, flat, interpolation=way, noise=0.1, generator=torch.Generator().manual_seed(3)).volume
        for way in ("fourier", "cubic")
    }
    parts = torch.stack([(volume - 10).flatten() for volume in found.values()])
    assert float(torch.corrcoef(parts)[0, 1]) > 0.9
    assert float(parts[0].std()) == pytest.approx(0.1, rel=0.1)
