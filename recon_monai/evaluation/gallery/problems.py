"""The inverse problems of a gallery: undersampled k-space, simulated or measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from recon_monai.data import FastMRISliceDataset, read_split
from recon_monai.data.folders import data_files
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.physics import center_crop_or_pad
from recon_monai.transforms import Undersampled

__all__ = ["Problem", "built_in_problem", "central_slices", "fingerprint", "load_problem", "raw_files"]


@dataclass(frozen=True, eq=False)
class Problem:
    """One slice to reconstruct.

    Args:
        name: of its folder and figure.
        title: what it is, in words.
        source: ``"simulated"``, ``"measured"`` or ``"unknown"``, as the file says.
        file: name of the file.
        slice: number in the file.
        kspace: undersampled, complex ``(coil, H, W)``.
        mask: bool ``(1, 1, W)`` or ``(1, H, W)``.
        target: real ``(1, h, w)``.
        sample: whether slow methods run on it.
    """

    name: str
    title: str
    source: str
    file: str
    slice: int
    kspace: torch.Tensor
    mask: torch.Tensor
    target: torch.Tensor
    sample: bool

    @property
    def key(self) -> str:
        """Hash of what a reconstruction depends on."""
        return fingerprint([self.kspace, self.mask, self.target])

    def fit(self, image: torch.Tensor) -> torch.Tensor:
        """Crop or pad an image ``(1, 1, H, W)`` or ``(1, H, W)`` to the target, shape ``(1, h, w)``."""
        return center_crop_or_pad(image.detach().reshape(1, *image.shape[-2:]), self.target.shape[-2:])


def fingerprint(tensors: Iterable[torch.Tensor]) -> str:
    """Short hash of the values of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().resolve_conj().numpy().tobytes())
    return digest.hexdigest()[:16]


def built_in_problem(folder: str | Path, settings: GallerySettings | None = None, anatomy: str = "brain") -> Problem:
    """The middle slice of the first test subject of an anatomy.

    Args:
        folder: a data set with a test split, such as the built-in one.
        settings: say how it is undersampled.
        anatomy: of the subject.

    Returns:
        The problem, on which slow methods run.

    Raises:
        ValueError: if no test file is of this anatomy.
    """
    files = read_split(folder, "test")
    dataset = FastMRISliceDataset(files, filters={"anatomy": anatomy}, max_slices=1)
    path = Path(dataset.data[0]["path"])
    title = f"built-in slice: held-out test subject {path.stem}"
    return load_problem(path, settings or GallerySettings(), name="built_in_slice", title=title, sample=True)


def raw_files(dataset_dir: str | Path, anatomy: str | None = None) -> list[Path]:
    """The k-space files of a folder, sorted.

    Args:
        dataset_dir: folder of fastMRI files; which part of a split they belong to does not matter.
        anatomy: only files of this anatomy; None takes all.

    Returns:
        The files.

    Raises:
        ValueError: if there is none.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder, expected one with files of raw k-space (docs/data.md)")
    files = data_files(folder)
    if files and anatomy is not None:
        files = FastMRISliceDataset(files, filters={"anatomy": anatomy}, max_slices=1).files
    if not files:
        raise ValueError(f"{folder} holds no file of k-space (*.h5), expected some; see recon-monai prepare")
    return [Path(file) for file in files]


def load_problem(path: Path, settings: GallerySettings, *, name: str, title: str, sample: bool) -> Problem:
    """The middle slice of a file, undersampled.

    Args:
        path: a fastMRI file of complete k-space.
        settings: say how it is undersampled.
        name: see `Problem`.
        title: see `Problem`; slice, coils and acceleration are added.
        sample: see `Problem`.

    Returns:
        The problem.

    Raises:
        ValueError: if the file cannot be used: it has no target, or was acquired undersampled.
    """
    (item,) = central_slices([path], settings)
    kspace = item["kspace"]
    coils = f"{len(kspace)} coil{'s' if len(kspace) > 1 else ''}"
    detail = (
        f"slice {int(item['slice'])}, {coils}, {settings.acceleration}x (truly {item['effective_acceleration']:.1f}x)"
    )
    return Problem(
        name,
        f"{title}, {detail}",
        str(item["source"]),
        str(item["file"]),
        int(item["slice"]),
        kspace,
        item["mask"],
        item["target"],
        sample,
    )


def central_slices(files: Iterable[Path], settings: GallerySettings) -> list[dict[str, Any]]:
    """The undersampled middle slice of each file.

    Args:
        files: fastMRI files.
        settings: say how they are undersampled.

    Returns:
        One item for each file.

    Raises:
        ValueError: if a file cannot be used.
    """
    dataset = FastMRISliceDataset(
        [str(file) for file in files],
        Compose([Undersampled(settings.sampling())]),
        accelerations=[settings.acceleration],
        require_target=True,
        max_slices=1,
    )
    return [dataset[index] for index in range(len(dataset))]
