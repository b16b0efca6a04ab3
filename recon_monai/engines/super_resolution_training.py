"""What a training of super-resolution asks of its configuration: where it starts, its length, what it is trained on."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from recon_monai.data import VolumeDataset, VolumeFacts, volume_facts
from recon_monai.engines.super_resolution_domain import super_resolution_domain
from recon_monai.networks import load_weights
from recon_monai.transforms import SimulateLowResolutiond

__all__ = ["check_recipes", "check_volumes", "epoch_length", "prepare_features", "prepare_generator", "volume_domain"]

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


def check_volumes(
    dataset: VolumeDataset,
    low_resolution: SimulateLowResolutiond,
    names: Sequence[str] | None = None,
    smallest: int = 1,
    crop_margin: int | None = None,
) -> None:
    """Find out before a training whether its recipes fit its volumes, and these are large enough; reads headers.

    Args:
        dataset: the volumes.
        low_resolution: what simulates, where there is no measured low resolution.
        names: recipes that every volume comes with; None: all that are drawn.
        smallest: voxels that each axis needs, such as ``recon_monai.metrics.SSIM_WINDOW`` for a validation.
        crop_margin: voxels around the head that cropping leaves. Where fewer than ``smallest`` might be left, volumes
            are read and cropped; None where nothing is cropped.

    Raises:
        ValueError: if a recipe does not fit a volume, or a volume is too small: names the first file, and how many.
    """
    problems: dict[str, str] = {}
    for index, entry in enumerate(dataset.data):
        if entry["path"] in problems:
            continue
        facts = volume_facts(entry["path"], frame=dataset.frame, series=dataset.series)
        shape = facts.shape
        if min(shape) >= smallest and crop_margin is not None and crop_margin + 1 < smallest:
            shape = tuple(dataset[index]["target"].shape[1:])
        if min(shape) < smallest:
            problems[entry["path"]] = (
                f"{entry['file']}: {' x '.join(map(str, shape))} voxels"
                f"{'' if shape == facts.shape else ' after cropping'} are too few for the validation, whose SSIM takes "
                f"windows of {smallest} voxels along each axis; leave the file out (--pattern, split.json)"
                f"{'' if shape == facts.shape else ', or give a larger --crop_margin'}"
            )
        elif "low_path" not in entry:
            unfit = _unfit(low_resolution, names or _drawn(low_resolution), facts)
            if unfit:
                problems[entry["path"]] = f"{entry['file']}: {unfit}"
    if problems:
        more = f" ({len(problems) - 1} more volumes have such a problem)" if len(problems) > 1 else ""
        raise ValueError(next(iter(problems.values())) + more)


def _unfit(low_resolution: SimulateLowResolutiond, names: Iterable[str], facts: VolumeFacts) -> str | None:
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        for axis in low_resolution.axes(facts.spacing):
            try:
                low_resolution.recipes[name].check(facts.spacing, facts.shape, axis)
            except ValueError as error:
                found.setdefault(name, f"across axis {axis}, {error}")
    if not found:
        return None
    voxels = " x ".join(f"{step:.3g}" for step in facts.spacing)
    leave = " ".join(f"--recipes::{name}::probability 0" for name in found)
    return (
        f"the recipes {', '.join(found)} do not fit its voxels of {voxels} mm: {next(iter(found.values()))}. Leave "
        f"them out by {leave} (and out of --val_recipes), or choose another --slice_axis or other files"
    )


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
    dataset: VolumeDataset,
    low_resolution: SimulateLowResolutiond,
    interpolation: str = "fourier",
    scale: str | float = "percentile",
    percentile: float = 99.9,
) -> dict[str, Any]:
    """Describe a training set of volumes and their low resolution; reads headers only.

    Args:
        dataset: the training set.
        low_resolution: what simulates, where there is no measured low resolution.
        interpolation: see `super_resolution_domain`, as of the next two.
        scale: of intensities.
        percentile: of that scale.

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
        for name, axis in itertools.product(names, low_resolution.axes(spacing)):
            factor = low_resolution.recipes[name].factor(spacing, axis)
            # slices that are no thicker than voxels are made by no recipe, and what loses nothing is no low resolution
            if min(factor) >= 1 and max(factor) > 1:
                factors.append(factor)
    return super_resolution_domain(
        spacings=spacings,
        factors=factors,
        contrasts=contrasts,
        recipes=[*names, *["measured"] * measured],
        interpolation=interpolation,
        scale=scale,
        percentile=percentile,
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
