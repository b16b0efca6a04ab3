"""What the tests of the bundle weighted_dircn have in common."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from recon_monai.networks import DIRCN, NormResXUNet, SensitivityNetwork, load_weights

CONFIGS = "bundles/weighted_dircn/configs"

TINY_DIRCN = {
    "network_def::num_cascades": 2,
    "network_def::refinement::channels": 4,
    "network_def::sensitivity_network::refinement::channels": 2,
    "num_workers": 0,
}


def files(*names: str) -> str:
    """The option ``--config_file`` for a configuration of the bundle and overlays."""
    return str([f"{CONFIGS}/{name}.json" for name in names])


def tiny_dircn(weights: str | Path, num_cascades: int = 2) -> DIRCN:
    """The network of `TINY_DIRCN`, not by way of the bundle's configuration, with weights of a run."""
    refinement = NormResXUNet(2, 2, 0.125)
    network = DIRCN(
        num_cascades,
        refinement=partial(NormResXUNet, 4, 4, 0.125),
        sensitivity_network=SensitivityNetwork(refinement=refinement, calibration="run"),
    )
    return load_weights(network, weights).eval()


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file of weights, or in the state of a run."""
    content = torch.load(file, weights_only=True)
    return content.get("network", content)


def changed_parts(before: Path, after: Path) -> dict[str, set[bool]]:
    """For ``sensitivity_network`` and each cascade: whether its weights changed, ``{False}`` if none of them did.

    Args:
        before: weights.
        after: weights that came of them; those of cascades that were not there yet are left out.
    """
    first, second = read_weights(before), read_weights(after)
    changed: dict[str, set[bool]] = {}
    for name, value in first.items():
        part = name.partition(".")[0] if name.startswith("sensitivity") else ".".join(name.split(".")[:2])
        if not name.endswith("_extra_state"):
            changed.setdefault(part, set()).add(not torch.equal(value, second[name]))
    return changed
