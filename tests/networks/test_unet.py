from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from recon_monai.networks import NormUNet, UNet
from recon_monai.networks.blocks import ConvBlock


def test_unet_follows_its_definition() -> None:
    """One level, written out with torch's own layers."""
    torch.manual_seed(0)
    unet = UNet(2, 2, channels=3, pools=1, negative_slope=0.2).double()
    x = torch.randn(2, 2, 8, 6, dtype=torch.float64)

    def block(features: torch.Tensor, module: torch.nn.Module) -> torch.Tensor:
        for weight in (module.conv1.weight, module.conv2.weight):
            features = F.leaky_relu(F.instance_norm(F.conv2d(features, weight, padding=1)), 0.2)
        return features

    top = block(x, unet.encoder[0])
    bottleneck = block(F.avg_pool2d(top, 2), unet.encoder[1])
    up = F.conv_transpose2d(bottleneck, unet.upsample[0].conv.weight, stride=2)
    up = F.leaky_relu(F.instance_norm(up), 0.2)
    merged = block(torch.cat([up, top], dim=1), unet.decoder[0])
    expected = F.conv2d(merged, unet.head.weight, unet.head.bias)

    torch.testing.assert_close(unet(x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(unet.encode(x)[0], top, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(unet.encode(x)[1], bottleneck, rtol=1e-10, atol=1e-10)


def test_features_of_a_level_are_those_a_hook_sees() -> None:
    torch.manual_seed(0)
    unet = UNet(channels=3, pools=3)
    x = torch.randn(1, 2, 16, 24)
    seen = []
    handle = unet.encoder[1].register_forward_hook(lambda module, args, output: seen.append(output))
    output = unet(x)
    handle.remove()

    features = unet.encode(x)
    assert [tuple(f.shape[1:]) for f in features] == [(3, 16, 24), (6, 8, 12), (12, 4, 6), (24, 2, 3)]
    torch.testing.assert_close(seen[0], features[1], rtol=0, atol=0)
    torch.testing.assert_close(unet.decode(features), output, rtol=0, atol=0)


def test_memory_format_changes_nothing_but_time() -> None:
    torch.manual_seed(0)
    fast = UNet(channels=4, pools=2, channels_last=True).double()
    plain = UNet(channels=4, pools=2, channels_last=False).double()
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 2, 12, 8, dtype=torch.float64)

    assert fast.encoder[1].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-10, atol=1e-12)
    fast(x).square().sum().backward()
    plain(x).square().sum().backward()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_block_takes_a_skip_as_if_concatenated(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    block = ConvBlock(5, 4).double()
    features, skip = torch.randn(2, 3, 6, 7, dtype=torch.float64), torch.randn(2, 2, 6, 7, dtype=torch.float64)
    features, skip = (x.contiguous(memory_format=memory_format).requires_grad_() for x in (features, skip))
    apart, together = block(features, skip), block(torch.cat([features, skip], dim=1))
    torch.testing.assert_close(apart, together, rtol=1e-10, atol=1e-12)
    inputs = (features, skip, *block.parameters())
    for ours, expected in zip(*(torch.autograd.grad(y.square().sum(), inputs) for y in (apart, together)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)


def test_unet_names_the_sizes_it_needs() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \(32, 24\)"):
        UNet(pools=4)(torch.zeros(1, 2, 32, 24))


class TestNormUNet:
    def test_normalizes_pads_and_undoes_both(self) -> None:
        """With the U-Net replaced by a recorder that returns its input, the image comes back."""
        net = NormUNet(3, 2)
        seen = []

        class Recorder(torch.nn.Module):
            def forward(self, x: torch.Tensor, anatomy: torch.Tensor | None = None) -> torch.Tensor:
                seen.append(x)
                return x

        net.unet = Recorder()
        image = torch.randn(2, 1, 35, 29, dtype=torch.complex128) * (3 + 1j) + 2
        torch.testing.assert_close(net(image), image, rtol=1e-12, atol=1e-12)

        (padded,) = seen
        assert padded.shape == (2, 2, 48, 32)
        inside = padded[:, :, 6:41, 1:30]  # 13 rows: 6 above, 7 below; 3 columns: 1 left, 2 right
        assert float(padded.square().sum() - inside.square().sum()) == pytest.approx(0, abs=1e-9)
        expected = (image.real - image.real.mean((-2, -1), keepdim=True)) / image.real.std((-2, -1), keepdim=True)
        torch.testing.assert_close(inside[:, :1], expected)

    @pytest.mark.parametrize("scale", [2.0**-27, 2.0**20])
    def test_scale_of_the_input_is_scale_of_the_output(
        self, scale: float, random_kspace: Callable[..., torch.Tensor]
    ) -> None:
        torch.manual_seed(0)
        net = NormUNet(3, 2)
        image = random_kspace(1, 1, 20, 18)
        with torch.no_grad():
            torch.testing.assert_close(net(image * scale), net(image) * scale, rtol=1e-5, atol=1e-5 * scale)

    def test_constant_parts_come_back_as_they_are(self) -> None:
        torch.manual_seed(0)
        net = NormUNet(3, 2)
        image = torch.full((1, 1, 16, 16), 0.5 - 2j, requires_grad=True)
        output = net(image)
        torch.testing.assert_close(output, image, rtol=0, atol=0)
        output.abs().sum().backward()
        assert image.grad is not None
        assert torch.isfinite(image.grad).all()

    def test_more_poolings_pad_to_their_own_multiple(self, random_kspace: Callable[..., torch.Tensor]) -> None:
        output = NormUNet(1, 5)(random_kspace(1, 1, 40, 33))
        assert output.shape == (1, 1, 40, 33)
        assert torch.isfinite(output).all()
