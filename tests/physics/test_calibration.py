from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    CalibrationError,
    EquispacedMask,
    RandomMask,
    calibration_mask,
    infer_mask,
)


def columns_by_loop(row: list[bool], rule: str) -> list[bool]:
    width = len(row)
    center = width // 2
    if all(row):
        return [True] * width
    first = center
    while first > 0 and row[first - 1]:
        first -= 1
    last = center
    while last < width and row[last]:
        last += 1
    if rule == "run":
        return [first <= column < last for column in range(width)]
    count = max(2 * min(center - first, last - center), 1)
    start = (width - count + 1) // 2
    return [start <= column < start + count and row[column] for column in range(width)]


def box_area_by_loop(mask: np.ndarray) -> int:
    height, width = mask.shape
    best = 0
    for rows in range(1, height + 1):
        for columns in range(1, width + 1):
            top, left = (height - rows + 1) // 2, (width - columns + 1) // 2
            if mask[top : top + rows, left : left + columns].all():
                best = max(best, rows * columns)
    return best


@pytest.mark.parametrize("rule", ["fastmri", "run"])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 9, 16, 17])
@pytest.mark.parametrize("density", [0.5, 0.8, 0.95])
def test_columns_against_a_loop(rule: str, width: int, density: float) -> None:
    generator = torch.Generator().manual_seed(width)
    mask = torch.rand(200, 1, 1, width, generator=generator) < density
    mask[..., width // 2] = True
    found = calibration_mask(mask, rule)
    expected = [columns_by_loop(row, rule) for row in mask[:, 0, 0].tolist()]
    assert found.dtype == torch.bool
    assert found.shape == mask.shape
    assert found[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("row", "fastmri", "run"),
    [
        ("0111110000", "0000110000", "0111110000"),  # asymmetric: four before, one from the center on
        ("0001111110", "0001111000", "0001111110"),
        ("0000010000", "0000010000", "0000010000"),
        ("1010011001", "0000010000", "0000011000"),
        ("1111111111", "1111111111", "1111111111"),
        ("011111100", "001111100", "011111100"),
        ("001110000", "000010000", "001110000"),
        ("111111111", "111111111", "111111111"),
    ],
)
def test_columns_by_hand(row: str, fastmri: str, run: str) -> None:
    mask = torch.tensor([character == "1" for character in row])
    for rule, expected in (("fastmri", fastmri), ("run", run)):
        found = calibration_mask(mask, rule)
        assert "".join("01"[int(value)] for value in found) == expected


@pytest.mark.parametrize("width", [64, 65, 368, 369])
@pytest.mark.parametrize("count", [1, 5, 14, 29, 30])
def test_the_fastmri_window_lies_within_the_calibration_lines_of_the_mask(width: int, count: int) -> None:
    mask = torch.zeros(width, dtype=torch.bool)
    start = (width - count + 1) // 2
    mask[start : start + count] = True
    found = calibration_mask(mask)
    assert not (found & ~mask).any()
    assert count - 2 <= int(found.sum()) <= count
    assert int(calibration_mask(mask, "run").sum()) == count


@pytest.mark.parametrize("rule", ["fastmri", "run"])
def test_a_batch_of_different_masks_is_as_one_by_one(rule: str) -> None:
    masks = [
        RandomMask([0.1], [4])(50, seed=1).mask,
        EquispacedMask([0.2], [4])(50, seed=2).mask,
        torch.ones(1, 1, 50, dtype=torch.bool),
    ]
    together = calibration_mask(torch.stack(masks), rule)
    assert len({int(count) for count in together.sum(dim=(1, 2, 3))}) == 3
    for one, found in zip(masks, together, strict=True):
        assert torch.equal(calibration_mask(one, rule), found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
def test_masks_of_other_types(dtype: torch.dtype) -> None:
    mask = RandomMask([0.1], [4])(50, seed=1).mask
    found = calibration_mask(mask.to(dtype))
    assert found.dtype == torch.bool
    assert torch.equal(found, calibration_mask(mask))


@pytest.mark.parametrize("size", [(5, 6), (6, 5), (7, 7), (8, 8)])
def test_boxes_against_a_loop(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(size[0])
    mask = torch.rand(100, 1, *size, generator=generator) < torch.linspace(0.5, 1, 100).reshape(-1, 1, 1, 1)
    mask[:, :, size[0] // 2, size[1] // 2] = True
    mask[:, :, 0, 0] = False  # never a mask of whole columns
    mask[:, :, 1, 0] = True
    found = calibration_mask(mask)
    assert not (found & ~mask).any()
    for one, box in zip(mask[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        rows, columns = box.any(1).sum(), box.any(0).sum()
        top, left = (size[0] - rows + 1) // 2, (size[1] - columns + 1) // 2
        assert box[top : top + rows, left : left + columns].all()
        assert box.sum() == rows * columns == box_area_by_loop(one)


def test_a_known_box_among_random_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(1, 1, 64, 65, generator=generator) < 0.3
    box = torch.zeros_like(mask)
    box[..., 26:38, 25:40] = True  # 12 x 15, centered on (32, 32)
    mask |= box
    mask[..., 25, 32] = mask[..., 38, 32] = mask[..., 32, 24] = mask[..., 32, 40] = False
    assert torch.equal(calibration_mask(mask), box)


@pytest.mark.parametrize("rule", ["fastmri", "run"])
def test_columns_given_as_a_2d_mask_are_columns(rule: str) -> None:
    row = torch.stack([RandomMask([0.1], [4])(50, seed=1).mask, torch.ones(1, 1, 50, dtype=torch.bool)])
    found = calibration_mask(row.expand(2, 1, 6, 50), rule)
    assert torch.equal(found, calibration_mask(row, rule).expand(2, 1, 6, 50))


@pytest.mark.parametrize("rule", ["fastmri", "run"])
def test_an_unsampled_center_names_the_items(rule: str) -> None:
    mask = torch.ones(4, 1, 1, 10, dtype=torch.bool)
    mask[1, ..., 5] = False
    mask[3] = False
    with pytest.raises(CalibrationError, match=r"column 5 of 10.*\[1, 3\]"):
        calibration_mask(mask, rule)
    box = torch.ones(2, 1, 6, 6, dtype=torch.bool)
    box[1, 0, 3, 3] = False
    with pytest.raises(CalibrationError, match=r"\(3, 3\).*\[1\]"):
        calibration_mask(box, rule)
    assert issubclass(CalibrationError, ValueError)


def test_unclear_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 10\) is ambiguous"):
        calibration_mask(torch.ones(2, 10))
    with pytest.raises(ValueError, match=r"'magic'.*fastmri"):
        calibration_mask(torch.ones(10), "magic")


def kspace(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def test_infer_columns_per_item() -> None:
    mask = torch.stack([RandomMask([0.1], [4])(30, seed=seed).mask for seed in (1, 2)])
    data = kspace(2, 3, 8, 30)
    data[:, 1] = 0  # an empty coil says nothing about the sampling
    found = infer_mask(data * mask)
    assert found.dtype == torch.bool
    assert torch.equal(found, mask)
    assert torch.equal(infer_mask((data * mask)[0]), mask[0])


def test_infer_samples_when_one_item_has_them() -> None:
    mask = torch.ones(2, 1, 8, 30, dtype=torch.bool)
    mask[0, 0, :2] = False  # zero-filled readout
    mask[1, 0, :, ::2] = False
    assert torch.equal(infer_mask(kspace(2, 3, 8, 30) * mask), mask)


def test_infer_of_full_and_empty_kspace() -> None:
    assert infer_mask(kspace(1, 2, 4, 6)).tolist() == [[[[True] * 6]]]
    assert infer_mask(torch.zeros(1, 2, 4, 6, dtype=torch.complex64)).tolist() == [[[[False] * 6]]]
