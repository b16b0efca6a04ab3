from __future__ import annotations

import numpy as np
import pytest

from recon_monai.data.demo.shapes import column, ellipsoid, merge, subtract, tube


def cloud(count: int = 400, extent: float = 12.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(-extent, extent, (3, count)).astype(np.float32)


def test_a_ball_has_its_exact_distance():
    points = cloud()
    expected = np.linalg.norm(points - np.array([[1.0], [2.0], [-3.0]]), axis=0) - 5.0
    np.testing.assert_allclose(ellipsoid(points, (1.0, 2.0, -3.0), (5.0, 5.0, 5.0)), expected, rtol=1e-4, atol=1e-4)
    assert ellipsoid(np.zeros((3, 1), np.float32), (0.0, 0.0, 0.0), (5.0, 4.0, 6.0))[0] == -4.0


@pytest.mark.parametrize("power", [2.0, 2.5])
def test_an_ellipsoid_is_right_near_its_surface(power):
    """Points moved off the surface along its normal have that distance, whatever the formula is."""
    axes = np.array([9.0, 5.0, 7.0])
    direction = np.random.default_rng(1).normal(size=(3, 300))
    radius = (np.abs(direction / axes[:, None]) ** power).sum(axis=0) ** (1 / power)
    surface = direction / radius
    normal = np.sign(surface) * np.abs(surface / axes[:, None]) ** (power - 1) / axes[:, None]
    normal /= np.linalg.norm(normal, axis=0)
    for off in (-0.3, 0.0, 0.3):
        found = ellipsoid((surface + off * normal).astype(np.float32), (0.0, 0.0, 0.0), tuple(axes), power=power)
        np.testing.assert_allclose(found, off, atol=0.06)


def test_a_column_is_a_circle_in_every_plane():
    points = cloud()
    radii = np.full(points.shape[1], 4.0, dtype=np.float32)
    expected = np.hypot(points[0] - 1.0, points[1] + 2.0) - 4.0
    np.testing.assert_allclose(column(points, (1.0, -2.0), (radii, radii)), expected, rtol=1e-4, atol=1e-4)


def test_a_tube_is_the_nearest_of_its_balls():
    """A round cone is, to within its taper, the union of balls along its axis."""
    points, path, radii = cloud(), ((-6.0, 0.0, 1.0), (2.0, 3.0, 0.0), (5.0, -4.0, 6.0)), (1.0, 2.0, 1.5)
    balls = []
    for (start, first), (end, last) in zip(
        zip(path[:-1], radii[:-1], strict=True), zip(path[1:], radii[1:], strict=True), strict=True
    ):
        for share in np.linspace(0, 1, 400):
            center = np.array(start) + share * (np.array(end) - np.array(start))
            balls.append(np.linalg.norm(points - center[:, None], axis=0) - (first + share * (last - first)))
    np.testing.assert_allclose(tube(points, path, radii), np.min(balls, axis=0), atol=0.15)
    with pytest.raises(ValueError, match="at least two corners, got 1"):
        tube(points, ((0.0, 0.0, 0.0),), (1.0,))


def test_a_flattened_tube_is_wider():
    points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]], dtype=np.float32)
    found = tube(points, ((-5.0, 0.0, 0.0), (5.0, 0.0, 0.0)), (1.0, 1.0), flatten=(1.0, 0.25, 1.0))
    np.testing.assert_allclose(found, [-0.25, 2.0], atol=1e-6)


def test_seams_are_rounded_and_nothing_changes_away_from_them():
    points = cloud()
    first, second = ellipsoid(points, (-3.0, 0, 0), (5.0, 5.0, 5.0)), ellipsoid(points, (3.0, 0, 0), (5.0, 5.0, 5.0))
    both, near = merge(first, second, 2.0), np.abs(first - second) < 2.0
    np.testing.assert_allclose(both[~near], np.minimum(first, second)[~near], atol=1e-5)
    assert (both[near] < np.minimum(first, second)[near]).all()
    assert (both > np.minimum(first, second) - 0.5 - 1e-5).all()
    rest = subtract(first, second, 2.0)
    far = np.abs(first + second) > 2.0
    np.testing.assert_allclose(rest[far], np.maximum(first, -second)[far], atol=1e-5)
