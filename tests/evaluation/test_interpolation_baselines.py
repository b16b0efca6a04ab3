"""Trilinear, cubic and sinc, against SciPy and the Fourier transform itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage, signal

from recon_monai.evaluation import BASELINES, InterpolationBaselinesd, interpolate, interpolation_baselines
from recon_monai.physics import Grid
from recon_monai.transforms.low_resolution import SimulateLowResolutiond


def band_limited(shape: tuple[int, int, int], factor: tuple[float, float, float], seed: int = 0) -> torch.Tensor:
    """A real volume without frequencies at or above those of the coarse grid."""
    volume = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spectrum = torch.fft.fftn(volume)
    for axis, (size, one) in enumerate(zip(shape, factor, strict=True)):
        inside = torch.fft.fftfreq(size, dtype=torch.float64).abs() < 0.5 / one - 1e-9
        spectrum = spectrum * inside.reshape([-1 if a == axis else 1 for a in range(3)])
    return torch.fft.ifftn(spectrum).real


def test_methods_are_scipys() -> None:
    coarse = torch.rand(6, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grid = Grid((6, 7, 5), torch.diag(torch.tensor([2.0, 1.0, 3.0, 1.0])))
    fine = grid.refined(factor=(2, 1, 3))
    found = {method: interpolate(coarse, grid, fine, method).numpy() for method in BASELINES}
    for order, method in ((1, "trilinear"), (3, "cubic")):
        wanted = ndimage.zoom(coarse.numpy(), (2, 1, 3), order=order, grid_mode=True, mode="reflect")
        np.testing.assert_allclose(found[method], wanted, rtol=0, atol=2e-6)  # that of its spline filter
    # scipy.signal.resample starts at the first sample; ours keeps the outer edges, half a coarse voxel earlier
    from_first = Grid((18, 7, 5), grid.affine @ torch.diag(torch.tensor([1 / 3, 1, 1, 1], dtype=torch.float64)))
    found_by_sinc = interpolate(coarse, grid, from_first, "sinc").numpy()
    np.testing.assert_allclose(found_by_sinc, signal.resample(coarse.numpy(), 18, axis=0), rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="expected one of trilinear, cubic, sinc"):
        interpolate(coarse, grid, fine, "lanczos")  # type: ignore[arg-type]


def test_truncated_kspace_comes_back_by_sinc() -> None:
    factor = (2.0, 1.0, 2.0)
    image = band_limited((16, 10, 20), factor)
    found = interpolation_baselines(image[None], factor)
    torch.testing.assert_close(found["sinc"][0], image, rtol=0, atol=1e-9)
    error = {method: float((volume[0] - image).norm() / image.norm()) for method, volume in found.items()}
    assert 0.01 < error["cubic"] < error["trilinear"]


def test_interpolated_slices_come_back_by_the_method_that_made_them() -> None:
    """An odd factor puts slices on voxels of the fine grid, so that their values are in the image."""
    slices = torch.rand(8, 9, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    grid = Grid((8, 9, 7), torch.eye(4))
    image = interpolate(slices, grid, grid.refined(factor=(3, 1, 1)), "trilinear")
    found = interpolation_baselines(image, (3, 1, 1))
    torch.testing.assert_close(found["trilinear"], image, rtol=0, atol=1e-9)
    assert not torch.allclose(found["cubic"], image, atol=1e-2)


def test_sizes_that_the_factor_does_not_divide() -> None:
    """Samples are a factor apart about the middle, so a ramp stays where it was away from the ends."""
    ramp = torch.linspace(0, 1, 31, dtype=torch.float64)[:, None, None].expand(31, 4, 5)
    smooth = torch.sin(np.pi * ramp)  # periodic enough for its Fourier series
    found = interpolation_baselines(smooth, (2.5, 1, 1), ["cubic"])["cubic"]
    torch.testing.assert_close(found[6:-6], smooth[6:-6], rtol=0, atol=2e-3)


SIMULATED = ["thick3mm", "thick4mm", "isotropic2", "inplane2"]


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("recipe", SIMULATED)
def test_simulated_scans_are_interpolated_from_their_coarse_samples(recipe: str, noise: float) -> None:
    """By the method that made the item's image the baseline is that image, to the last noise sample."""
    target = torch.rand(1, 18, 22, 21, generator=torch.Generator().manual_seed(0))
    item = {"file": "a", "target": target, "spacing": (0.8, 1.0, 1.1)}
    for epoch in range(6):  # draws every interpolation that the recipe knows
        simulate = SimulateLowResolutiond(recipes=[recipe], noise=noise)
        simulate.epoch = epoch
        drawn = simulate(item)
        made = InterpolationBaselinesd()(drawn)
        method = {"linear": "trilinear", "cubic": "cubic", "fourier": "sinc"}[drawn["interpolation"]]
        torch.testing.assert_close(made[method], drawn["image"], rtol=0, atol=1e-6)
        assert len({float(made[one].norm()) for one in BASELINES}) == 3


def test_recipes_on_the_fine_grid_and_measured_items() -> None:
    target = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    item = SimulateLowResolutiond(recipes=["gaussian"])({"file": "a", "target": target, "spacing": (1, 1, 1)})
    wanted = interpolation_baselines(item["image"], item["factor"].tolist())
    made = InterpolationBaselinesd()(item)
    assert all(torch.equal(made[method], wanted[method]) for method in BASELINES)
    measured = {"file": "b", "image": target, "target": target, "spacing": (1, 1, 1)}
    with pytest.raises(ValueError, match="b: no interpolation to compare with: factor is"):
        InterpolationBaselinesd()(SimulateLowResolutiond()(measured))


def test_transform_adds_images_and_names_what_is_missing() -> None:
    image = band_limited((8, 8, 6), (2, 2, 1)).float()[None]
    item = {"image": MetaTensor(image), "factor": torch.tensor([2.0, 2.0, 1.0]), "file": "a"}
    made = InterpolationBaselinesd()(item)
    expected = interpolation_baselines(image, (2, 2, 1))
    assert set(made) == {*item, *BASELINES}
    for method in BASELINES:
        assert torch.equal(made[method], expected[method])
        assert made[method].dtype == torch.float32
    with pytest.raises(KeyError, match="factor"):
        InterpolationBaselinesd()({"image": image})
    with pytest.raises(ValueError, match="lanczos"):
        InterpolationBaselinesd(methods=["lanczos"])  # type: ignore[list-item]
    for factor in ((2, 2), (0.5, 1, 1), (float("nan"), 1, 1)):
        with pytest.raises(ValueError, match="three numbers of at least 1"):
            interpolation_baselines(image, factor)


def test_no_methods_leave_items_as_they_are() -> None:
    """Also such as have nothing to interpolate."""
    item = {"file": "a.nii", "image": torch.zeros(1, 4, 4, 4), "factor": torch.full((3,), float("nan"))}
    assert InterpolationBaselinesd(methods=[])(item) == item
