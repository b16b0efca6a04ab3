from __future__ import annotations

import pytest
import torch

from recon_monai.networks import SqueezeExcitation


@pytest.mark.parametrize("shape", [(2, 12, 5, 7), (2, 12, 3, 4, 5)], ids=["2-D", "3-D"])
def test_equals_the_computation_by_hand(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = SqueezeExcitation(12, 1 / 4, spatial_dims=len(shape) - 2).double()
    features = torch.randn(shape, dtype=torch.float64)
    (inner, inner_bias), (outer, outer_bias) = (
        (layer.fc[index].weight.detach().numpy(), layer.fc[index].bias.detach().numpy()) for index in (0, 2)
    )
    assert inner.shape == (3, 12)
    result = layer(features).detach().numpy()
    for sample, ours in zip(features.numpy(), result, strict=True):
        hidden = inner @ sample.reshape(12, -1).mean(axis=1) + inner_bias
        gate = 1 / (1 + torch.from_numpy(-(outer @ hidden.clip(min=0) + outer_bias)).exp().numpy())
        expected = (sample.reshape(12, -1) * gate[:, None]).reshape(sample.shape)
        torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("channels", "ratio", "width"),
    [(4, 1 / 8, 1), (20, 1 / 8, 2), (160, 1 / 8, 20), (12, 1 / 16, 1), (128, 1 / 16, 8), (10, 0.45, 4), (7, 1, 7)],
)
def test_inner_width_is_the_ratio_rounded_down_and_at_least_one(channels: int, ratio: float, width: int) -> None:
    assert SqueezeExcitation(channels, ratio).fc[0].out_features == width == max(1, int(ratio * channels))


@pytest.mark.parametrize("ratio", [0, -0.5, 1.5])
def test_refuses_impossible_ratios(ratio: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        SqueezeExcitation(8, ratio)
