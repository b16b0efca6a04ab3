"""Geometry of grids: fields of view, oblique and flipped affines, and a known function sampled on both grids."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from recon_monai.physics import Grid, resample_to_grid


def affine(angles=(0, 0, 0), spacing=(1.0, 1.0, 1.0), signs=(1, 1, 1), origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(np.multiply(spacing, signs))
    matrix[:3, 3] = origin
    return matrix


OBLIQUE = affine((17, -32, 51), (0.9, 1.2, 5.0), (-1, 1, -1), (12.5, -80.0, 31.0))


def corner(grid: Grid, which: tuple[int, int, int]) -> np.ndarray:
    """Outer corner of the field of view in mm."""
    index = [size - 0.5 if side else -0.5 for size, side in zip(grid.shape, which, strict=True)]
    return nibabel.affines.apply_affine(grid.affine.numpy(), index)


@pytest.mark.parametrize("matrix", [affine(), OBLIQUE, affine((90, 0, 90), (0.7, 0.7, 0.7))])
@pytest.mark.parametrize("change", [{"factor": 2}, {"factor": (1, 1.5, 5)}, {"spacing": 0.7}, {"factor": 0.5}])
def test_a_refined_grid_has_the_same_edges(matrix, change):
    grid = Grid((20, 31, 12), matrix)
    fine = grid.refined(**change)
    for which in np.ndindex(2, 2, 2):
        np.testing.assert_allclose(corner(fine, which), corner(grid, which), atol=1e-9)
    np.testing.assert_allclose(fine.extent, grid.extent, rtol=1e-12)
    np.testing.assert_allclose(fine.spacing, nibabel.affines.voxel_sizes(fine.affine.numpy()), rtol=1e-12)
    wanted = change.get("spacing", np.divide(grid.spacing, change.get("factor", 1)))
    tolerance = np.divide(0.5, fine.shape) * 1.001
    assert (np.abs(np.divide(fine.spacing, wanted) - 1) <= tolerance + 1e-9).all(), "nearest size that divides it"


def test_the_spacing_asked_for_may_be_what_is_exact():
    grid = Grid((181, 20, 20), OBLIQUE)
    fine = grid.refined(spacing=0.7, keep="spacing")
    np.testing.assert_allclose(fine.spacing, 0.7, rtol=1e-12)
    middle = [nibabel.affines.apply_affine(g.affine.numpy(), (np.array(g.shape) - 1) / 2) for g in (grid, fine)]
    np.testing.assert_allclose(*middle, atol=1e-9)
    assert (np.abs(np.subtract(fine.extent, grid.extent)) <= 0.7).all()


@pytest.mark.parametrize("method", ["linear", "cubic"])
@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, -1)])
def test_resampling_is_map_coordinates_at_the_same_places(method, signs):
    """Oracle: SciPy at the positions that the two affines give, for an oblique volume and a flipped target."""
    grid_from = Grid((8, 9, 7), OBLIQUE)
    flipped = OBLIQUE @ np.diag([*signs, 1.0])
    far_end = [0 if sign > 0 else size - 1 for sign, size in zip(signs, grid_from.shape, strict=True)]
    flipped[:3, 3] = nibabel.affines.apply_affine(OBLIQUE, far_end)
    grid_to = Grid((8, 9, 7), flipped).refined((1.5, 2, 0.8))
    volume = torch.rand(2, 8, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mapping = np.linalg.inv(OBLIQUE) @ grid_to.affine.numpy()
    index = np.stack(np.meshgrid(*map(np.arange, grid_to.shape), indexing="ij"), -1)
    places = np.moveaxis(nibabel.affines.apply_affine(mapping, index), -1, 0)
    order = {"linear": 1, "cubic": 3}[method]
    found = resample_to_grid(volume, grid_from, grid_to, method)
    for one, two in zip(found, volume, strict=True):
        np.testing.assert_allclose(one, ndimage.map_coordinates(two, places, order=order, mode="reflect"), atol=1e-7)


@pytest.mark.parametrize("method", ["linear", "cubic", "fourier"])
def test_a_position_in_mm_keeps_its_value(method):
    """A smooth periodic pattern of the patient's space reads the same on a finer oblique grid."""
    grid = Grid((16, 18, 20), affine((10, 20, 30), (2.0, 2.0, 2.0)))
    fine = grid.refined(spacing=1.0)

    def pattern(g: Grid) -> torch.Tensor:
        index = np.stack(np.meshgrid(*map(np.arange, g.shape), indexing="ij"), -1)
        inside = nibabel.affines.apply_affine(np.linalg.inv(grid.affine.numpy()) @ g.affine.numpy(), index)
        return torch.from_numpy(np.cos(2 * np.pi * (inside + 0.5) / grid.shape).prod(-1))

    error = (resample_to_grid(pattern(grid), grid, fine, method) - pattern(fine)).abs().max()
    assert error < {"linear": 5e-2, "cubic": 2e-3, "fourier": 1e-12}[method]


def test_equal_grids_leave_the_volume_alone():
    grid = Grid((4, 5, 6), torch.from_numpy(OBLIQUE))
    rounded = Grid((4, 5, 6), OBLIQUE.astype(np.float32))
    volume = torch.rand(1, 4, 5, 6)
    assert resample_to_grid(volume, grid, rounded, "fourier") is volume
    assert grid.matches(rounded) and not grid.matches(grid.refined(2))
    assert grid == Grid((4, 5, 6), OBLIQUE) and grid != rounded and len({grid, Grid((4, 5, 6), OBLIQUE)}) == 1
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.1
    assert not grid.matches(Grid((4, 5, 6), moved))


def test_there_and_back_by_fourier_is_exact():
    grid = Grid((7, 8, 9), OBLIQUE)
    fine = grid.refined((3, 3, 2))
    volume = torch.rand(7, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    volume = volume - volume.roll(1, 1)  # no sample pattern at Nyquist along the even axis
    nyquist = (volume * (-1.0) ** torch.arange(8)[:, None]).mean(1, keepdim=True) * (-1.0) ** torch.arange(8)[:, None]
    volume = volume - nyquist
    back = resample_to_grid(resample_to_grid(volume, grid, fine, "fourier"), fine, grid, "fourier")
    torch.testing.assert_close(back, volume, atol=1e-12, rtol=0)


def test_what_is_wrong_is_said():
    grid = Grid((4, 4, 4), np.eye(4))
    turned = Grid((4, 4, 4), affine((5, 0, 0)))
    with pytest.raises(ValueError, match=r"part by 0.\d+ voxels.*ResampleToMatch"):
        resample_to_grid(torch.zeros(4, 4, 4), grid, turned)
    with pytest.raises(ValueError, match=r"\.\.\., 4, 4, 4.*\(4, 4, 5\)"):
        resample_to_grid(torch.zeros(4, 4, 5), grid, grid)
    for broken in (np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1, 1, 1, 2]), np.eye(3)):
        with pytest.raises(ValueError, match="correct the header"):
            Grid((4, 4, 4), broken)
    with pytest.raises(ValueError, match="three positive integers"):
        Grid((4, 0, 4), np.eye(4))
    for change in ({}, {"factor": 2, "spacing": 1.0}, {"factor": (1, 2)}, {"spacing": -1.0}):
        with pytest.raises(ValueError):
            grid.refined(**change)
