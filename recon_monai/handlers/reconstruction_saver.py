"""Reconstructed volumes to files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine

from recon_monai import distributed
from recon_monai.data.writers import write_nifti, write_reconstruction_h5
from recon_monai.handlers.volumes import CollectedVolume, Incomplete, VolumeHandler, number

__all__ = ["ReconstructionSaver"]

_FORMATS = ("h5", "nii.gz")
_TEXTS = ("file", "anatomy", "acquisition", "source")
_NUMBERS = ("acceleration", "effective_acceleration", "center_fraction")

logger = logging.getLogger(__name__)


class ReconstructionSaver(VolumeHandler):
    """Write each reconstructed volume as soon as it is complete.

    Files are ``<output_dir>/<stem of the input file>.h5`` (dataset ``reconstruction``, fastMRI's submission form, with
    file, anatomy, acceleration and the research notice as attributes) and ``.nii.gz``. Existing ones are replaced only
    if asked, and the file that k-space came from never is.

    Args:
        output_dir: folder of the files; made when needed.
        formats: ``"h5"``, ``"nii.gz"`` or both.
        acceleration_suffix: add ``_<acceleration>x`` to the stem of every volume that has an acceleration. Needed when
            a file comes with several accelerations; otherwise the second one is an error.
        prediction: key of the reconstruction.
        incomplete: see ``VolumeHandler``.
        overwrite: replace files that were there before this epoch.

    Attributes:
        written: paths written in this epoch.

    Raises:
        ValueError: if a format is unknown or none is given.
    """

    def __init__(
        self,
        output_dir: str | Path,
        formats: Sequence[str] = _FORMATS,
        acceleration_suffix: bool = False,
        prediction: str = "pred",
        incomplete: Incomplete = "raise",
        overwrite: bool = False,
    ) -> None:
        if isinstance(formats, str) or not formats or not set(formats) <= set(_FORMATS):
            raise ValueError(f"formats must be a list of some of {list(_FORMATS)}, got {formats!r}")
        super().__init__(required=(prediction,), incomplete=incomplete)
        self.output_dir = Path(output_dir)
        self.formats = tuple(formats)
        self.acceleration_suffix = acceleration_suffix
        self.prediction = prediction
        self.overwrite = overwrite
        self.written: list[Path] = []
        self._stems: dict[str, str] = {}

    def start(self, engine: Engine) -> None:
        """Forget what was written in the epoch before."""
        self.written = []
        self._stems = {}

    def take(self, engine: Engine, volume: CollectedVolume) -> None:
        """Write one volume.

        Raises:
            ValueError: if another volume of this epoch already has its name.
        """
        stem = Path(volume.key.file).stem
        if self.acceleration_suffix and volume.key.acceleration is not None:
            stem = f"{stem}_{volume.key.acceleration:g}x"
        if stem in self._stems and volume.key.acceleration is not None and not self.acceleration_suffix:
            stem = f"{stem}_{volume.key.acceleration:g}x"  # a file of the same name at another acceleration
        if stem in self._stems:
            raise ValueError(
                f"{volume.key} and {self._stems[stem]} would both be written as {self.output_dir / stem}; use "
                "acceleration_suffix=True for files with several accelerations, else give the files different names"
            )
        self._check_targets(stem, volume)
        self._stems[stem] = str(volume.key)
        reconstruction = volume.images[self.prediction]
        if "h5" in self.formats:
            path = self.output_dir / f"{stem}.h5"
            self.written.append(write_reconstruction_h5(path, reconstruction, attributes=_attributes(volume)))
        if "nii.gz" in self.formats:
            path = self.output_dir / f"{stem}.nii.gz"
            voxel_size = volume.metadata.get("voxel_size", torch.full((3,), torch.nan))
            self.written.append(write_nifti(path, reconstruction, voxel_size=[float(size) for size in voxel_size]))
        logger.info("%s: reconstruction of %d slices in %s", volume.key, len(reconstruction), self.written[-1].parent)

    def _check_targets(self, stem: str, volume: CollectedVolume) -> None:
        """Refuse to write over what is there.

        Raises:
            FileExistsError: if a file of that name exists and is not to be replaced, or is the input.
        """
        for suffix in self.formats:
            path = self.output_dir / f"{stem}.{suffix}"
            source = volume.metadata.get("path")
            if source is not None and path.resolve() == Path(str(source)).resolve():
                raise FileExistsError(f"{path} is the file that k-space was read from; choose another --output_dir")
            # in several processes another one may have written a volume that two of them share
            if path.exists() and not self.overwrite and distributed.world_size() == 1:
                raise FileExistsError(
                    f"{path} exists already; choose another --output_dir, or give --overwrite True to replace it"
                )

    def finish(self, engine: Engine) -> None:
        """Log where the files lie."""
        logger.info("%d files written to %s", len(self.written), self.output_dir.resolve())


def _attributes(volume: CollectedVolume) -> dict[str, Any]:
    attributes: dict[str, Any] = {name: str(volume.metadata[name]) for name in _TEXTS if name in volume.metadata}
    for name in _NUMBERS:
        value = number(volume.metadata.get(name))
        if value is not None:
            attributes[name] = value
    return attributes
