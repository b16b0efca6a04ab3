"""Three planes of super-resolved volumes beside their input, target and error, to TensorBoard and to PNG files."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from recon_monai import distributed
from recon_monai.handlers.image_panels import save_picture
from recon_monai.handlers.pictures import choose_window, contact_sheet, panel
from recon_monai.handlers.volumes import find_image, slices_of
from recon_monai.metrics import quality_3d

__all__ = ["VolumePanels", "middle_planes"]

logger = logging.getLogger(__name__)


class VolumePanels:
    """Draw the three planes through the middle of the first volumes of each recipe of low resolution.

    A picture has a row for each plane: low resolution, output, target, and the error times 5, all in one window (0 to
    the 99.5th percentile of the target), with PSNR and SSIM of the whole volume, voxels as they are stored (not
    reoriented, and square also where they are not), and the research notice. Images that an item lacks are left out. In
    several processes each draws from its own volumes; the contact sheet holds those of all.

    Args:
        summary_writer: ``CurveWriter`` or TensorBoard's writer.
        output_dir: folder for PNG files, ``<file>_<recipe>.png`` and ``contact_sheet.png``; replaced at each epoch.
        volumes_per_recipe: how many volumes of each recipe.
        images: label to the key of an image ``(1, D, H, W)`` in output or item, in the order to show.
        error_of: label of the image whose error is shown.
        tag: first part of the TensorBoard tags, ``<tag>/<recipe>/<file>``.
        error_scale: the error is multiplied by this.

    Raises:
        ValueError: if no place to write to is given, or a number is below 1.
    """

    def __init__(
        self,
        summary_writer: Any = None,
        output_dir: str | Path | None = None,
        volumes_per_recipe: int = 1,
        images: Mapping[str, str] | None = None,
        error_of: str = "super-resolution",
        tag: str = "panels",
        error_scale: float = 5.0,
    ) -> None:
        if summary_writer is None and output_dir is None:
            raise ValueError("VolumePanels needs summary_writer or output_dir to write to, got none")
        if volumes_per_recipe < 1:
            raise ValueError(f"volumes_per_recipe is {volumes_per_recipe}, expected at least 1")
        self.writer = summary_writer
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.volumes_per_recipe = volumes_per_recipe
        self.images = dict(images or {"low resolution": "image", "super-resolution": "pred", "target": "target"})
        self.error_of = error_of
        self.tag = tag
        self.error_scale = error_scale
        self._drawn: dict[str, int] = {}
        self._panels: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        """Hook into the engine's epochs and iterations.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._draw_chosen)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        self._drawn, self._panels = {}, []

    def _draw_chosen(self, engine: Engine) -> None:
        for item, output in slices_of(engine, type(self).__name__):
            recipe = str(item.get("recipe", "unknown"))
            if self._drawn.get(recipe, 0) < self.volumes_per_recipe:
                self._drawn[recipe] = self._drawn.get(recipe, 0) + 1
                self._draw(engine, item, output, recipe)

    def _draw(self, engine: Engine, item: Mapping[Any, Any], output: Mapping[Any, Any], recipe: str) -> None:
        file = str(item.get("file", "volume"))
        found = {label: find_image(key, item, output) for label, key in self.images.items()}
        volumes = {label: image[0].float().cpu() for label, image in found.items() if image is not None}
        if self.error_of not in volumes:
            raise KeyError(f"{file}: the output has no image {self.images.get(self.error_of)!r} to draw")
        title = f"{file}   ·   {recipe}{_coarseness(item)}"
        picture = draw_planes(volumes, title=title, error_of=self.error_of, error_scale=self.error_scale)
        self._panels.append(picture)
        stem = file.replace("/", "_").removesuffix(".gz").removesuffix(".nii")
        if self.output_dir is not None:
            save_picture(self.output_dir / f"{stem}_{recipe}.png", picture)
        if self.writer is not None:
            self.writer.add_image(
                f"{self.tag}/{recipe}/{stem}", picture, global_step=engine.state.epoch, dataformats="HWC"
            )

    def _finish(self, engine: Engine) -> None:
        panels = distributed.gather(self._panels)
        if panels and self.output_dir is not None and distributed.is_main():
            save_picture(self.output_dir / "contact_sheet.png", contact_sheet(panels))
            logger.info("%d pictures in %s", len(panels), self.output_dir.resolve())
        if self.writer is not None:
            self.writer.flush()


def middle_planes(volume: Tensor) -> list[np.ndarray]:
    """The planes through the middle of a volume, across each axis, with the last remaining axis upwards.

    Args:
        volume: ``(D, H, W)``.

    Returns:
        Three images; for a volume in RAS+ order a sagittal, a coronal and an axial one, superior or anterior on top.
    """
    planes = [volume.select(axis, volume.shape[axis] // 2).numpy() for axis in range(3)]
    return [np.ascontiguousarray(plane.T[::-1]) for plane in planes]


def draw_planes(
    volumes: Mapping[str, Tensor], *, title: str, error_of: str = "super-resolution", error_scale: float = 5.0
) -> np.ndarray:
    """One picture of three planes of several volumes.

    Args:
        volumes: label to ``(D, H, W)``; the one called ``"target"``, if any, is what the others are measured against.
        title: one line above.
        error_of: label of the volume whose error is shown.
        error_scale: the error is multiplied by this.

    Returns:
        uint8 RGB ``(height, width, 3)``.
    """
    window = choose_window(volumes.get("target", volumes[error_of]).numpy())
    captions = _captions(volumes)
    planes = {label: middle_planes(volume) for label, volume in volumes.items()}
    rows = [
        panel(
            {label: images[axis] for label, images in planes.items()},
            error_of=error_of,
            title=f"{title}   ·   plane across axis {axis}",
            captions=captions if axis == 2 else {},
            window=window,
            error_scale=error_scale,
        )
        for axis in range(3)
    ]
    return contact_sheet(rows)


def _captions(volumes: Mapping[str, Tensor]) -> dict[str, str]:
    target = volumes.get("target")
    if target is None or min(target.shape) < 7:
        return {}
    found = {
        label: quality_3d(prediction=volume, target=target) for label, volume in volumes.items() if label != "target"
    }
    return {label: f"PSNR {one['psnr']:.2f} dB    SSIM {one['ssim']:.4f}" for label, one in found.items()}


def _coarseness(item: Mapping[Any, Any]) -> str:
    """``, 1 x 1 x 2.5 times coarser`` where that is known."""
    factor = item.get("factor")
    numbers: Sequence[float] = [] if factor is None else [float(one) for one in factor]
    if not numbers or any(math.isnan(one) for one in numbers):
        return ""
    return f", {' x '.join(f'{one:.3g}' for one in numbers)} times coarser"
