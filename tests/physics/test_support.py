"""Volumes that were measured with the voxels they have, and copies of them that were interpolated."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from recon_monai.physics import kspace_support, truncate_spectrum


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


@pytest.mark.parametrize("size", [16, 17, 24, 40])
@pytest.mark.parametrize("width", [0.1, 0.3, 0.6])
def test_a_smooth_object_was_not_interpolated(size: int, width: float) -> None:
    """Its spectrum falls steeply, but everywhere; as numbers and as integers."""
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij"))
    image = torch.from_numpy(1000 * np.exp(-(place**2).sum(0) / width))
    assert kspace_support(image) == (1, 1, 1)
    assert kspace_support(image.round()) == (1, 1, 1)
    ball = ndimage.gaussian_filter(900.0 * ((place**2).sum(0) < 0.8), 1.0)
    assert kspace_support(torch.from_numpy(ball.round())) == (1, 1, 1)


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


def test_what_tells_nothing_is_full() -> None:
    assert kspace_support(torch.zeros(20, 20, 20)) == (1, 1, 1)
    assert kspace_support(torch.rand(1, 2, 15, generator=torch.Generator().manual_seed(0))) == (1, 1, 1)


def test_wrong_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        kspace_support(torch.full((4, 4, 4), float("nan")))
    with pytest.raises(ValueError, match="real volume"):
        kspace_support(torch.zeros(1, 4, 4, 4))
    with pytest.raises(ValueError, match="real volume"):
        kspace_support(torch.zeros(4, 4, 4, dtype=torch.complex64))


@pytest.mark.skipif("RECON_MONAI_REAL_DATA" not in os.environ, reason="needs real data")
def test_a_zero_filled_head_is_found_on_both_axes() -> None:
    """Real heads have less noise beyond the edge of one axis than of the other."""
    files = sorted(Path(os.environ["RECON_MONAI_REAL_DATA"]).glob("t1_brains*/*_T1w.nii.gz"))
    if not files:
        pytest.skip("no heads there")
    for file in files[:3]:
        image = np.asarray(nibabel.load(file).dataobj, np.float32)
        middle = tuple(slice(max(0, size // 2 - 70), size // 2 + 70) for size in image.shape)
        head = torch.from_numpy(np.ascontiguousarray(image[middle]))
        filled = truncate_spectrum(head, 0.8, (0, 1)).abs().round()
        assert kspace_support(filled)[:2] == (pytest.approx(0.8, abs=0.04), pytest.approx(0.8, abs=0.04))
        assert kspace_support(head) == (1, 1, 1)
