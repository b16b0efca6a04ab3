"""Volumes that were measured with the voxels they have, and copies of them that were interpolated."""

from __future__ import annotations

import math
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from recon_monai.physics import kspace_support, truncate_spectrum

needs_real_data = pytest.mark.skipif("RECON_MONAI_REAL_DATA" not in os.environ, reason="needs real data")


@pytest.fixture(scope="module")
def brain() -> torch.Tensor:
    """A measured volume that comes with nibabel: ``(128, 96, 24)`` int16 of 2 x 2 x 2.2 mm."""
    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    return torch.from_numpy(np.asarray(nibabel.load(path).dataobj)[..., 0].astype(np.float32))


@pytest.fixture(scope="module")
def phantom() -> torch.Tensor:
    """Boxes and noise, a genuine image with a noise floor."""
    rng = np.random.default_rng(3)
    volume = np.zeros((64, 48, 40))
    for _ in range(40):
        corner, size = rng.integers(4, 28, 3), rng.integers(2, 14, 3)
        volume[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))] += rng.uniform(0.1, 1)
    return torch.from_numpy(np.hypot(volume + rng.normal(0, 0.02, volume.shape), rng.normal(0, 0.02, volume.shape)))


def test_measured_volumes_fill_their_kspace(brain: torch.Tensor, phantom: torch.Tensor) -> None:
    assert kspace_support(brain) == (1, 1, 1)
    assert kspace_support(phantom) == (1, 1, 1)
    assert kspace_support(torch.from_numpy(np.random.default_rng(0).normal(size=(40, 33, 20)))) == (1, 1, 1)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8, 0.9])
@pytest.mark.parametrize("axis", [0, 1])
def test_zero_filled_axes_are_found(brain: torch.Tensor, phantom: torch.Tensor, axis: int, keep: float) -> None:
    for volume in (brain, phantom):
        size = volume.shape[axis]
        inside = (torch.fft.fftfreq(size).abs() < keep / 2).reshape([-1 if a == axis else 1 for a in range(3)])
        filled = torch.fft.ifft(torch.fft.fft(volume, dim=axis) * inside, dim=axis)
        for image in (filled.real, filled.abs(), filled.abs().round() if volume is brain else filled.abs()):
            found = kspace_support(image)
            assert found[axis] == pytest.approx(keep, abs=4 / size)
            assert all(found[other] == 1 for other in range(3) if other != axis)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("factor", [4 / 3, 2, 3])
def test_linear_and_cubic_interpolation_are_found(brain: torch.Tensor, factor: float, order: int) -> None:
    """SciPy's interpolation of a coarse volume whose voxels have the same outer edges."""
    coarse = signal.decimate(brain.numpy(), 3, axis=0, ftype="fir")[:40] if factor == 3 else brain.numpy()[32:96]
    size = round(len(coarse) * factor)
    rows = (np.arange(size) + 0.5) * len(coarse) / size - 0.5
    places = np.meshgrid(rows, np.arange(96), np.arange(24), indexing="ij")
    fine = ndimage.map_coordinates(coarse, places, order=order, mode="reflect")
    for image in (fine, fine.round()):  # as floats and as integers
        found = kspace_support(torch.from_numpy(np.ascontiguousarray(image)))
        assert found == (pytest.approx(len(coarse) / size, abs=2 / size), 1, 1)


def test_interpolation_onto_the_same_first_voxel_is_found(brain: torch.Tensor) -> None:
    """Samples kept and the middles between them: the alignment of ``scipy.ndimage.zoom``'s default."""
    rows = np.linspace(0, 95, 191)
    places = np.meshgrid(np.arange(128), rows, np.arange(24), indexing="ij")
    fine = ndimage.map_coordinates(brain.numpy(), places, order=1)
    assert kspace_support(torch.from_numpy(fine)) == (1, pytest.approx(0.5, abs=0.02), 1)


