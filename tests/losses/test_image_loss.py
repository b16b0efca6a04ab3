"""Total variation, perceptual loss and their weighted sum with PyTorch's losses, against formulas by hand."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor, nn

from recon_monai.losses import ImageLoss, PerceptualLoss, TotalVariationLoss
from recon_monai.networks import MDCSRN, MDCSRNCritic


def images(*shape: int) -> tuple[Tensor, Tensor]:
    shape = shape or (2, 1, 4, 5, 3)
    first, second = torch.randn((2, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.BatchNorm3d(2), nn.ELU(), nn.Conv3d(2, 3, 1)).double()


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("shape", [(2, 2, 5), (1, 2, 4, 5), (2, 1, 3, 4, 5)])
def test_total_variation_by_loops(isotropic: bool, shape: tuple[int, ...]) -> None:
    image, _ = images(*shape)
    values = image.numpy()
    expected = 0.0
    for index in np.ndindex(*shape):
        steps = []
        for axis in range(2, len(shape)):
            after = tuple(place + (number == axis) for number, place in enumerate(index))
            steps.append(values[after] - values[index] if after[axis] < shape[axis] else 0.0)
        expected += np.linalg.norm(steps) if isotropic else np.abs(steps).sum()
    assert float(TotalVariationLoss(isotropic)(image)) == pytest.approx(expected / values.size, rel=1e-12)


def test_total_variation_of_an_edge_and_of_nothing() -> None:
    """The area of the edge times its height; a constant has no gradient, not even NaN."""
    image = torch.zeros(1, 1, 4, 4, 4)
    image[..., 2:] = 3
    assert float(TotalVariationLoss()(image)) == pytest.approx(16 * 3 / 64)
    for isotropic in (True, False):
        flat = torch.ones(1, 1, 3, 3, requires_grad=True)
        TotalVariationLoss(isotropic)(flat).backward()
        assert flat.grad is not None and torch.equal(flat.grad, torch.zeros_like(flat))
    with pytest.raises(ValueError, match=r"needs images \(B, C, ...\)"):
        TotalVariationLoss()(torch.zeros(3, 3))


def test_a_denoiser_by_total_variation_lowers_it() -> None:
    """That of scikit-image minimizes this measure plus the distance."""
    image = images(1, 1, 12, 12)[0]
    smooth = torch.from_numpy(denoise_tv_chambolle(image[0, 0].numpy(), weight=0.3, eps=1e-8, max_num_iter=2000))
    found = smooth[None, None]

    def objective(value: Tensor) -> float:
        return 0.3 * float(TotalVariationLoss()(value)) * 144 + 0.5 * float((value - image).square().sum())

    assert objective(found) < objective(image)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        other = found + 0.01 * torch.randn(found.shape, generator=generator, dtype=found.dtype)
        assert objective(found) < objective(other)


@pytest.mark.parametrize("isotropic", [True, False])
def test_gradients_of_total_variation_are_exact(isotropic: bool) -> None:
    image = images(1, 1, 3, 4, 2)[0].requires_grad_()
    assert torch.autograd.gradcheck(TotalVariationLoss(isotropic), image)


def test_the_perceptual_loss_is_the_relative_error_of_the_features() -> None:
    network = layers().eval()
    prediction, target = images()
    loss = PerceptualLoss(network, ["0", "3"], [2.0, 0.5])
    expected = torch.zeros((), dtype=torch.float64)
    for depth, weight in ((1, 2.0), (4, 0.5)):
        found, wanted = (network[:depth](value) for value in (prediction, target))
        expected = expected + weight * (found - wanted).square().mean() / wanted.square().mean()
    torch.testing.assert_close(loss(prediction, target), expected)
    assert float(loss(target, target)) == 0
    zero = PerceptualLoss(nn.Sequential(nn.Identity()), ["0"])
    torch.testing.assert_close(zero(0 * target, target), torch.ones((), dtype=torch.float64))
    assert float(zero(0 * target, 0 * target)) == 0


def test_gradients_go_to_the_prediction_alone_and_are_exact() -> None:
    loss = PerceptualLoss(layers(), ["0", "2"])
    prediction, target = (value.requires_grad_() for value in images(1, 1, 3, 3, 2))
    assert torch.autograd.gradcheck(lambda value: loss(value, target.detach()), prediction)
    loss(prediction, target).backward()
    assert prediction.grad is not None and target.grad is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loss.parameters())


def test_the_network_is_a_copy_in_evaluation_mode() -> None:
    """A network that is being trained goes on as it was, and the loss does not follow it."""
    network = layers().train()
    before = copy.deepcopy(network.state_dict())
    loss = PerceptualLoss(network, ["3"]).train()
    prediction, target = images()
    value = float(loss(prediction, target))
    assert all(torch.equal(network.state_dict()[name], kept) for name, kept in before.items())
    assert all(torch.equal(loss.features.state_dict()[name], kept) for name, kept in before.items())
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert not loss.features.training
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert float(loss(prediction, target)) == value
    assert not any(module._forward_hooks for module in loss.features.modules()), "no hook is left"


@pytest.mark.parametrize(
    ("network", "names"),
    [(MDCSRN(2, 1, 2, 2), ["levels.0", "levels.1"]), (MDCSRNCritic(width=2), ["stages.0", "stages.3"])],
)
def test_features_of_the_networks_that_are_trained_here(network: nn.Module, names: list[str]) -> None:
    loss = PerceptualLoss(network, names)
    prediction, target = (value.float().requires_grad_() for value in images(1, 1, 6, 6, 6))
    loss(MetaTensor(prediction), target).backward()
    assert prediction.grad is not None and float(prediction.grad.abs().max()) > 0


def test_layers_that_say_nothing_are_refused() -> None:
    prediction, target = images()
    with pytest.raises(ValueError, match=r"layers are \['9'\], expected some of Sequential's: 0, 1, 2, 3"):
        PerceptualLoss(layers(), ["9"])
    with pytest.raises(ValueError, match=r"layers are \[\]"):
        PerceptualLoss(layers(), [])
    with pytest.raises(ValueError, match="1 weights for 2 layers"):
        PerceptualLoss(layers(), ["0", "1"], [1.0])
    with pytest.raises(ValueError, match="differ in shape"):
        PerceptualLoss(layers(), ["0"])(prediction, target[:1])
    unused = layers()
    unused.spare = nn.Identity()
    unused.forward = lambda image: unused[0](image)  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match=r"made no tensor in \['spare'\]"):
        PerceptualLoss(unused, ["spare"])(prediction, target)


def test_the_sum_of_all_losses_by_hand() -> None:
    prediction, target = images()
    difference = (prediction - target).numpy()
    huber = np.where(np.abs(difference) < 0.7, difference**2 / 2, 0.7 * (np.abs(difference) - 0.35)).mean()
    perceptual = PerceptualLoss(layers(), ["0"])
    weights = {"l1": 1.0, "l2": 0.5, "huber": 2.0, "total_variation": 0.1, "perceptual": 0.2}
    expected = np.abs(difference).mean() + 0.5 * (difference**2).mean() + 2 * huber
    expected += 0.1 * float(TotalVariationLoss()(prediction)) + 0.2 * float(perceptual(prediction, target))
    loss = ImageLoss(weights, delta=0.7, perceptual=perceptual)
    assert float(loss(prediction, target)) == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda value: loss(value, target), prediction.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize(("name", "plain"), [("l1", nn.L1Loss()), ("l2", nn.MSELoss()), ("huber", nn.HuberLoss())])
def test_a_single_loss_is_that_of_pytorch(name: str, plain: nn.Module) -> None:
    prediction, target = images()
    loss = ImageLoss({"l1": 0, "l2": 0, "huber": 0, "total_variation": 0, name: 1})
    assert torch.equal(loss(prediction, target), plain(prediction, target))
    assert list(loss.losses) == [name]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"l3": 1}, {}, "expected some of l1, l2, huber"),
        ({"l1": -1}, {}, "none negative"),
        ({"l1": 0}, {}, "not all 0"),
        ({}, {}, "not all 0"),
        ({"perceptual": 1}, {}, "give a PerceptualLoss and its weight, or neither"),
        ({"l1": 1}, {"perceptual": PerceptualLoss(nn.Sequential(nn.Identity()), ["0"])}, "or neither"),
    ],
)
def test_weights_that_make_no_loss_are_refused(weights: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageLoss(weights, **options)
