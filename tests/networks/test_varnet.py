from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from degenerate_inputs import DEGENERATE

from recon_monai.networks import NormUNet, SensitivityNetwork, VarNet
from recon_monai.physics import CalibrationError, ifft2c, rss

Maker = Callable[..., torch.Tensor]


@pytest.fixture
def network() -> VarNet:
    torch.manual_seed(0)
    return VarNet(2, 3, 2, 2)


def gradients(network: VarNet) -> list[torch.Tensor]:
    found = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_paper() -> None:
    small = VarNet(8, 9, 4)
    assert count(small) == 5_030_682
    assert count(small.sensitivity_network) == 121_266
    assert count(small.cascades[0]) == 613_677
    assert count(VarNet(12, 18, 8)) == 29_936_966


def test_without_refinement_and_with_full_sampling_it_is_the_rss_image(random_kspace: Maker) -> None:
    """Data consistency keeps measured k-space as it is; S^H S = 1 makes the rest of a cascade vanish with R = 0."""

    class Zero(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(image)

    for shape in [(2, 3, 16, 12), (1, 2, 15, 13)]:
        kspace = random_kspace(*shape, dtype=torch.complex128)
        network = VarNet(2, sensitivity_network=SensitivityNetwork(2, 2), refinement=Zero).double()
        result = network.reconstruct(kspace)
        torch.testing.assert_close(result.coil_images, ifft2c(kspace), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(result.image, rss(ifft2c(kspace)), rtol=1e-10, atol=1e-12)


def test_data_consistency_and_refinement_follow_the_equation(random_kspace: Maker, column_mask: Maker) -> None:
    """Two cascades with R = 1/2 and eta = 0.3, against the equation in centered k-space."""

    class Half(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image / 2

    network = VarNet(2, sensitivity_network=SensitivityNetwork(2, 2), refinement=Half).double()
    for cascade in network.cascades:
        cascade.data_consistency_weight.data.fill_(0.3)
    mask = column_mask(20, offset=1)
    kspace = random_kspace(1, 3, 15, 20, dtype=torch.complex128) * mask
    result = network.reconstruct(kspace, mask)

    dims = (-2, -1)
    maps = result.sensitivity_maps
    estimate = kspace
    for _ in range(2):
        coils = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(estimate, dims), norm="ortho"), dims)
        combined = (maps.conj() * coils).sum(1, keepdim=True) / 2
        expanded = torch.fft.ifftshift(maps * combined, dims)
        correction = torch.fft.fftshift(torch.fft.fft2(expanded, norm="ortho"), dims)
        estimate = estimate - 0.3 * mask.double() * (estimate - kspace) - correction
    torch.testing.assert_close(result.coil_images, ifft2c(estimate), rtol=1e-10, atol=1e-12)


def test_masks_of_columns_and_the_same_as_masks_of_samples_agree(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = VarNet(2, 3, 2, 2).double()
    mask = column_mask(27)
    kspace = random_kspace(2, 3, 18, 27, dtype=torch.complex128) * mask
    by_columns = network(kspace, mask)
    torch.testing.assert_close(network(kspace, mask.expand(2, 1, 18, 27)), by_columns, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(network(kspace), by_columns, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network(torch.view_as_real(kspace), mask.flatten().int()), by_columns)


def test_samples_outside_the_mask_are_not_used(network: VarNet, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    full = random_kspace(1, 3, 32, 32)
    torch.testing.assert_close(network(full, mask), network(full * mask, mask), rtol=0, atol=0)


def test_batch_equals_one_by_one_with_masks_of_their_own(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = VarNet(2, 3, 2, 2).double()
    masks = torch.cat([column_mask(32, offset=0, lines=4), column_mask(32, offset=3, lines=10)])
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * masks
    together = network.reconstruct(kspace, masks)
    for index in range(2):
        alone = network.reconstruct(kspace[index : index + 1], masks[index : index + 1])
        for ours, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[index : index + 1], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_output_scales_with_the_input(network: VarNet, scale: float, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    with torch.no_grad():
        expected = network(kspace)
        scaled = network(kspace * scale) / scale
    assert float((scaled - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("case", DEGENERATE)
def test_finite_with_finite_gradients(case: str, network: VarNet, random_kspace: Maker, column_mask: Maker) -> None:
    kspace, mask = DEGENERATE[case](random_kspace, column_mask)
    kspace.requires_grad_()
    result = network.reconstruct(kspace, mask)
    assert result.image.shape == (len(kspace), 1, *kspace.shape[-2:])
    assert all(torch.isfinite(torch.view_as_real(x) if x.is_complex() else x).all() for x in result)
    empty = (kspace == 0).flatten(1).all(dim=1)
    assert not result.image[empty].any()
    assert result.image[~empty].flatten(1).any(dim=1).all()
    result.image.sum().backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network))
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()


@pytest.mark.parametrize("masked_by", ["columns", "samples"])
def test_gradients_pass_gradcheck(masked_by: str, random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = VarNet(2, 1, 1, 1).double()
    mask = column_mask(8, lines=4)
    mask = mask if masked_by == "columns" else mask.expand(1, 1, 6, 8)
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    weight = network.cascades[0].data_consistency_weight
    assert torch.autograd.gradcheck(lambda k, _: network(k, mask), (kspace, weight), fast_mode=True)


def test_checkpointing_saves_memory_and_keeps_gradients(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    saved: dict[str, int] = {}
    found: dict[str, list[torch.Tensor]] = {}
    for checkpointing in ("none", "sensitivity", "all"):
        torch.manual_seed(0)
        network = VarNet(2, 3, 2, 2, checkpointing=checkpointing)
        sizes: list[int] = []

        def keep(x: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(x.numel() * x.element_size())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            output = network(kspace, mask)
        saved[checkpointing] = sum(sizes)
        output.sum().backward()
        found[checkpointing] = gradients(network)

    assert saved["all"] < saved["sensitivity"] < saved["none"]
    for checkpointing in ("sensitivity", "all"):
        for ours, plain in zip(found[checkpointing], found["none"], strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-7)


def test_autocast_acts_on_the_unets_alone(network: VarNet, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask * 1e-5
    inside: list[torch.dtype] = []
    between: list[torch.dtype] = []
    for cascade in network.cascades:
        cascade.refinement.unet.register_forward_hook(lambda module, args, output: inside.append(output.dtype))
        cascade.register_forward_hook(lambda module, args, output: between.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network.reconstruct(kspace, mask)
        result.image.sum().backward()

    assert inside == [torch.bfloat16] * 2
    assert between == [torch.complex64] * 2
    assert [x.dtype for x in result] == [torch.float32, torch.complex64, torch.complex64]
    torch.testing.assert_close(result.sensitivity_maps.abs().square().sum(1), torch.ones(1, 32, 32))
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network))


def test_made_of_the_parts_given(random_kspace: Maker, column_mask: Maker) -> None:
    """As a bundle's configuration spells the network out; equal to the short form."""
    options: dict[str, Any] = {"normalization": "instance", "negative_slope": 0.2}
    spelled_out = VarNet(
        num_cascades=2,
        refinement=partial(NormUNet, channels=3, pools=2, **options),
        sensitivity_network=SensitivityNetwork(channels=2, pools=2, calibration="fastmri", coil_chunk=None, **options),
    )
    short = VarNet(2, 3, 2, 2)
    short.load_state_dict(spelled_out.state_dict())
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    torch.testing.assert_close(short(kspace, mask), spelled_out(kspace, mask), rtol=0, atol=0)
    assert spelled_out.cascades[0].refinement is not spelled_out.cascades[1].refinement


def test_takes_what_verification_tools_feed(network: VarNet) -> None:
    image = network(torch.rand(1, 4, 32, 32, 2))
    assert image.shape == (1, 1, 32, 32)
    assert image.dtype == torch.float32


def test_refuses_impossible_settings(network: VarNet, random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match="num_cascades must be at least 1, got 0"):
        VarNet(0)
    with pytest.raises(ValueError, match=r"unknown checkpointing 'cascades'; use one of"):
        VarNet(1, checkpointing="cascades")  # type: ignore[arg-type]
    mask = torch.ones(2, 1, 1, 32)
    mask[1, ..., 16] = 0
    with pytest.raises(CalibrationError, match=r"item\(s\) \[1\]"):
        network(random_kspace(2, 3, 32, 32), mask)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu(network: VarNet, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(2, 3, 40, 32, dtype=torch.complex128) * mask
    expected = network.double()(kspace, mask)
    result = network.cuda()(kspace.cuda(), mask)
    torch.testing.assert_close(result.cpu(), expected, rtol=1e-8, atol=1e-10)
