"""The other way to the gradient of a convolution's weights, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recon_monai.networks.blocks import VolumeConv, volume_conv


@pytest.fixture(params=["other way", "as it is"])
def conv(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[VolumeConv]:
    """With the other way whatever the processor, and with what this processor takes."""
    if request.param == "other way":
        monkeypatch.setattr(volume_conv, "_is_slow", lambda volumes: True)
    return VolumeConv


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 3, 6, 6, 6), (4, 3, 5, 7, 6), (2, 3, 1, 2, 9)])
def test_results_and_gradients_are_those_of_pytorch(
    conv: type[VolumeConv], shape: tuple[int, ...], bias: bool, kernel_size: int
) -> None:
    ours = conv(3, 4, kernel_size, bias=bias)
    theirs = nn.Conv3d(3, 4, kernel_size, padding=kernel_size // 2, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    inputs = [torch.randn(shape, requires_grad=True, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    results = [network(one) for network, one in zip((ours, theirs), inputs, strict=True)]
    direction = torch.randn_like(results[0])
    for result in results:
        (result * direction).sum().backward()
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-5, atol=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_it_can_be_differentiated_twice(conv: type[VolumeConv]) -> None:
    layer = conv(2, 3).double()
    inputs = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def result(volumes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (volumes,))

    assert torch.autograd.gradcheck(result, (inputs, layer.weight))
    assert torch.autograd.gradgradcheck(result, (inputs, layer.weight))


def test_a_frozen_layer_gives_no_gradient_of_its_weights(conv: type[VolumeConv]) -> None:
    layer = conv(2, 3).requires_grad_(False)
    inputs = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    layer(inputs).sum().backward()
    assert layer.weight.grad is None
    assert inputs.grad is not None


def test_which_convolutions_take_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def node_of(layer: VolumeConv, dtype: torch.dtype = torch.float32) -> str:
        return str(layer(torch.ones(1, 1, 3, 3, 3, dtype=dtype)).grad_fn)

    for capability, expected in (("AVX2", True), ("DEFAULT", True), ("AVX512", False), ("AVX512_VNNI", False)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda found=capability: found)
        assert ("_Convolution" in node_of(VolumeConv(1, 1))) == expected
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert "_Convolution" not in node_of(VolumeConv(1, 1).eval())
    assert "_Convolution" not in node_of(VolumeConv(1, 1).double(), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert "_Convolution" not in node_of(VolumeConv(1, 1))


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="odd, got 2"):
        VolumeConv(1, 1, 2)
