"""A bundle as a method: its own configuration of the evaluation, on the masks or low resolutions of the comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import torch
from monai.bundle import ConfigParser

from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.settings import ComparisonSettings, fingerprint_of
from recon_monai.evaluation.comparing.words import MethodWord
from recon_monai.inference import BundleParts, user_error

__all__ = ["LoadedBundle", "load_bundle"]


class LoadedBundle(BundleParts):
    """The parts of a bundle's evaluation.

    Args:
        parser: with its configuration.
        word: as it was asked for.
        device: of the network.

    Attributes:
        weights: the file.
        network: with its weights, in evaluation mode.
        preprocessing: of an item.
        prepare_batch: see `recon_monai.engines`.
        inferer: see `recon_monai.engines` and `recon_monai.inferers`.
    """

    def __init__(self, parser: ConfigParser, word: MethodWord, device: torch.device) -> None:
        super().__init__(parser, device)
        self.word = word
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.prepare_batch = parser.get_parsed_content("evaluator::prepare_batch")

    @property
    def fingerprint(self) -> str:
        """Short hash of the weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()[:16]

    def record(self) -> MethodRecord:
        """What the table says of the bundle as a method."""
        word = self.word
        kind: Literal["bundle", "checkpoint"] = "bundle" if word.checkpoint is None else "checkpoint"
        count = sum(parameter.numel() for parameter in self.network.parameters())
        detail = f"{type(self.network).__name__}, {count:,} parameters"
        if word.overlays:
            detail += f", with {', '.join(overlay.name for overlay in word.overlays)}"
        settings = [overlay.read_text(encoding="utf-8") for overlay in word.overlays]
        key = fingerprint_of(str(word.folder), self.fingerprint, settings)
        return MethodRecord(word.name, kind, detail, f"{self.weights} ({self.fingerprint})", None, key)

    @torch.no_grad()
    def infer(self, item: Mapping[str, Any], **options: Any) -> torch.Tensor:
        """The network's image of a prepared item, as the bundle's evaluator calls it.

        Args:
            item: after the preprocessing.
            options: take the place of arguments that the batch gives the inferer.

        Returns:
            ``(1, ...)`` on the CPU.
        """
        inputs, _, arguments, named = self.prepare_batch(_batch(item), self.device)
        return self.inferer(inputs, self.network, *arguments, **{**named, **options})[0].detach().cpu()


def load_bundle(word: MethodWord, settings: ComparisonSettings) -> tuple[LoadedBundle, bool]:
    """Read the configuration of a bundle's evaluation, build its network and load its weights.

    Args:
        word: with the folder, overlays and checkpoint.
        settings: whose masks and low resolutions take the place of the bundle's own.

    Returns:
        The bundle, and whether it is for volumes.

    Raises:
        ValueError: if the configuration cannot be used, or weights do not fit.
        FileNotFoundError: if there are no weights.
    """
    if word.folder is None:
        raise ValueError(f"{word.name} is no bundle")
    parser = ConfigParser()
    parser.read_config([str(word.folder / "configs" / "evaluate.json"), *map(str, word.overlays)])
    volumes = "low_resolution" in parser
    parser["bundle_root"] = str(word.folder)
    parser["ckpt"] = None if word.checkpoint is None else str(word.checkpoint)
    parser["device"] = settings.device
    if volumes:
        for name, value in settings.low_resolution().items():
            parser[f"low_resolution::{name}"] = value
        parser["block"] = -1 if settings.block is None else settings.block
    else:
        parser["mask"] = settings.sampling_configuration()
        parser["file_mask"] = settings.file_mask
    if "imports" in parser:
        parser.get_parsed_content("imports")
    try:
        return LoadedBundle(parser, word, torch.device(settings.device)), volumes
    except RuntimeError as error:  # MONAI's, around what a part of the bundle says
        raise user_error(error) from error


def _batch(item: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of one item, as a loader makes it."""
    return {key: value[None] if isinstance(value, torch.Tensor) else [value] for key, value in item.items()}
