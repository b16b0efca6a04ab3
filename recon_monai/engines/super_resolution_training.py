"""What a training of super-resolution asks of its configuration: where it starts, its length, what it is trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from recon_monai.data import VolumeDataset, volume_facts
from recon_monai.engines.super_resolution_domain import super_resolution_domain
from recon_monai.networks import load_weights
from recon_monai.transforms import SimulateLowResolutiond

__all__ = ["check_recipes", "epoch_length", "prepare_features", "prepare_generator", "volume_domain"]

logger = logging.getLogger(__name__)


def epoch_length(steps: int, steps_per_epoch: int) -> int:
    """How many steps an epoch has, so that whole epochs make up the run.

    Args:
        steps: updates of the run, of all networks together.
        steps_per_epoch: of an epoch; a shorter run is one epoch.

    Returns:
        A number of which ``steps`` is a multiple.

    Raises:
        ValueError: if a number is below 1, or no whole number of epochs makes up the run.
    """
    if steps < 1 or steps_per_epoch < 1:
        raise ValueError(f"a training of {steps} steps in epochs of {steps_per_epoch} is none; give at least 1 of each")
    if steps > steps_per_epoch and steps % steps_per_epoch:
        nearest = min(
            (part for part in range(1, steps + 1) if steps % part == 0), key=lambda n: abs(n - steps_per_epoch)
        )
        raise ValueError(
            f"{steps} steps are no whole number of epochs of {steps_per_epoch}; give --steps_per_epoch {nearest}, or "
            f"{steps - steps % steps_per_epoch} steps"
        )
    return min(steps, steps_per_epoch)


def check_recipes(low_resolution: SimulateLowResolutiond, names: Sequence[str] | None) -> None:
    """Find out before a training whether its validation can be done; it comes late.

    Args:
        low_resolution: of the validation.
        names: recipes that every volume comes with; None where they are drawn.

    Raises:
        ValueError: if there is no such recipe.
    """
    known = list(low_resolution.recipes)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(
            f"validation is on the recipes {', '.join(unknown)}, which are none of the training's {', '.join(known)}; "
            f'give --val_recipes "{known[:1]}", or other --recipes'
        )
    drawn = list(_drawn(low_resolution))
    never = [name for name in names or () if name not in drawn]
    if never:
        logger.warning("validation is on the recipes %s, which training never draws", ", ".join(never))


def prepare_generator(network: nn.Module, pretrained: str | None = None, adversarial_only: bool = False) -> nn.Module:
    """Start a generator from given weights.

    Args:
        network: changed in place.
        pretrained: file of the weights; None leaves the network as it is.
        adversarial_only: whether the run begins with the critic, which finds all flaws of an untrained generator at
            once and teaches it nothing.

    Returns:
        The network.

    Raises:
        ValueError: if weights are needed and not given, or do not fit.
        FileNotFoundError: if there is no such file.
    """
    if not pretrained:
        if adversarial_only:
            raise ValueError(
                "adversarial training starts from a pretrained generator; give --pretrained FILE, or leave "
                "adversarial.json out to run both stages"
            )
        return network
    load_weights(network, pretrained)
    logger.info("starting from %s", pretrained)
    return network


def prepare_features(network: nn.Module, weights: str | None) -> nn.Module:
    """Give a network whose features a perceptual loss compares its weights.

    Args:
        network: changed in place.
        weights: file of them. There is no default: a training that is resumed needs the same again.

    Returns:
        The network.

    Raises:
        ValueError: if there are none, or they do not fit.
        FileNotFoundError: if there is no such file.
    """
    if not weights:
        raise ValueError(
            "the perceptual loss compares features of a trained network; give --features FILE, such as the weights of "
            "a pretrained generator, eval/RUN/pretrain/model.pt (of other sizes: --feature_def::blocks and so on)"
        )
    load_weights(network, weights)
    logger.info("features of the perceptual loss: %s", weights)
    return network


def volume_domain(
    dataset: VolumeDataset, low_resolution: SimulateLowResolutiond, interpolation: str = "fourier"
) -> dict[str, Any]:
    """Describe a training set of volumes and their low resolution; reads headers only.

    Args:
        dataset: the training set.
        low_resolution: what simulates, where there is no measured low resolution.
        interpolation: see `super_resolution_domain`.

    Returns:
        What `super_resolution_domain` returns.

    Raises:
        ValueError: if a header cannot be read; names the file.
    """
    spacings, contrasts, factors = [], [], []
    for entry in dataset.data:
        facts = volume_facts(entry["path"], frame=dataset.frame, series=dataset.series)
        spacings.append(facts.spacing)
        contrasts.append(facts.contrast or "unknown")
        if "low_path" in entry:
            low = volume_facts(entry["low_path"], frame=dataset.frame, series=dataset.series)
            factors.append(_ratio(low.spacing, facts.spacing))
    measured = len(factors)
    simulated = len(dataset.data) > measured
    names = _drawn(low_resolution) if simulated else []
    for spacing in dict.fromkeys(spacings) if simulated else ():
        factors += [low_resolution.recipes[name].factor(spacing, axis) for name in names for axis in range(3)]
    return super_resolution_domain(
        spacings=spacings,
        factors=factors,
        contrasts=contrasts,
        recipes=[*names, *["measured"] * measured],
        interpolation=interpolation,
    )


def _drawn(low_resolution: SimulateLowResolutiond) -> Iterable[str]:
    pairs = zip(low_resolution.recipes, low_resolution.probabilities, strict=True)
    return [name for name, probability in pairs if probability > 0]


def _ratio(coarse: Sequence[float], fine: Sequence[float]) -> tuple[float, float, float]:
    """How many times coarser, NaN for a volume that was brought to the fine grid already."""
    if all(math.isclose(one, other, rel_tol=1e-3) for one, other in zip(coarse, fine, strict=True)):
        return math.nan, math.nan, math.nan
    first, second, third = (one / other for one, other in zip(coarse, fine, strict=True))
    return first, second, third
