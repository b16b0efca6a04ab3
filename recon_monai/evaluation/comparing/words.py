"""What is meant by the name of a method on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon_monai.evaluation.gallery import METHODS
from recon_monai.evaluation.interpolation import BASELINES

__all__ = ["VOLUME_SOLVERS", "MethodWord", "parse_method"]

VOLUME_SOLVERS = ("total_variation_3d",)
"""Classical super-resolution by an inverse problem."""

_BUNDLES = ("universal_varnet", "weighted_dircn")
_CONFIGURATION = Path("configs") / "evaluate.json"


@dataclass(frozen=True)
class MethodWord:
    """A method as it was asked for.

    Attributes:
        name: short and unique, for tables.
        kind: ``"slices"`` (a reconstruction by name), ``"volumes"`` (an interpolation or solver by name), or
            ``"bundle"``.
        word: of `METHODS`, `BASELINES` or `VOLUME_SOLVERS`; empty for bundles.
        folder: of the bundle.
        overlays: configuration files on top of ``evaluate.json``.
        checkpoint: weights; None for those that the bundle finds.
    """

    name: str
    kind: Literal["slices", "volumes", "bundle"]
    word: str = ""
    folder: Path | None = None
    overlays: tuple[Path, ...] = ()
    checkpoint: Path | None = None


def parse_method(text: str) -> MethodWord:
    """Read one method: ``[NAME=]WORD``, ``[NAME=]BUNDLE[+OVERLAY.json...][@CHECKPOINT]`` or ``[NAME=]CHECKPOINT``.

    Args:
        text: a classical method, an interpolation, the folder of a bundle, perhaps with overlays of its ``configs``
            and the file of weights, or the file of weights of a run within a bundle's folder.

    Returns:
        What it means.

    Raises:
        ValueError: if it is none of these.
    """
    name, _, rest = text.rpartition("=")
    if rest in METHODS and rest not in _BUNDLES:
        return MethodWord(name or rest, "slices", rest)
    if rest in (*BASELINES, *VOLUME_SOLVERS):
        return MethodWord(name or rest, "volumes", rest)
    bundle, _, checkpoint = rest.partition("@")
    root, *overlays = bundle.split("+")
    folder, weights = _places(Path(root), checkpoint, text)
    found = tuple(_overlay(folder, overlay) for overlay in overlays)
    return MethodWord(name or _short(folder, found, weights), "bundle", "", folder, found, weights)


def _places(path: Path, checkpoint: str, text: str) -> tuple[Path, Path | None]:
    weights = Path(checkpoint) if checkpoint else None
    if weights is None and path.is_file():
        above = next((one for one in path.resolve().parents if (one / _CONFIGURATION).is_file()), None)
        if above is None:
            raise ValueError(
                f"{text}: {path} lies in no bundle's folder, so that nothing says which network it is for; write "
                "BUNDLE@CHECKPOINT, for example bundles/universal_varnet@model.pt"
            )
        return above, path
    if weights is not None and not weights.is_file():
        raise ValueError(f"{text}: there is no file of weights {weights}")
    if not (path / _CONFIGURATION).is_file():
        known = ", ".join([*(name for name in METHODS if name not in _BUNDLES), *BASELINES, *VOLUME_SOLVERS])
        raise ValueError(
            f"method {text!r} is unknown: no folder of a bundle ({path / _CONFIGURATION} does not exist), no file of "
            f"weights, and none of {known}"
        )
    return path, weights


def _overlay(folder: Path, name: str) -> Path:
    for path in (folder / "configs" / name, Path(name)):
        if path.is_file():
            return path
    raise ValueError(f"the overlay {name} is neither in {folder / 'configs'} nor a file")


def _short(folder: Path, overlays: tuple[Path, ...], weights: Path | None) -> str:
    parts = [folder.resolve().name, *(overlay.stem for overlay in overlays)]
    if weights is not None:
        parts.append(weights.resolve().parent.name if weights.stem == "model" else weights.stem)
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(parts))
