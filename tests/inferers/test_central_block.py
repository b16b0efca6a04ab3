"""The middle of a volume goes through the network, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from recon_monai.inferers import CentralBlockInferer, SeamlessInferer

Seen = list[tuple[int, ...]]


def doubling(seen: Seen) -> Any:
    """A network that notes the sizes it was given."""

    def network(windows: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(windows.shape[2:]))
        return 2 * windows

    return network


def test_the_middle_and_its_context_are_sharpened() -> None:
    volume = torch.rand(2, 1, 20, 21, 6) + 1
    seen: Seen = []
    inferer = CentralBlockInferer(block=8, context=2, window=12)
    output = inferer(volume, doubling(seen))
    changed = (output / volume - 1).round()
    expected = torch.zeros_like(volume)
    expected[:, :, 4:16, 4:16, :] = 1
    torch.testing.assert_close(changed, expected)
    assert len(seen) == 2 * inferer.count((20, 21, 6)) == 2
    torch.testing.assert_close(output[expected == 0], volume[expected == 0], rtol=0, atol=0)


@pytest.mark.parametrize("block", [None, -1, 64])
def test_without_a_block_it_is_the_seamless_inferer(block: int | None) -> None:
    volume = MetaTensor(torch.rand(1, 1, 20, 17, 19), affine=torch.diag(torch.tensor([2.0, 1, 1, 1])))
    network = torch.nn.Conv3d(1, 1, 3, padding=1)
    with torch.inference_mode():
        ours = CentralBlockInferer(block=block, window=12, batch_size=2)(volume, network)
        whole = SeamlessInferer(12, batch_size=2)(volume, network)
    assert isinstance(ours, MetaTensor)
    torch.testing.assert_close(ours.affine, volume.affine)
    torch.testing.assert_close(ours.as_tensor(), whole.as_tensor())


@pytest.mark.parametrize(("options", "message"), [({"block": 0}, "block is 0"), ({"context": -1}, "context is -1")])
def test_bad_settings_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CentralBlockInferer(**options)
