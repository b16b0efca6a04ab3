"""Find the input files and turn each kind of input into sources to be written."""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon_monai.data.prepare.acquisition import Acquisition, Source
from recon_monai.data.prepare.images import read_image_stacks
from recon_monai.data.prepare.raw import RawSettings, read_raw
from recon_monai.data.prepare.simulate import ImageVolume, SimulationSettings, simulate_acquisition
from recon_monai.data.prepare.volumes import NIFTI_SUFFIXES, read_volume, volume_stem

__all__ = ["KINDS", "Naming", "expand_inputs", "find_kind", "image_sources", "raw_sources", "volume_sources"]

KINDS = ("volumes", "images", "raw")

_NUMPY_SUFFIXES = (".npy", ".npz")
_BIDS_SUBJECT = re.compile(r"(?:^|_)(sub-[A-Za-z0-9]+)(?=_|$)")


@dataclass(frozen=True)
class Naming:
    """Where the names of files and subjects come from.

    A subject is, in this order: `subject`; the first group (or the whole match) of `subject_regex` in the file name;
    the BIDS label `sub-XX` in it; the file name without suffix.

    Args:
        subject: the subject of all inputs.
        subject_regex: regular expression searched in the file name.
        prefix: put before file names and subjects, to keep data sets apart whose names are alike.
    """

    subject: str | None = None
    subject_regex: str | None = None
    prefix: str | None = None

    def subject_of(self, path: Path, stem: str) -> str:
        """Subject of a file.

        Args:
            path: the file.
            stem: its name without suffix.

        Returns:
            The subject with the prefix.

        Raises:
            ValueError: if the regular expression is wrong or does not match.
        """
        if self.subject is not None:
            return self.named(str(self.subject))
        if self.subject_regex is not None:
            try:
                found = re.search(self.subject_regex, path.name)
            except re.error as error:
                raise ValueError(
                    f"subject_regex {self.subject_regex!r} is not a regular expression: {error}"
                ) from error
            if found is None:
                raise ValueError(f"{path}: subject_regex {self.subject_regex!r} does not match the file name")
            return self.named(found.group(1) if found.re.groups else found.group(0))
        bids = _BIDS_SUBJECT.search(stem)
        return self.named(bids.group(1) if bids else stem)

    def named(self, name: str) -> str:
        """The name with the prefix, fit for a file name."""
        joined = name if self.prefix is None else f"{self.prefix}_{name}"
        return re.sub(r"[^\w.+-]", "_", joined).lstrip(".")


def expand_inputs(inputs: Sequence[str | Path]) -> list[Path]:
    """Files named by paths, folders and glob patterns, sorted within each.

    Args:
        inputs: files, folders (their NIfTI and numpy files) and patterns such as `data/sub-*_T1w.nii.gz`.

    Returns:
        Files without repetition.

    Raises:
        FileNotFoundError: if an input matches no file.
        ValueError: if nothing was given.
    """
    if not inputs:
        raise ValueError("no input was given; name files, folders or patterns, for example data/sub-*_T1w.nii.gz")
    found: dict[Path, None] = {}
    for entry in map(str, inputs):
        files = sorted(_matches(entry))
        if not files:
            raise FileNotFoundError(
                f"{entry}: no such file, or no {', '.join((*NIFTI_SUFFIXES, *_NUMPY_SUFFIXES))} file in that folder"
            )
        found.update(dict.fromkeys(files))
    return list(found)


def _matches(entry: str) -> Iterator[Path]:
    path = Path(entry).expanduser()
    if path.is_dir():
        yield from (p for p in path.iterdir() if p.name.endswith((*NIFTI_SUFFIXES, *_NUMPY_SUFFIXES)))
    elif path.exists():
        yield path
    else:
        yield from (Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207


def find_kind(paths: Sequence[Path]) -> str:
    """Kind of the inputs: `volumes` (NIfTI), `images` (real numpy arrays) or `raw` (a complex `.npy` array).

    Args:
        paths: input files.

    Returns:
        One of `KINDS`.

    Raises:
        ValueError: if a file is of no known kind or the kinds are mixed.
    """
    kinds = {path: _kind_of(path) for path in paths}
    if len(set(kinds.values())) > 1:
        examples = {kind: path for path, kind in kinds.items()}
        listed = ", ".join(f"{path} ({kind})" for kind, path in sorted(examples.items()))
        raise ValueError(f"the inputs are of different kinds: {listed}; prepare one kind at a time")
    return kinds[paths[0]]


def _kind_of(path: Path) -> str:
    if path.name.endswith(NIFTI_SUFFIXES):
        return "volumes"
    if path.suffix == ".npz":
        return "images"
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: cannot be read as a numpy file of plain arrays ({error})") from error
        return "raw" if np.iscomplexobj(array) else "images"
    raise ValueError(f"{path}: unknown kind of file, expected {', '.join((*NIFTI_SUFFIXES, *_NUMPY_SUFFIXES))}")


def volume_sources(
    paths: Sequence[Path], naming: Naming, settings: SimulationSettings, *, plane: str, frame: int | None
) -> list[Source]:
    """One source per NIfTI volume; its name is that of the file and the plane.

    Args:
        paths: NIfTI files.
        naming: see `Naming`.
        settings: see `SimulationSettings`.
        plane: see `read_volume`.
        frame: see `read_volume`.

    Returns:
        The sources.
    """

    def load(path: Path, name: str) -> Acquisition:
        return simulate_acquisition(read_volume(path, name=name, plane=plane, frame=frame), settings)

    sources = []
    for path in paths:
        stem = volume_stem(path)
        name = naming.named(f"{stem}_{plane}")
        sources.append(Source(name, naming.subject_of(path, stem), str(path), partial(load, path, name)))
    return sources


def image_sources(
    paths: Sequence[Path],
    naming: Naming,
    settings: SimulationSettings,
    *,
    voxel_size: tuple[float, float, float] = (math.nan, math.nan, math.nan),
    image_key: str = "image",
    subject_key: str = "subject",
) -> list[Source]:
    """One source per subject of each numpy file; its name is that of the subject, or of the file without subjects.

    Args:
        paths: numpy files, see `read_image_stacks`.
        naming: see `Naming`; used where the file does not name its subjects.
        settings: see `SimulationSettings`.
        voxel_size: distances of rows, columns and slices in mm; NaN where unknown.
        image_key: see `read_image_stacks`.
        subject_key: see `read_image_stacks`.

    Returns:
        The sources.
    """

    def load(images: NDArray, name: str) -> Acquisition:
        return simulate_acquisition(ImageVolume(name, images.astype(np.float32), voxel_size), settings)

    sources = []
    for path in paths:
        for subject, images in read_image_stacks(path, image_key=image_key, subject_key=subject_key).items():
            name = naming.named(path.stem if subject is None else subject)
            person = naming.subject_of(path, path.stem) if subject is None else name
            sources.append(Source(name, person, f"{path}, {subject or 'all images'}", partial(load, images, name)))
    return sources


def raw_sources(
    paths: Sequence[Path], naming: Naming, settings: RawSettings, *, key: str | None = None
) -> list[Source]:
    """One source per raw array.

    Args:
        paths: numpy files.
        naming: see `Naming`.
        settings: see `RawSettings`.
        key: name of the array in `.npz` files.

    Returns:
        The sources.
    """
    return [
        Source(
            naming.named(path.stem),
            naming.subject_of(path, path.stem),
            str(path),
            partial(read_raw, path, settings, key=key),
        )
        for path in paths
    ]
