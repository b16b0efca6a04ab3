"""The folders of runs: which one a run writes to, and which weights it starts from."""

from __future__ import annotations

import copy
import json
import logging
import time
from pathlib import Path

from torch import nn

from recon_monai import distributed
from recon_monai.networks import UniversalVarNet, adopt_anatomies, read_torch_file, weights_fit

__all__ = ["FINISHED", "RUN_STATE", "STAGES", "STAGE_RECORD", "find_weights", "name_run"]

FINISHED = "finished.json"
"""Written into a run's folder when its last epoch is done."""

RUN_STATE = "last.pt"
"""Everything a training run needs to go on: weights, optimizer, schedule, position, best metric, random state."""

STAGES = "stages.json"
"""Written into the folder of a run that trains in stages, before the first of them.

Its ``finished`` is set at the end of a run without the last stage (the student's), which alone leaves ``FINISHED``
there.
"""

STAGE_RECORD = "stage.json"
"""Settings and data of a stage, by which it is known again when it is finished."""

logger = logging.getLogger(__name__)


def _same_architecture(weights: Path, network: nn.Module) -> bool:
    """Whether names and shapes of a state dict, and the sizes in its extra state, are those of the network.

    Which anatomies a universal network knows is not among them.
    """
    try:
        found = read_torch_file(weights)
    except ValueError as error:
        logger.warning("%s; looking for another run", error)
        return False
    if isinstance(network, UniversalVarNet):
        network = adopt_anatomies(copy.deepcopy(network), found)
    return isinstance(found, dict) and weights_fit(network, found)


def name_run(bundle_root: str, prefix: str = "train", resume: bool | str = False, staged: bool | None = None) -> str:
    """Name the folder below ``<bundle_root>/eval`` that a run writes to.

    Args:
        bundle_root: the bundle's folder.
        prefix: start of a new run's name; the time follows.
        resume: False for a new run; True for the newest run that is not finished and left a state to go on from; or
            the name or folder of a run.
        staged: whether the run to go on with is one in stages; None if that does not tell runs of the bundle apart.

    Returns:
        The name, the same in all processes of the run.

    Raises:
        ValueError: if there is no run to continue.
    """
    return distributed.agree(_name_run(Path(bundle_root) / "eval", prefix, resume, staged))


def _name_run(runs: Path, prefix: str, resume: bool | str, staged: bool | None) -> str:
    if resume is False or resume is None:
        return f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}"
    begun = _begun_runs(runs)
    if resume is not True:
        name = Path(str(resume)).name
        if runs / name not in begun:
            known = ", ".join(folder.name for folder in begun[:5]) or "none"
            raise ValueError(
                f"--resume {resume}: {runs / name} holds no {RUN_STATE} or {STAGES}; runs that do: {known}"
            )
        if staged is not None and _is_staged(runs / name) != staged:
            kind = "a run without stages" if staged else "a run in stages"
            raise ValueError(
                f"--resume {resume}: {runs / name} holds {kind}; go on with it by the configuration files it began with"
            )
        return name
    begun = [folder for folder in begun if staged is None or _is_staged(folder) == staged]
    finished = [folder for folder in begun if _is_finished(folder)]
    # one that failed before it saved anything has nothing to go on from
    unfinished = [folder for folder in begun if folder not in finished and _states(folder)]
    if not unfinished:
        raise ValueError(
            f"--resume: no unfinished run below {runs} has a {RUN_STATE} to go on from ({len(finished)} finished "
            "ones); leave --resume away to start one"
        )
    logger.info("continuing the newest unfinished run: %s", unfinished[0])
    return unfinished[0].name


def _is_finished(folder: Path) -> bool:
    """Whether a run did all it was asked for, be it only stages before the student's."""
    marker = folder / STAGES
    return (folder / FINISHED).exists() or (marker.is_file() and bool(json.loads(marker.read_text()).get("finished")))


def _is_staged(folder: Path) -> bool:
    return (folder / STAGES).is_file()


def _states(folder: Path) -> list[Path]:
    return [*folder.glob(RUN_STATE), *folder.glob(f"*/{RUN_STATE}")]


def _begun_runs(runs: Path) -> list[Path]:
    """Folders of runs that can be gone on with, the one that was written to last first."""
    written = [file for name in (RUN_STATE, STAGES, f"*/{RUN_STATE}") for file in runs.glob(f"*/{name}")]
    written.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return list(dict.fromkeys(runs / file.relative_to(runs).parts[0] for file in written))


def find_weights(bundle_root: str, network: nn.Module, ckpt: str | None = None, option: str = "--ckpt") -> str:
    """Choose the weights to use, and log which.

    In this order: ``ckpt``; the best weights (``model.pt``) of the newest finished training run below
    ``<bundle_root>/eval`` whose architecture is the network's; the weights the bundle ships, ``models/model.pt``.

    Args:
        bundle_root: the bundle's folder.
        network: the network they are for.
        ckpt: a file the user names.
        option: by which the user names it, for messages.

    Returns:
        The path of the weights.

    Raises:
        FileNotFoundError: if ``ckpt`` does not exist, or there is none of the three.
    """
    if ckpt:
        if not Path(ckpt).is_file():
            raise FileNotFoundError(f"{option} {ckpt}: there is no such file")
        logger.info("weights: %s, as given by %s", ckpt, option)
        return str(ckpt)
    root = Path(bundle_root)
    finished = sorted((root / "eval").glob(f"*/{FINISHED}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for marker in finished:
        weights = marker.parent / "model.pt"
        if weights.is_file() and _same_architecture(weights, network):
            epochs = json.loads(marker.read_text()).get("epochs")
            logger.info("weights: %s, of the newest finished run of this architecture (%s epochs)", weights, epochs)
            return str(weights)
    shipped = root / "models" / "model.pt"
    if shipped.is_file():
        logger.info("weights: %s, as shipped with the bundle", shipped)
        return str(shipped)
    raise FileNotFoundError(
        f"no weights: {root / 'eval'} holds no finished run of this architecture ({len(finished)} of another), "
        f"and there is no {shipped}; run the training first, or name a file with {option}"
    )
