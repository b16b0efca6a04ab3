"""What is compared where nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recon_monai.data import built_in_dataset, ensure_demo_volumes
from recon_monai.evaluation.comparing.running import holds_kspace
from recon_monai.evaluation.comparing.words import MethodWord, parse_method
from recon_monai.evaluation.gallery import bundle_folder
from recon_monai.evaluation.interpolation import BASELINES

__all__ = ["default_folders", "default_methods"]

_SLICES = ("zero_filled", "cg_sense", "l1_wavelet", "total_variation")
_VOLUMES = (*BASELINES, "total_variation_3d")


def default_methods(folders: Sequence[str | Path] | None = None) -> list[str]:
    """Classical methods and interpolations, and the bundles of the repository that have weights.

    Args:
        folders: data sets; only methods for what they hold are given. None: for both.

    Returns:
        Methods as on the command line.
    """
    kinds = {True, False} if folders is None else {holds_kspace(Path(folder)) for folder in folders}
    names: list[str] = []
    if True in kinds:
        names += [*_SLICES, *_shipped("universal_varnet", "weighted_dircn")]
    if False in kinds:
        names += [*_VOLUMES, *_shipped("mdcsrn_wgan_gp")]
    return names


def default_folders(methods: Sequence[str]) -> list[Path]:
    """The built-in data of the kinds that methods are for.

    Args:
        methods: as on the command line.

    Returns:
        One or two folders.

    Raises:
        ValueError: if a method is unknown.
    """
    volumes = {_is_for_volumes(parse_method(text)) for text in methods}
    folders = [Path(built_in_dataset())] if False in volumes else []
    return [*folders, Path(ensure_demo_volumes())] if True in volumes else folders


def _is_for_volumes(word: MethodWord) -> bool:
    if word.folder is None:
        return word.kind == "volumes"
    return '"low_resolution"' in (word.folder / "configs" / "evaluate.json").read_text(encoding="utf-8")


def _shipped(*names: str) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(str(bundle_folder(name)))
        except FileNotFoundError:  # without weights, or not in a clone of the repository
            continue
    return found