def test_later_noise_below_the_copies_does_not_hide_them(brain: torch.Tensor) -> None:
    fine = ndimage.zoom(brain.numpy(), (2, 1, 1), order=1, grid_mode=True, mode="reflect")
    noise = np.random.default_rng(1).normal(0, 2e-3 * fine.max(), fine.shape)
    assert kspace_support(torch.from_numpy(fine + noise)) == (pytest.approx(0.5, abs=0.02), 1, 1)


def test_scale_and_type_do_not_matter(brain: torch.Tensor) -> None:
    fine = torch.from_numpy(ndimage.zoom(brain.numpy(), (1, 2, 1), order=3, grid_mode=True, mode="reflect"))
    found = kspace_support(fine)
    assert kspace_support(fine * 1e-6) == found == kspace_support(fine.double() * 1e5)
    assert kspace_support(fine.to(torch.int16)) == found


def not_lower(volume: torch.Tensor) -> bool:
    """Full, or not to be judged where zeros are many."""
    return all(part == 1 or math.isnan(part) for part in kspace_support(volume))


@pytest.mark.parametrize("size", [16, 17, 24, 40])
@pytest.mark.parametrize("width", [0.1, 0.3, 0.6])
def test_a_smooth_object_was_not_interpolated(size: int, width: float) -> None:
    """Its spectrum falls steeply, but everywhere; as numbers and as integers."""
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij"))
    image = torch.from_numpy(1000 * np.exp(-(place**2).sum(0) / width))
    assert not_lower(image) and not_lower(image.round())
    ball = ndimage.gaussian_filter(900.0 * ((place**2).sum(0) < 0.8), 1.0)
    assert not_lower(torch.from_numpy(ball.round()))


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_zero_filling_along_two_axes_is_found_on_both(phantom: torch.Tensor, keep: float) -> None:
    """A magnitude stored as integers has power beyond the edge, more on the axis where the object has least."""
    spectrum = torch.fft.fftn(phantom)
    for axis in (0, 1):
        inside = torch.fft.fftfreq(phantom.shape[axis]).abs() < keep / 2
        spectrum = spectrum * inside.reshape([-1 if one == axis else 1 for one in range(3)])
    image = (300 * torch.fft.ifftn(spectrum).abs()).round()
    wanted = tuple(pytest.approx(keep, abs=4 / size) for size in phantom.shape[:2])
    assert kspace_support(image) == (*wanted, 1)


def test_what_tells_nothing_is_not_judged() -> None:
    for volume in (torch.zeros(20, 20, 20), torch.rand(1, 2, 15, generator=torch.Generator().manual_seed(0))):
        assert all(math.isnan(part) for part in kspace_support(volume))


def scan(keep: float = 1.0, partial: float = 1.0) -> torch.Tensor:
    """Magnitude of a small object in noise and much air: k-space cut along axis 0 on both sides, or on one."""
    rng, shape = np.random.default_rng(0), (96, 72, 64)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    detail = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
    body = np.where((place**2).sum(0) < 0.45**2, 100 + 8 * detail / detail.std(), 0)
    noise = rng.normal(0, 12, shape) + 1j * rng.normal(0, 12, shape)
    spectrum = np.fft.fftn(body * np.exp(1j * (0.8 * place[0] + place[1] ** 2)) + noise)
    frequency = 2 * np.fft.fftfreq(shape[0])
    inside = (abs(frequency) <= keep) & (frequency <= partial)
    return torch.from_numpy(np.abs(np.fft.ifftn(spectrum * inside[:, None, None])).round())


def test_zero_filling_is_found_where_noise_in_air_hides_it() -> None:
    """The magnitude of noise fills the band that zero-filling left empty; inside the object it stays empty."""
    first, *others = kspace_support(scan(keep=0.7))
    assert first == pytest.approx(0.7, abs=0.09) and others == [1, 1]


