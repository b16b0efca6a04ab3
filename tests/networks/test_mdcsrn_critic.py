"""The critic: counts of the presets, scores of each sample alone, and what the gradient penalty needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recon_monai.losses import gradient_penalty
from recon_monai.networks import MDCSRNCritic, load_weights


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def small(**options: Any) -> MDCSRNCritic:
    torch.manual_seed(0)
    return MDCSRNCritic(**{"width": 2, **options})


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 14_578_881),
        ({"width": 32}, 3_779_169),
        ({"preset": "paper31m"}, 31_155_777),
        ({"preset": "slide17m"}, 17_628_929),
        ({"preset": "slide17m", "norm": "group"}, 1_052_033),
        ({"preset": "paper31m", "patch_size": 32}, 16_647_745),
        ({"norm": "layer"}, 31_155_777),
    ],
    ids=str,
)
def test_the_published_numbers_of_parameters(options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        critic = MDCSRNCritic(**options)
    assert sum(parameter.numel() for parameter in critic.parameters()) == count


def test_maps_of_positions_are_most_of_the_compressed_critic() -> None:
    with torch.device("meta"):
        critic = MDCSRNCritic("slide17m")
    assert sum(p.numel() for stage in critic.stages[1:] for p in stage.norm.parameters()) == 16_580_608


@pytest.mark.parametrize("size", [(1, 1, 1), (16, 16, 16), (5, 9, 7), (17, 3, 20)])
def test_scores_of_any_size_depend_on_one_sample_each(size: tuple[int, int, int]) -> None:
    critic, image = small(), noise(3, 1, *size)
    scores = critic(image)
    assert scores.shape == (3,)
    torch.testing.assert_close(scores, torch.cat([critic(one[None]) for one in image]))
    image.requires_grad_()
    [gradient] = torch.autograd.grad(critic(image)[1], image)
    assert not gradient[[0, 2]].any()


@pytest.mark.parametrize("preset", ["paper31m", "slide17m"])
def test_presets_run_at_their_size_and_refuse_others(preset: Any) -> None:
    critic = small(preset=preset, patch_size=(17, 16, 12))
    image = noise(2, 1, 17, 16, 12)
    torch.testing.assert_close(critic(image)[:1], critic(image[:1]))
    with pytest.raises(ValueError, match=r"built for patches of \(17, 16, 12\), got \(16, 16, 16\).*norm='group'"):
        critic(noise(1, 1, 16, 16, 16))
    assert float(gradient_penalty(critic, image, -image, epsilon=torch.tensor([0.2, 0.7])).detach()) > 0


def test_every_voxel_counts_by_default_and_few_in_the_compressed_preset() -> None:
    """The field of view of the gradient; single-voxel convolutions leave out what their strides step over."""
    image = noise(1, 1, 32, 32, 32).requires_grad_()
    torch.manual_seed(0)
    [gradient] = torch.autograd.grad(MDCSRNCritic(width=2)(image).sum(), image)
    assert float((gradient != 0).double().mean()) == 1
    # without normalization, which couples all positions
    critic = small(preset="slide17m", patch_size=32)
    for stage in critic.stages:
        stage.norm = torch.nn.Identity()
    [gradient] = torch.autograd.grad(critic(image).sum(), image)
    assert float((gradient != 0).double().mean()) < 0.01


def test_the_critic_is_not_linear() -> None:
    """A slope of 1 in the published code left the normalization as its only non-linearity."""
    critic = small().double()
    for stage in critic.stages:
        stage.norm = torch.nn.Identity()
    first, second = noise(1, 1, 8, 8, 8, dtype=torch.float64), noise(2, 1, 8, 8, 8, dtype=torch.float64)[1:]
    zero = critic(torch.zeros_like(first))
    bent = critic(first + second) - critic(first) - critic(second) + zero
    assert abs(bent.item()) > 1e-3 * abs(critic(first) - zero).item()


@pytest.mark.parametrize("checkpointing", ["none", "blocks"])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_second_derivatives(checkpointing: Any, slope: float) -> None:
    """Of the penalty by a weight, and of the score by the input, against finite differences."""
    critic = small(checkpointing=checkpointing, slope=slope, width=1).double()
    real, fake = noise(2, 2, 1, 4, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda value: critic(value), real.requires_grad_(), fast_mode=True)
    weight = critic.stages[2].conv.weight.detach().clone().requires_grad_()

    def penalty(value: torch.Tensor) -> torch.Tensor:
        return gradient_penalty(
            lambda image: torch.func.functional_call(critic, {"stages.2.conv.weight": value}, image),
            real,
            fake,
            epsilon=torch.tensor([0.3, 0.8]),
        )

    if checkpointing == "none":  # a checkpoint looks its parameters up anew
        assert torch.autograd.gradcheck(penalty, weight, fast_mode=True)


def test_checkpointing_changes_no_gradient_of_the_penalty() -> None:
    gradients = []
    for checkpointing in ("none", "blocks"):
        critic = small(checkpointing=checkpointing).double()
        real, fake = noise(2, 2, 1, 9, 8, 8, dtype=torch.float64)
        gradient_penalty(critic, real, fake, epsilon=torch.tensor([0.3, 0.8])).backward()
        gradients.append([parameter.grad for parameter in critic.parameters() if parameter.grad is not None])
    assert len(gradients[0]) > 20
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("checkpointing", ["none", "blocks"])
def test_scores_stay_in_single_precision_under_autocast(checkpointing: Any) -> None:
    """And gradients are finite and near the exact ones, though the last maps have one voxel."""
    critic, image = small(width=8, checkpointing=checkpointing), noise(2, 1, 16, 16, 16)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            scores = critic(image)
        gradients = torch.autograd.grad(scores.square().sum(), list(critic.parameters()))
        found.append((scores.detach(), torch.cat([gradient.flatten() for gradient in gradients])))
    (exact, gradient), (scores, rounded) = found
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())
    assert not torch.equal(scores, exact), "nothing was rounded"
    torch.testing.assert_close(scores, exact, rtol=0.05, atol=0.01)
    assert float((rounded - gradient).norm() / gradient.norm()) < 0.1


def test_weights_carry_their_sizes() -> None:
    weights = small().state_dict()
    load_weights(small(), weights)
    with pytest.raises(ValueError, match="width=2, the network has width=3"):
        load_weights(small(width=3), weights)
    with pytest.raises(ValueError, match="norm=group, the network has norm=layer"):
        load_weights(small(norm="layer", patch_size=8), weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "paper"}, "unknown preset 'paper'"),
        ({"norm": "batch"}, "'batch' of the critic; use one of .* scores that depend on one sample each"),
        ({"slope": 1.0}, r"a slope in \[0, 1\), got 2 and 1.0"),
        ({"width": 0}, "a width of at least 1"),
        ({"norm": "layer", "patch_size": (8, 8)}, r"a patch size of one or three numbers .* got \(8, 8\)"),
        ({"checkpointing": "all"}, "unknown checkpointing 'all'"),
    ],
)
def test_other_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)
