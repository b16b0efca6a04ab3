"""Thick slices: weights by numeric integration, positions, and the axis they are cut along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate

from recon_monai.physics import interpolate_axis, thick_slices
from recon_monai.physics.slices import slice_matrix

PROFILES = {
    "box": lambda x: float(abs(x) <= 0.5),
    "gaussian": lambda x: float(np.exp(-4 * np.log(2) * x**2)),
    "trapezoid": lambda x: float(np.clip((0.625 - abs(x)) / 0.25, 0, 1)),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_weights_are_integrals_of_the_profile_over_voxels(profile):
    matrix, positions = slice_matrix(40, 0.8, 4.0, 0.5, profile)
    middle = len(positions) // 2
    expected = np.zeros(40)
    for voxel in range(40):
        edges = [(voxel + side - float(positions[middle])) * 0.8 / 4.0 for side in (-0.5, 0.5)]
        corners = [c for c in (-0.625, -0.5, -0.375, 0.375, 0.5, 0.625) if edges[0] < c < edges[1]]
        expected[voxel], _ = integrate.quad(PROFILES[profile], *edges, points=corners or None)
    np.testing.assert_allclose(matrix[middle], expected / expected.sum(), atol=1e-7)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("size", "thickness", "gap"), [(40, 4.0, 0.0), (37, 3.3, 0.4), (5, 20.0, 0.0), (30, 3.0, -1.0)]
)
def test_slices_lie_evenly_in_the_middle_and_keep_constants(profile, size, thickness, gap):
    found = thick_slices(torch.full((2, size), 3.0, dtype=torch.float64), 1, 1.0, thickness, gap, profile)
    torch.testing.assert_close(found.volume, torch.full_like(found.volume, 3.0))
    torch.testing.assert_close(found.positions.mean(), torch.tensor((size - 1) / 2).double())
    torch.testing.assert_close(
        found.positions.diff(), torch.full((len(found.positions) - 1,), thickness + gap).double()
    )
    assert abs(len(found.positions) * (thickness + gap) - size) <= max(0.5 * (thickness + gap), thickness + gap - size)


def test_whole_voxels_in_a_box_are_plain_means():
    x = torch.rand(3, 20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slices, positions = thick_slices(x, 1, 0.5, 2.0)
    torch.testing.assert_close(slices, x.reshape(3, 5, 4, 4).mean(2))
    torch.testing.assert_close(positions, torch.arange(5).double() * 4 + 1.5)


def test_a_ramp_is_read_at_the_centers_of_slices_and_comes_back():
    ramp = torch.arange(30, dtype=torch.float64).reshape(1, 1, 30)
    slices, positions = thick_slices(ramp, 2, 1.0, 3.0, 0.0, "trapezoid")
    torch.testing.assert_close(slices[0, 0, 1:-1], positions[1:-1])
    again = interpolate_axis(slices, 2, (torch.arange(30).double() - positions[0]) / 3.0, "linear")
    torch.testing.assert_close(again[..., 4:-4], ramp[..., 4:-4])


def test_what_cannot_be_used_is_said():
    x = torch.zeros(4, 4)
    with pytest.raises(ValueError, match=r"slices of 1\.0 mm cannot be made of voxels 2 mm apart"):
        thick_slices(x, 0, 2.0, 1.0)
    with pytest.raises(ValueError, match="gap is -3"):
        thick_slices(x, 0, 1.0, 3.0, -3.0)
    with pytest.raises(ValueError, match="profile is 'sinc'"):
        thick_slices(x, 0, 1.0, 3.0, 0.0, "sinc")  # type: ignore[arg-type]
