"""The strategies of super-resolution under one interface: start, gradients, sizes, precision, checkpointing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from recon_monai.inferers import SeamlessInferer
from recon_monai.networks import (
    BackProjectionSR,
    PixelShuffleSR,
    ProgressiveSR,
    ResidualUNetSR,
    SuperResolutionStrategy,
    load_weights,
)
from recon_monai.networks.nets.back_projection_sr import DownProjection, UpProjection

Make = Callable[..., SuperResolutionStrategy]

SMALL: dict[str, Make] = {
    "pixel shuffle": lambda **options: PixelShuffleSR(2, 3, 2, **options),
    "in plane": lambda **options: PixelShuffleSR([2, 1, 2], 3, 1, sampling="first", **options),
    "progressive": lambda **options: ProgressiveSR(2, 2, 3, 1, **options),
    "progressive in plane": lambda **options: ProgressiveSR(2, (1, 2, 2), 3, 1, sampling="first", **options),
    "back projection": lambda **options: BackProjectionSR(2, 2, 2, **options),
    "back projection in plane": lambda **options: BackProjectionSR([2, 2, 1], 2, 3, **options),
    "unet": lambda **options: ResidualUNetSR([2, 3, 4], **options),
}


def made(name: str, *, learned: bool = True, **options: Any) -> SuperResolutionStrategy:
    """A small network; a learned one has no weight of 0 any more."""
    torch.manual_seed(0)
    network = SMALL[name](**options).double()
    if learned:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize(
    ("network", "count"),
    [(PixelShuffleSR, 401_384), (ProgressiveSR, 416_618), (BackProjectionSR, 384_954), (ResidualUNetSR, 415_857)],
)
def test_the_number_of_parameters_is_about_that_of_mdcsrn(network: Any, count: int) -> None:
    assert sum(parameter.numel() for parameter in network().parameters()) == count
    assert abs(count / 411_648 - 1) < 0.07


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 7, 9), (1, 2, 3)])
def test_they_start_as_the_interpolation(name: str, shape: tuple[int, int, int]) -> None:
    image = noise(2, 1, *shape)
    output = made(name, learned=False)(image)
    assert torch.equal(output, image)
    assert output.data_ptr() != image.data_ptr(), "inferers multiply outputs in place"


@pytest.mark.parametrize("name", SMALL)
def test_they_learn_from_the_start_and_then_everywhere(name: str) -> None:
    network, image = made(name, learned=False), noise(1, 1, 8, 8, 8)
    target = noise(1, 1, 8, 8, 8).flip(2)
    (network(image) - target).square().mean().backward()
    heads = [value for key, value in network.named_parameters() if key.startswith("head")]
    assert all(float(value.grad.abs().max()) > 0 for value in heads if value.grad is not None)
    network, image = made(name), image.requires_grad_()
    (network(image) - target).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, key
    assert image.grad is not None and bool((image.grad != 0).all())


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_exact(name: str) -> None:
    network = made(name)
    image = noise(1, 1, 4, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(network, image, fast_mode=True)


@pytest.mark.parametrize("name", SMALL)
def test_an_odd_volume_is_the_beginning_of_one_that_its_last_voxels_continue(name: str) -> None:
    network, image = made(name), noise(1, 1, 5, 6, 7)
    missing = [-size % multiple for size, multiple in zip((5, 6, 7), network.multiple, strict=True)]
    assert any(missing)
    whole = torch.nn.functional.pad(image, [0, missing[2], 0, missing[1], 0, missing[0]], mode="replicate")
    torch.testing.assert_close(network(image), network(whole)[:, :, :5, :6, :7], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_samples_of_a_batch_do_not_touch_each_other(name: str) -> None:
    network, image = made(name), noise(3, 1, 6, 5, 4)
    torch.testing.assert_close(network(image)[1:2], network(image[1:2]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_volumes_smaller_and_larger_than_a_window(name: str) -> None:
    network = made(name).eval()
    for shape in ((5, 6, 7), (14, 9, 5)):
        image = noise(1, 1, *shape)
        with torch.no_grad():
            found = SeamlessInferer(window=8)(image, network)
        assert found.shape == image.shape and bool(torch.isfinite(found).all())
    small = noise(1, 1, 5, 6, 7)
    with torch.no_grad():
        padded = torch.nn.functional.pad(small, [0, 1, 1, 1, 1, 2], mode="replicate")
        torch.testing.assert_close(SeamlessInferer(window=8)(small, network), network(padded)[:, :, 1:6, 1:7, 0:7])


@pytest.mark.parametrize("name", SMALL)
def test_checkpointing_changes_no_gradient(name: str) -> None:
    plain, saving = made(name), made(name, checkpointing="blocks")
    image = noise(1, 1, 4, 6, 5)
    for network in (plain, saving):
        network(image).square().mean().backward()
    for (key, found), expected in zip(saving.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-12, atol=0, msg=key)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [6, 16])
def test_under_autocast_the_image_keeps_its_precision(name: str, size: int) -> None:
    network, image = made(name).float(), noise(1, 1, size, size, size, dtype=torch.float32)
    expected = network(image).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(image)
        found.square().mean().backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1 * float((expected - image).abs().max()))
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in network.parameters())
    untrained = made(name, learned=False).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(untrained(image), image)


@pytest.mark.parametrize("name", SMALL)
def test_weights_know_their_network(name: str) -> None:
    network, other = made(name), made(name, learned=False)
    load_weights(other, network.state_dict())
    image = noise(1, 1, 4, 4, 4)
    assert torch.equal(other(image), network(image))
    with pytest.raises(ValueError, match="does not fit this"):
        load_weights(made("unet" if name != "unet" else "progressive"), copy.deepcopy(network.state_dict()))


def test_a_network_of_few_samples_sees_those_alone() -> None:
    """With ``"first"``, other voxels pass to the output and change nothing else; with ``"all"`` they do."""
    image = noise(1, 1, 4, 4, 4)
    changed = image.clone()
    changed[0, 0, 1, 1, 1] += 1
    for sampling in ("first", "all"):
        torch.manual_seed(0)
        network = PixelShuffleSR(2, 3, 1, sampling=sampling).double()  # type: ignore[arg-type]
        torch.nn.init.normal_(network.head.weight)
        correction = [network(value) - value for value in (image, changed)]
        assert torch.allclose(*correction, atol=1e-12) == (sampling == "first")


def test_levels_of_the_pyramid_add_up() -> None:
    """A ramp on the coarser level, refined, and a constant on the finer one."""
    network = made("progressive")
    ramp = torch.arange(4, dtype=torch.float64)[:, None, None].expand(1, 1, 4, 4, 4)
    with torch.no_grad():
        for head in network.heads:  # type: ignore[union-attr]
            head.weight.zero_()
            head.bias.zero_()
        network.heads[1].bias.fill_(0.5)  # type: ignore[index, union-attr]
        network.heads[0].register_forward_hook(lambda *_: ramp)  # type: ignore[index, union-attr]
        found = network.correction(noise(1, 1, 8, 8, 8))
    expected = (torch.arange(8, dtype=torch.float64) / 2).clamp(max=3) + 0.5
    torch.testing.assert_close(found[0, 0, :, 3, 5], expected)


@pytest.mark.parametrize("factor", [(2, 2, 2), (1, 2, 3)])
def test_ways_up_and_down_with_one_kernel_are_adjoint(factor: Any) -> None:
    torch.manual_seed(0)
    projection = UpProjection(2, factor).double()
    up, down = projection.up[0], projection.down[0]
    with torch.no_grad():
        down.weight.copy_(up.weight)
        for conv in (up, down):
            conv.bias.zero_()
    coarse = noise(1, 2, 3, 4, 3) - 0.5
    fine = noise(1, 2, *(size * times for size, times in zip((3, 4, 3), factor, strict=True))) - 0.5
    torch.testing.assert_close((up(coarse) * fine).sum(), (coarse * down(fine)).sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", [UpProjection, DownProjection])
def test_an_error_is_fed_back_and_nothing_else(kind: Any) -> None:
    """Where the way back gives what there was, the correcting layer gets zeros; elsewhere the difference."""
    torch.manual_seed(0)
    projection = kind(1, (2, 2, 2)).double()
    with torch.no_grad():
        for scaling in (projection.up, projection.down):  # zeros between the samples, and every second voxel
            scaling[0].weight.zero_()
            scaling[0].weight[0, 0, 2, 2, 2] = 1
            scaling[0].bias.zero_()
    last = projection.up_error if kind is UpProjection else projection.down_error
    seen: list[torch.Tensor] = []
    last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    coarse = noise(1, 1, 3, 3, 3)
    fine = torch.zeros(1, 1, 6, 6, 6, dtype=torch.float64)
    fine[:, :, ::2, ::2, ::2] = coarse
    given, expected = (coarse, fine) if kind is UpProjection else (fine, coarse)
    torch.testing.assert_close(projection(given), expected + last(torch.zeros_like(given)))
    assert float(seen[0].detach().abs().max()) == 0
    if kind is DownProjection:
        between = fine + 1
        found = projection(between)
        error = -torch.ones_like(fine)
        error[:, :, ::2, ::2, ::2] = 0
        torch.testing.assert_close(found, coarse + 1 + last(error))


def test_metadata_do_not_travel_along() -> None:
    assert type(made("unet")(MetaTensor(noise(1, 1, 4, 4, 4)))) is torch.Tensor


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PixelShuffleSR(channels=0), "sizes of PixelShuffleSR must be at least 1"),
        (lambda: PixelShuffleSR(0), "factor is 0, expected one or three"),
        (lambda: PixelShuffleSR(sampling="last"), "unknown sampling 'last'"),
        (lambda: PixelShuffleSR(checkpointing="all"), "unknown checkpointing 'all'"),
        (lambda: ProgressiveSR(stages=0), "sizes of ProgressiveSR must be at least 1"),
        (lambda: ProgressiveSR(step=[2, 2]), r"step is \[2, 2\], expected one or three"),
        (lambda: BackProjectionSR(iterations=0), "sizes of BackProjectionSR must be at least 1"),
        (lambda: ResidualUNetSR([8]), "on at least two levels"),
        (lambda: ResidualUNetSR([8, 0]), "on at least two levels"),
        (lambda: PixelShuffleSR(2, 1, 1)(torch.zeros(1, 2, 4, 4, 4)), r"volumes must be real \(B, 1, D, H, W\)"),
    ],
)
def test_what_cannot_be_built_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
