from __future__ import annotations

import hashlib
import itertools
import math
import time

import numpy as np
import pytest
import torch

from recon_monai.networks import VarNet
from recon_monai.physics import PoissonMask, calibration_mask, create_mask, seed_from_name
from recon_monai.physics.masks.poisson import poisson_disc

RECORDED = """
10000000000100000001
00010101010000100100
00000000000100000000
00010001010110010100
00000010111010000001
10001001011101011000
00000010111110000000
00101001010100010001
10000000001001000000
00000010100010000010
01000000001000010000
00001010100001000001
"""


def rows_of(mask: torch.Tensor) -> list[str]:
    return ["".join("01"[int(value)] for value in row) for row in mask[0]]


def distances_from_center(height: int, width: int) -> np.ndarray:
    """By the definition: 1 at the edges, along an ellipse."""
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    return np.hypot(rows[:, None] / (height / 2), columns / (width / 2))


def test_the_same_everywhere() -> None:
    sample = PoissonMask([0.16], [4])((12, 20), seed=seed_from_name("file1000001.h5"))
    assert rows_of(sample.mask) == RECORDED.split()
    large = PoissonMask([0.08], [4])((320, 320), seed=7).mask
    digest = hashlib.sha256(np.packbits(large.numpy()).tobytes()).hexdigest()
    assert digest == "7bd6e71a2bdab672e6d827f802ff24d1cac55149da01f19cc23fd135619800b0"


@pytest.mark.parametrize("shape", [(64, 64), (65, 48), (30, 101)])
@pytest.mark.parametrize("acceleration", [1, 2, 3, 4, 8, 12])
def test_number_of_samples_is_exact(shape: tuple[int, int], acceleration: int) -> None:
    for seed in range(3):
        sample = PoissonMask([0.1], [acceleration])(shape, seed=seed)
        assert sample.mask.shape == (1, *shape)
        assert sample.mask.dtype == torch.bool
        assert int(sample.mask.sum()) == round(math.prod(shape) / acceleration)
        assert sample.effective_acceleration == pytest.approx(acceleration, rel=1 / int(sample.mask.sum()))


@pytest.mark.parametrize("acceleration", [2, 4, 10])
def test_no_two_samples_are_nearer_than_the_radius(acceleration: int) -> None:
    height, width = 60, 44
    sampled, slope = poisson_disc(
        np.random.RandomState(3), np.zeros((height, width), dtype=bool), round(height * width / acceleration)
    )
    places = np.argwhere(sampled)
    between = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(between, np.inf)
    radius = slope * distances_from_center(height, width)[sampled]
    assert slope > 0.2
    assert (between >= np.minimum(radius[:, None], radius[None]) - 1e-9).all()


def test_room_is_used_up() -> None:
    """The slope is no smaller than needed: with it, nearly no place is left that another sample would fit into."""
    height, width = 80, 80
    sampled, slope = poisson_disc(np.random.RandomState(0), np.zeros((height, width), dtype=bool), 800)
    places = np.argwhere(sampled)
    away = np.linalg.norm(np.argwhere(~sampled)[:, None] - places[None], axis=-1)
    radius = slope * distances_from_center(height, width)[sampled] + 1
    assert (away >= radius).all(axis=1).mean() < 0.02


def test_density_falls_from_the_center_outwards() -> None:
    distance = distances_from_center(96, 96)
    masks = [PoissonMask([0.0], [6])((96, 96), seed=seed).mask[0].numpy() for seed in range(10)]
    rings = [
        float(np.mean([mask[(distance >= radius) & (distance < radius + 0.25)].mean() for mask in masks]))
        for radius in (0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert all(inner > 1.2 * outer for inner, outer in itertools.pairwise(rings))
    assert rings[-1] > 0, "the corners are sampled too"


@pytest.mark.parametrize("shape", [(64, 64), (65, 80), (90, 51)])
@pytest.mark.parametrize("fraction", [0.08, 0.2])
def test_the_calibration_region_is_a_box_that_follows_the_center_fraction(
    shape: tuple[int, int], fraction: float
) -> None:
    rows, columns = round(shape[0] * fraction), round(shape[1] * fraction)
    for seed in range(5):
        sample = PoissonMask([fraction], [4])(shape, seed=seed)
        assert sample.num_calibration_lines == columns
        top, left = (shape[0] - rows + 1) // 2, (shape[1] - columns + 1) // 2
        assert sample.mask[0, top : top + rows, left : left + columns].all()
        found = calibration_mask(sample.mask[None])[0, 0]
        # samples beside the box may complete it to a somewhat larger one
        assert rows * columns <= int(found.sum()) <= 2 * rows * columns
        assert found[shape[0] // 2, shape[1] // 2]


def test_seeds_and_pairs() -> None:
    mask = create_mask("poisson", [0.1, 0.05], [4, 8])
    assert mask.kind == "poisson"
    size = (48, 40)
    assert torch.equal(mask(size, seed=5).mask, mask(size, seed=5).mask)
    assert not torch.equal(mask(size, seed=5, acceleration=4).mask, mask(size, seed=6, acceleration=4).mask)
    alone = PoissonMask([0.05], [8])(size, seed=5)
    assert torch.equal(mask(size, seed=5, acceleration=8).mask, alone.mask)
    assert {mask(size, seed=seed).acceleration for seed in range(20)} == {4, 8}


def test_unusable_calls_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2-D, give \(H, W\) instead of the width 64"):
        PoissonMask([0.08], [4])(64, seed=0)
    with pytest.raises(ValueError, match=r"region of 32 x 32 samples leaves no other .* allows 1024 .*lower"):
        PoissonMask([0.5], [4])((64, 64), seed=0)
    with pytest.raises(ValueError, match="a poisson mask has no offset"):
        create_mask("poisson", [0.08], [4], 1)


def test_fast_enough_to_be_drawn_for_every_slice() -> None:
    mask = PoissonMask([0.08], [4])
    times = []
    for seed in range(5):
        start = time.process_time()
        mask((320, 320), seed=seed)
        times.append(time.process_time() - start)
    assert min(times) < 0.2


def test_varnet_reconstructs_from_it() -> None:
    torch.manual_seed(0)
    network = VarNet(1, 2, 2, 2).eval()
    mask = PoissonMask([0.2], [2])((24, 20), seed=1).mask
    kspace = torch.randn(1, 3, 24, 20, dtype=torch.complex64) * mask
    with torch.no_grad():
        given, inferred = network.reconstruct(kspace, mask), network.reconstruct(kspace)
    torch.testing.assert_close(given.image, inferred.image)
    region = given.sensitivity_maps.abs().square().sum(1)
    torch.testing.assert_close(region, torch.ones_like(region), atol=1e-5, rtol=0)
