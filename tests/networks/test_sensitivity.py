from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel

from recon_monai.networks import SensitivityNetwork
from recon_monai.physics import CalibrationError

Maker = Callable[..., torch.Tensor]


def test_maps_have_unit_root_sum_of_squares(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    mask = column_mask(32)
    maps = SensitivityNetwork(2, 2)(random_kspace(2, 3, 24, 32) * mask, mask)
    torch.testing.assert_close(maps.abs().square().sum(dim=1), torch.ones(2, 24, 32))


def test_why_not_monai(random_kspace: Maker, column_mask: Maker) -> None:
    """MONAI 1.6 divides real parts by the RSS of real parts and imaginary ones by that of imaginary ones."""
    torch.manual_seed(0)
    mask = column_mask(32)
    kspace = torch.view_as_real(random_kspace(1, 3, 32, 32) * mask)
    with torch.no_grad():
        maps = CoilSensitivityModel(features=(4, 4, 8, 16, 32, 4))(kspace, mask[..., None])
    torch.testing.assert_close(maps.square().sum(dim=(1, -1)), torch.full((1, 32, 32), 2.0))


def test_only_calibration_lines_matter(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = SensitivityNetwork(2, 2)
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 24, 32) * mask
    changed = kspace.clone()
    changed[..., 0] += 5.0
    torch.testing.assert_close(network(changed, mask), network(kspace, mask), rtol=0, atol=0)
    changed[..., 16] += 5.0
    assert not torch.allclose(network(changed, mask), network(kspace, mask), atol=1e-3)


@pytest.mark.parametrize("coil_chunk", [1, 2, 4, 100, None])
def test_chunks_of_coils_change_nothing(coil_chunk: int | None, random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    reference = SensitivityNetwork(2, 2, coil_chunk=6).double()
    network = SensitivityNetwork(2, 2, coil_chunk=coil_chunk).double()
    network.load_state_dict(reference.state_dict())
    mask = column_mask(32)
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * mask

    maps, expected = network(kspace, mask), reference(kspace, mask)
    torch.testing.assert_close(maps, expected, rtol=1e-10, atol=1e-12)
    maps.real.sum().backward()
    expected.real.sum().backward()
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-8)


def test_one_coil_has_a_map_of_magnitude_one(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    maps = SensitivityNetwork(2, 2)(random_kspace(1, 1, 32, 32) * mask, mask)
    torch.testing.assert_close(maps.abs(), torch.ones(1, 1, 32, 32))


def test_an_empty_coil_has_an_empty_map(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    kspace[:, 1] = 0
    maps = SensitivityNetwork(2, 2)(kspace, mask)
    assert not maps[:, 1].any()
    torch.testing.assert_close(maps.abs().square().sum(dim=1), torch.ones(1, 32, 32))


def test_refuses_what_it_cannot_do(random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match="coil_chunk must be at least 1"):
        SensitivityNetwork(coil_chunk=0)
    with pytest.raises(CalibrationError, match=r"item\(s\) \[0\]"):
        SensitivityNetwork(2, 2)(random_kspace(1, 2, 16, 16), torch.zeros(1, 1, 1, 16, dtype=torch.bool))
