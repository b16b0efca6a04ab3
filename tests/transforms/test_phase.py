"""Phase augmentation: the target stays, the phase is smooth, common to all coils and reproducible."""

from __future__ import annotations

import pytest
import torch
from monai.transforms import Compose

from recon_monai.physics import RandomMask, ifft2c, rss
from recon_monai.transforms import RandomPhased, Undersampled


def item(**changes):
    generator = torch.Generator().manual_seed(1)
    kspace = torch.randn(3, 24, 20, dtype=torch.complex64, generator=generator)
    return {"kspace": kspace, "file": "a.h5", "slice": 2, "padding": torch.tensor([0, 20]), **changes}


def turn(result) -> torch.Tensor:
    """The phase that was put on each coil image, as unit numbers."""
    ratio = ifft2c(result["kspace"]) / ifft2c(item()["kspace"])
    torch.testing.assert_close(ratio.abs(), torch.ones(3, 24, 20), atol=1e-3, rtol=0)
    return ratio


def test_target_is_unchanged_and_all_coils_turn_alike():
    result = RandomPhased(12.0)(item())
    torch.testing.assert_close(rss(ifft2c(result["kspace"])), rss(ifft2c(item()["kspace"])), atol=1e-5, rtol=1e-4)
    phases = turn(result)
    torch.testing.assert_close(phases[0], phases[1], atol=1e-3, rtol=0)
    assert (phases[0] - phases[0, 0, 0]).abs().max() > 0.5, "the phase varies over the image"
    assert (phases[0, 1:] - phases[0, :-1]).abs().max() < 2, "and it does so smoothly"


def test_draws_depend_on_seed_epoch_and_slice_alone():
    def drawn(seed=0, epoch=0, slice_=2):
        transform = RandomPhased(6.0, seed=seed)
        transform.epoch = epoch
        return transform(item(slice=slice_))["kspace"]

    assert torch.equal(drawn(), drawn())
    for changed in (drawn(seed=1), drawn(epoch=1), drawn(slice_=3)):
        assert not torch.allclose(drawn(), changed)


@pytest.mark.parametrize("how", ["zeros", "mask"])
def test_kspace_that_was_acquired_undersampled_is_refused(how):
    """Also in front of the undersampling, which could no longer see the gaps."""
    mask = torch.arange(20) % 3 == 0
    kspace = torch.where(mask, item()["kspace"], 0)
    given = item(kspace=kspace) if how == "zeros" else item(kspace=kspace, mask=mask[None, None])
    chain = Compose([RandomPhased(6.0), Undersampled(RandomMask([0.2], [2]), random=True)])
    with pytest.raises((ValueError, RuntimeError)) as caught:
        chain(given)
    assert "a.h5 slice 2" in str(caught.value.__cause__ or caught.value)
    assert "acquired undersampled already" in str(caught.value.__cause__ or caught.value)


def test_zero_is_off_and_less_is_refused():
    assert torch.equal(RandomPhased(0.0)(item())["kspace"], item()["kspace"])
    with pytest.raises(ValueError, match=r"must not be negative, got -1"):
        RandomPhased(-1.0)