def test_partial_fourier_is_no_interpolation() -> None:
    assert kspace_support(scan()) == (1, 1, 1)
    for partial in (0.5, 0.75):
        assert kspace_support(scan(partial=partial)) == (1, 1, 1)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("factor", [1.25, 2])
def test_interpolation_is_found_under_a_mask(brain: torch.Tensor, factor: float, order: int) -> None:
    """The borders of a mask spread over all frequencies, and hide what is inside."""
    fine = ndimage.zoom(brain.numpy(), (factor, factor, 1), order=order, grid_mode=True, mode="reflect")
    kept = ndimage.binary_fill_holes(ndimage.gaussian_filter(fine, 2) > 300)
    found = kspace_support(torch.from_numpy(np.where(kept, fine, 0)))
    assert found[:2] == (pytest.approx(1 / factor, abs=0.05), pytest.approx(1 / factor, abs=0.05))


def test_a_mask_alone_is_no_interpolation_and_holes_are_not_judged(brain: torch.Tensor) -> None:
    kept = torch.from_numpy(ndimage.binary_fill_holes(ndimage.gaussian_filter(brain.numpy(), 2) > 300))
    assert not_lower(brain * kept)
    holes = brain * kept * (torch.rand(brain.shape, generator=torch.Generator().manual_seed(0)) < 0.7)
    assert all(math.isnan(part) for part in kspace_support(holes))


def test_wrong_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        kspace_support(torch.full((4, 4, 4), float("nan")))
    with pytest.raises(ValueError, match="real volume"):
        kspace_support(torch.zeros(1, 4, 4, 4))
    with pytest.raises(ValueError, match="real volume"):
        kspace_support(torch.zeros(4, 4, 4, dtype=torch.complex64))


def real_volumes(pattern: str) -> list[np.ndarray]:
    files = sorted(Path(os.environ["RECON_MONAI_REAL_DATA"]).glob(pattern))
    if not files:
        pytest.skip("no heads there")
    return [np.asarray(nibabel.load(file).dataobj, np.float32) for file in files[:2]]


@needs_real_data
def test_a_measured_head_that_is_zero_filled_is_found_on_both_axes() -> None:
    """Real heads have less noise beyond the edge of one axis than of the other."""
    (image,) = real_volumes("t1_t2_brains_niimath_cc0/T1.nii.gz")
    head = torch.from_numpy(np.ascontiguousarray(image[26:166, 47:187]))
    filled = truncate_spectrum(head, 0.8, (0, 1)).abs().round()
    assert kspace_support(filled)[:2] == (pytest.approx(0.8, abs=0.04), pytest.approx(0.8, abs=0.04))
    assert kspace_support(head) == (1, 1, 1)


@needs_real_data
def test_slices_that_a_scanner_interpolated_are_found() -> None:
    """To 1 mm in heads of 1.33 mm in plane: inside, the power falls a hundredfold at 0.75, to that of rounding."""
    for image in real_volumes("t1_t2_brains_ds000011/*_T1w.nii.gz"):
        assert kspace_support(torch.from_numpy(image)) == (pytest.approx(0.77, abs=0.04), 1, 1)
    for image in real_volumes("t1_brains_ds002748/*_T1w.nii.gz"):
        assert kspace_support(torch.from_numpy(image))[2] == pytest.approx(0.5, abs=0.03)


@needs_real_data
def test_an_interpolated_real_head_is_found_under_a_mask() -> None:
    (image,) = real_volumes("t1_t2_brains_niimath_cc0/T1.nii.gz")
    middle = image[40:152, 60:172, 40:152]
    fine = ndimage.zoom(middle, 1.25, order=3, grid_mode=True, mode="reflect")
    kept = ndimage.gaussian_filter(fine, 3) > 0.5 * np.percentile(fine, 90)
    assert kspace_support(torch.from_numpy(fine * kept)) == pytest.approx((0.8, 0.8, 0.8), abs=0.02)
