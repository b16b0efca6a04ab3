"""Decoded volumes kept on disk: unpacking a compressed volume or a DICOM series takes longer than all else."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import h5py
import numpy as np
import torch
from monai.data import MetaTensor

from recon_monai.data.cache import cache_dir
from recon_monai.data.volumes.reading import dicom_files, load_volume
from recon_monai.data.writers import atomic_path

__all__ = ["VolumeCache"]

logger = logging.getLogger(__name__)

_FORMAT = 1  # of the files, and of what reading gives; another number makes new ones
_unwritable: set[Path] = set()


class VolumeCache:
    """Volumes by the content of their files.

    A file that was changed, or another one of the same name, is read anew; a file that was moved is not. An entry that
    is damaged is made again. MONAI's ``PersistentDataset`` keys by the item's dictionary, that is by the path, and does
    not notice a changed file. Several processes may use the folder at once. It takes 4 bytes per voxel (105 MB for 256
    x 320 x 320) and is never emptied.

    Args:
        folder: of the entries; ``volumes`` under :func:`recon_monai.data.cache_dir` by default.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_dir() / "volumes"
        self._hashes: dict[tuple[str, int, int], bytes] = {}

    def load(self, path: str | Path, *, frame: int | None = None, series: str | None = None) -> MetaTensor:
        """What `load_volume` gives, from the cache if it is there.

        Args:
            path: see `load_volume`.
            frame: see `load_volume`.
            series: see `load_volume`.

        Returns:
            The volume.

        Raises:
            VolumeError: see `load_volume`.
        """
        path = Path(path)
        if not path.exists():
            return load_volume(path)
        entry = self.folder / f"{self._key(path, frame, series)}.h5"
        found = self._read(entry, path)
        if found is None:
            found = load_volume(path, frame=frame, series=series)
            self._write(entry, found)
        return found

    def _key(self, path: Path, frame: int | None, series: str | None) -> str:
        digest = hashlib.sha256(repr((_FORMAT, frame, series)).encode())
        for file in dicom_files(path) if path.is_dir() else [path]:
            digest.update(self._hash(file))
        return digest.hexdigest()[:32]

    def _hash(self, file: Path) -> bytes:
        found = file.stat()
        version = str(file), found.st_size, found.st_mtime_ns
        if version not in self._hashes:
            with file.open("rb") as opened:
                self._hashes[version] = hashlib.file_digest(opened, "sha256").digest()
        return self._hashes[version]

    def _read(self, entry: Path, path: Path) -> MetaTensor | None:
        if not entry.exists():
            return None
        try:
            with h5py.File(entry) as file:
                values, affine = file["volume"][()], file.attrs["affine"]
        except (OSError, KeyError) as error:
            logger.info("%s cannot be used (%s) and is made again", entry, error)
            return None
        return MetaTensor(
            torch.from_numpy(values), affine=torch.from_numpy(affine), meta={"filename_or_obj": str(path)}
        )

    def _write(self, entry: Path, volume: MetaTensor) -> None:
        try:
            with atomic_path(entry) as temporary, h5py.File(temporary, "w") as file:
                file.create_dataset("volume", data=volume.numpy())
                file.attrs["affine"] = np.asarray(volume.affine)
        except OSError as error:
            if self.folder not in _unwritable:
                _unwritable.add(self.folder)
                logger.warning(
                    "volumes cannot be kept in %s (%s), so they are unpacked every time; set RECON_MONAI_CACHE to a "
                    "folder that can be written and has room",
                    self.folder,
                    error.strerror or error,
                )
