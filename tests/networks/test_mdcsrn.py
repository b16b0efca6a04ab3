"""The generator of super-resolution: counts, golden values, running statistics, checkpointing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import nn

from recon_monai.networks import MDCSRN, keep_running_statistics, load_weights, mdcsrn_from_e6040

FIXTURE = Path(__file__).parent.parent / "fixtures" / "mdcsrn_generator.npz"


def golden() -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Volume, output and weights of a published generator, its batch normalization in evaluation mode."""
    with np.load(FIXTURE) as file:
        arrays = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
    weights = {key.removeprefix("state_dict/"): value for key, value in arrays.items() if key.startswith("state_dict/")}
    return arrays["volume"], arrays["output"], weights


def small(**options: Any) -> MDCSRN:
    torch.manual_seed(0)
    return MDCSRN(2, 2, 3, 4, **options)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_the_published_number_of_parameters(norm: Any) -> None:
    network = MDCSRN(norm=norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == 411_648
    parts = [network.stem, network.levels[0].block, *(level.compressor for level in network.levels[1:]), network.head]
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [864, 97_216, 4_096, 7_168, 10_240, 416]
    assert not any(name.endswith("bias") and ".norm." not in name for name, _ in network.named_parameters())


@pytest.mark.parametrize(
    ("dtype", "tolerance", "checkpointing"),
    [(torch.float64, 1e-10, "none"), (torch.float32, 1e-5, "none"), (torch.float32, 1e-5, "blocks")],
)
def test_equal_to_the_published_code(dtype: torch.dtype, tolerance: float, checkpointing: Any) -> None:
    volume, expected, weights = golden()
    network = mdcsrn_from_e6040(weights).eval().to(dtype)
    network.checkpointing = checkpointing
    with torch.set_grad_enabled(checkpointing == "blocks"):
        output = network(volume.to(dtype)).detach()
    assert float((output - expected).norm() / expected.norm()) < tolerance


def test_sizes_and_old_weights_are_understood() -> None:
    """Weights of ``DataParallel``, from before batches were counted, of other sizes."""
    _, _, weights = golden()
    old = {f"module.{key}": value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    found, expected = mdcsrn_from_e6040(old).state_dict(), mdcsrn_from_e6040(weights).state_dict()
    counts = {key for key in expected if key.endswith("num_batches_tracked")}
    assert all(torch.equal(found[key], value) for key, value in expected.items() if key not in counts)
    assert len(counts) == 16
    assert not any(found[key] for key in counts)
    three = {key: value for key, value in weights.items() if not key.startswith(("block3", "comp2"))}
    three["recon.weight"] = weights["recon.weight"][:, :320]
    network = mdcsrn_from_e6040(three)
    assert network.architecture == MDCSRN(3).architecture
    assert len(network.levels) == 3


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    _, _, weights = golden()
    with pytest.raises(ValueError, match=r"no weights of mDCSRN: there is no levels.0.block.units.0.conv.weight"):
        mdcsrn_from_e6040({"conv.weight": torch.zeros(1)})
    missing = {key: value for key, value in weights.items() if key != "comp1.weight"}
    with pytest.raises(ValueError, match=r"key levels.2.compressor.weight of shape \(32, 224, 1, 1, 1\) is missing"):
        mdcsrn_from_e6040(missing)
    with pytest.raises(ValueError, match=r"key conv9.weight of the weights is unknown"):
        mdcsrn_from_e6040({**weights, "conv9.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="residual=False"):
        load_weights(small(residual=True), small().state_dict())


def test_the_head_is_the_convolution_of_all_features() -> None:
    """Computed without joining them; the plain convolution is the oracle."""
    head = small().double().head
    parts = [noise(2, 4, 3, 4, 5, dtype=torch.float64) for _ in range(1)] + [
        noise(2, 10, 3, 4, 5, dtype=torch.float64) * scale for scale in (2, 3)
    ]
    plain = nn.Conv3d(24, 1, 1, bias=False).double()
    plain.weight = head.weight
    torch.testing.assert_close(head(*parts), plain(torch.cat(parts, 1)))


def test_a_residual_network_starts_as_the_identity_and_learns() -> None:
    network, image = small(residual=True), noise(1, 1, 5, 6, 7)
    output = network(image)
    assert torch.equal(output, image)
    assert output.data_ptr() != image.data_ptr(), "inferers multiply outputs in place"
    network(image).square().mean().backward()
    assert network.head.weight.grad is not None
    assert float(network.head.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_checkpointing_changes_neither_gradients_nor_statistics(norm: Any) -> None:
    plain = small(norm=norm).double()
    saving = small(norm=norm, checkpointing="blocks").double()
    saving.load_state_dict(plain.state_dict())
    image = noise(2, 1, 4, 5, 6, dtype=torch.float64)
    for network in (plain, saving):
        for _ in range(2):
            network(image).square().mean().backward()
    for (name, found), expected in zip(saving.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-12, atol=0, msg=name)
    buffers = dict(saving.named_buffers())
    for name, expected in plain.named_buffers():
        torch.testing.assert_close(buffers[name], expected, rtol=1e-12, atol=0, msg=name)
    if norm == "batch":
        assert {int(value) for name, value in buffers.items() if name.endswith("num_batches_tracked")} == {2}


@pytest.mark.parametrize("checkpointing", ["none", "blocks"])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_second_derivatives(norm: Any, checkpointing: Any) -> None:
    """Against finite differences of the first ones."""
    torch.manual_seed(0)
    network = MDCSRN(2, 1, 1, 2, norm=norm, checkpointing=checkpointing).double()
    image = noise(1, 1, 2, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda value: network(value), image, fast_mode=True)


def test_checkpointing_keeps_less() -> None:
    """Bytes that the graph keeps, beyond the weights."""

    def kept(checkpointing: Any) -> int:
        network, sizes = small(checkpointing=checkpointing), {}
        own = {parameter.data_ptr() for parameter in network.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.update({tensor.data_ptr(): tensor.nbytes}) or tensor, lambda tensor: tensor
        ):
            result = network(noise(1, 1, 8, 8, 8))
        assert result.requires_grad
        return sum(size for address, size in sizes.items() if address not in own)

    assert kept("blocks") < 0.5 * kept("none")


def test_statistics_are_kept_while_the_network_normalizes_as_in_training() -> None:
    network = small()
    image = 3 + noise(2, 1, 4, 4, 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    buffers = [value.data_ptr() for value in network.buffers()]
    with torch.no_grad(), keep_running_statistics(network):
        kept = network(image)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert [value.data_ptr() for value in network.buffers()] == buffers, "the tensors themselves stay"
    assert torch.equal(kept, network(image).detach())
    assert any(not torch.equal(value, before[key]) for key, value in network.state_dict().items())
    after = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), keep_running_statistics(network):
        network(image)
        raise RuntimeError("stop")
    assert all(torch.equal(value, after[key]) for key, value in network.state_dict().items())


def test_the_image_is_not_rounded_to_bfloat16() -> None:
    """The last convolution is exact: what enters it may be rounded, its result not."""
    network = small(norm="instance")
    image = noise(1, 1, 8, 8, 8)
    with torch.no_grad():
        exact = network(image)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(image)
    assert output.dtype == torch.float32
    assert not torch.equal(output, output.bfloat16().float())
    assert not torch.equal(output, exact)
    assert float((output - exact).norm() / exact.norm()) < 0.05


def test_small_volumes_are_in_single_precision_on_the_processor() -> None:
    """Whose convolutions in bfloat16 are not to be trusted there."""
    network, image = small(norm="group", checkpointing="blocks"), noise(2, 1, 3, 8, 8)
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            output = network(image)
        gradients.append(torch.autograd.grad(output.square().sum(), list(network.parameters())))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 7, 2), (5, 3, 9)])
def test_any_size(norm: Any, size: tuple[int, int, int]) -> None:
    network = MDCSRN(1, 2, 8, 16, norm=norm).eval()
    image = noise(2, 1, *size)
    output = network(image)
    assert output.shape == image.shape
    assert bool(torch.isfinite(output).all())
    torch.testing.assert_close(output[:1], network(image[:1]), msg="samples are independent")


def test_windows_over_a_volume_and_meta_tensors() -> None:
    """MONAI's inferer multiplies what it gets in place; the input must survive, and a residual of 0 give it back."""
    network = small(residual=True).eval()
    image = MetaTensor(noise(1, 1, 12, 9, 10))
    before = image.clone()
    with torch.no_grad():
        merged = SlidingWindowInferer(8, overlap=0.5, mode="gaussian")(image, network)
    assert torch.equal(image, before)
    torch.testing.assert_close(torch.as_tensor(merged), torch.as_tensor(before), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 4, 4, 4), r"torch.float32 of shape \(1, 4, 4, 4\); add batch and channel dimensions"),
        (torch.zeros(1, 2, 4, 4, 4), r"got torch.float32 of shape \(1, 2, 4, 4, 4\)"),
        (torch.zeros(1, 1, 4, 4, 4, dtype=torch.complex64), "got torch.complex64"),
        (torch.zeros(1, 1, 4, 4, 4, dtype=torch.int16), "make integers floating point"),
    ],
)
def test_other_inputs_are_refused(image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small()(image)


def test_other_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1, got .*'units': 0"):
        MDCSRN(units=0)
    with pytest.raises(ValueError, match="unknown normalization 'layer'"):
        small(norm="layer")
    with pytest.raises(ValueError, match="unknown checkpointing 'all'"):
        small(checkpointing="all")
