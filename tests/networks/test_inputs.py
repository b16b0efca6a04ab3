from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.data import MetaTensor

from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask

Maker = Callable[..., torch.Tensor]


def test_complex_and_real_kspace_are_the_same(random_kspace: Maker) -> None:
    kspace = random_kspace(2, 3, 8, 6)
    real = torch.view_as_real(kspace)
    torch.testing.assert_close(as_complex_kspace(kspace), kspace, rtol=0, atol=0)
    torch.testing.assert_close(as_complex_kspace(real), kspace, rtol=0, atol=0)
    torch.testing.assert_close(as_complex_kspace(real.double()), kspace.to(torch.complex128), rtol=0, atol=0)
    torch.testing.assert_close(as_complex_kspace(real.half()), kspace, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(as_complex_kspace(real.transpose(2, 3)), kspace.transpose(2, 3), rtol=0, atol=0)


def test_meta_tensors_become_plain(random_kspace: Maker) -> None:
    kspace = random_kspace(1, 1, 4, 4)
    assert type(as_complex_kspace(MetaTensor(kspace))) is torch.Tensor
    assert type(as_sampling_mask(MetaTensor(torch.ones(4)), kspace)) is torch.Tensor


@pytest.mark.parametrize("shape", [(3, 8, 6), (2, 3, 8, 6), (1, 2, 3, 8, 6, 2), (2, 3, 8, 6, 3)])
def test_kspace_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"complex \(B, coil, H, W\) or real .* add a batch dimension"):
        as_complex_kspace(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("shape", [(6,), (1, 6), (1, 1, 6), (1, 1, 1, 6), (1, 1, 1, 6, 1)])
def test_masks_of_columns_of_any_form(shape: tuple[int, ...], dtype: torch.dtype, random_kspace: Maker) -> None:
    columns = torch.tensor([0, 1, 0, 1, 1, 0])
    mask = as_sampling_mask(columns.to(dtype).reshape(shape), random_kspace(2, 3, 8, 6))
    assert mask.dtype == torch.bool
    assert mask.shape == (1, 1, 1, 6)
    assert mask.flatten().tolist() == columns.bool().tolist()


def test_masks_of_samples_and_of_batches(random_kspace: Maker) -> None:
    kspace = random_kspace(2, 3, 8, 6)
    for shape in [(8, 6), (1, 8, 6), (1, 1, 8, 6), (2, 1, 8, 6), (2, 1, 1, 6)]:
        given = torch.arange(torch.Size(shape).numel()).reshape(shape) % 2
        mask = as_sampling_mask(given, kspace)
        assert mask.shape == (1,) * (4 - len(shape)) + shape
        assert mask.flatten().tolist() == given.bool().flatten().tolist()


@pytest.mark.parametrize("shape", [(5,), (3, 1, 1, 6), (1, 3, 1, 6), (2, 1, 7, 6), (1, 1, 1, 6, 2)])
def test_masks_that_do_not_fit_are_refused(shape: tuple[int, ...], random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match=r"does not fit k-space of shape \(2, 3, 8, 6\)"):
        as_sampling_mask(torch.ones(shape), random_kspace(2, 3, 8, 6))


def test_mask_is_inferred_and_an_empty_slice_counts_as_full(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(16).expand(2, -1, -1, -1).clone()
    kspace = random_kspace(2, 3, 8, 16) * mask
    assert torch.equal(as_sampling_mask(None, kspace), mask)
    kspace[1] = 0
    mask[1] = True
    assert torch.equal(as_sampling_mask(None, kspace), mask)
