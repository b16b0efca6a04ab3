"""Panels of zero-filled image, reconstruction, target and error, to TensorBoard and to PNG files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.data.writers import atomic_path
from recon_monai.handlers.curves import CurveWriter
from recon_monai.handlers.pictures import contact_sheet, panel
from recon_monai.handlers.volumes import VolumeKey, find_image, group_name, number, slices_of
from recon_monai.metrics import psnr, ssim

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["ImagePanels", "save_picture"]

logger = logging.getLogger(__name__)


class ImagePanels:
    """Draw the middle slice of the first volumes of each group.

    A panel shows all images in one window (0 to the 99.5th percentile of the target, without target of the
    reconstruction), the error times 5, PSNR and SSIM of the slice (data range = the item's ``maximum``, else the
    slice's), and the research notice. Images that an item lacks (target, zero-filled) are left out.

    In several processes each draws from its own volumes; the contact sheet holds those of all.

    Args:
        summary_writer: TensorBoard writer (or ``CurveWriter``) to use; it stays open.
        log_dir: else, folder for a TensorBoard writer of its own.
        output_dir: folder for PNG files, ``<stem>_<acceleration>x_slice<index>.png`` and ``contact_sheet.png``;
            replaced at each epoch that draws.
        volumes_per_group: how many volumes of each group.
        group_by: fields of the items that make a group.
        interval: draw at every so manieth epoch of the engine.
        tag: first part of the TensorBoard tags, ``<tag>/<group>/<stem>``.
        prediction: key of the reconstruction.
        baseline: key of the zero-filled image, or None to leave it out.
        error_scale: the error is multiplied by this.

    Raises:
        ValueError: if no place to write to is given, or a number is below 1.
    """

    def __init__(
        self,
        summary_writer: SummaryWriter | CurveWriter | None = None,
        log_dir: str | Path | None = None,
        output_dir: str | Path | None = None,
        volumes_per_group: int = 1,
        group_by: Sequence[str] = ("anatomy", "acceleration"),
        interval: int = 1,
        tag: str = "panels",
        prediction: str = "pred",
        baseline: str | None = "zero_filled",
        error_scale: float = 5.0,
    ) -> None:
        if summary_writer is None and log_dir is None and output_dir is None:
            raise ValueError("ImagePanels needs summary_writer, log_dir or output_dir to write to, got none")
        if volumes_per_group < 1 or interval < 1:
            raise ValueError(f"volumes_per_group ({volumes_per_group}) and interval ({interval}) must be 1 or more")
        self._writer = summary_writer
        self._owns_writer = summary_writer is None
        self.log_dir = log_dir
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.volumes_per_group = volumes_per_group
        self.group_by = tuple(group_by)
        self.interval = interval
        self.tag = tag
        self.prediction = prediction
        self.baseline = baseline
        self.error_scale = error_scale
        self._seen: dict[str, set[VolumeKey]] = {}
        self._panels: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        """Hook into the engine's epochs and iterations.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._draw_chosen)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def close(self) -> None:
        """Close the TensorBoard writer if it is this handler's own."""
        if self._writer is not None and self._owns_writer:
            self._writer.close()
            self._writer = None

    def _start(self, engine: Engine) -> None:
        self._seen = {}
        self._panels = []

    def _draw_chosen(self, engine: Engine) -> None:
        if engine.state.epoch % self.interval:
            return
        for item, output in slices_of(engine, type(self).__name__):
            if self._is_chosen(item):
                self._draw(engine, item, output)

    def _is_chosen(self, item: Mapping[Any, Any]) -> bool:
        """The middle slice of one of the first volumes of its group, by the order in which volumes begin."""
        key = VolumeKey(str(item["file"]), number(item.get("acceleration")))
        seen = self._seen.setdefault(group_name(item, self.group_by), set())
        if len(seen) < self.volumes_per_group:
            seen.add(key)
        position = int(item["slice"]) - int(item.get("first_slice", 0))
        return key in seen and position == int(item["num_slices"]) // 2

    def _draw(self, engine: Engine, item: Mapping[Any, Any], output: Mapping[Any, Any]) -> None:
        keys = {"zero-filled": self.baseline, "reconstruction": self.prediction, "target": "target"}
        found = {label: find_image(key, item, output) for label, key in keys.items() if key is not None}
        images = {label: image[0].float().cpu().numpy() for label, image in found.items() if image is not None}
        if "reconstruction" not in images:
            raise KeyError(f"{item['file']}, slice {int(item['slice'])}: the output has no image {self.prediction!r}")
        picture = panel(images, title=_title(item), captions=_captions(images, item), error_scale=self.error_scale)
        self._panels.append(picture)
        acceleration = number(item.get("acceleration"))
        stem = Path(str(item["file"])).stem
        if self.output_dir is not None:
            suffix = "" if acceleration is None else f"_{acceleration:g}x"
            save_picture(self.output_dir / f"{stem}{suffix}_slice{int(item['slice']):03d}.png", picture)
        writer = self._tensorboard()
        if writer is not None:
            tag = f"{self.tag}/{group_name(item, self.group_by)}/{stem}"
            writer.add_image(tag, picture, global_step=engine.state.epoch, dataformats="HWC")

    def _finish(self, engine: Engine) -> None:
        panels = distributed.gather(self._panels)
        if not panels:
            return
        if self.output_dir is not None and distributed.is_main():
            save_picture(self.output_dir / "contact_sheet.png", contact_sheet(panels))
            logger.info("%d panels in %s", len(panels), self.output_dir.resolve())
        if self._writer is not None:
            self._writer.flush()

    def _tensorboard(self) -> SummaryWriter | CurveWriter | None:
        if self._writer is None and self.log_dir is not None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(log_dir=str(self.log_dir))
        return self._writer


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture as a file, complete or not at all.

    Args:
        path: the file; its suffix decides the format.
        picture: uint8 RGB ``(height, width, 3)``.
    """
    from PIL import Image  # only pictures need it

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _title(item: Mapping[Any, Any]) -> str:
    parts = [str(item["file"]), f"slice {int(item['slice'])} (0-{int(item['num_slices']) - 1})"]
    parts += [str(item[name]) for name in ("anatomy", "source") if item.get(name) is not None]
    acceleration, effective = number(item.get("acceleration")), number(item.get("effective_acceleration"))
    if acceleration is not None:
        parts.append(f"{acceleration:g}x" + ("" if effective is None else f" (effective {effective:.2f}x)"))
    return "   ·   ".join(parts)


def _captions(images: Mapping[str, np.ndarray], item: Mapping[Any, Any]) -> dict[str, str]:
    if "target" not in images:
        return {}
    target = images["target"][None]
    data_range = number(item.get("maximum"))
    captions = {}
    for label, image in images.items():
        if label != "target":
            noise = psnr(prediction=image[None], target=target, data_range=data_range)
            similarity = ssim(prediction=image[None], target=target, data_range=data_range)
            captions[label] = f"PSNR {noise:.2f} dB    SSIM {similarity:.4f}"
    return captions
