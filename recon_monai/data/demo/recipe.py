"""What the built-in set holds: sizes, and who is scanned how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from recon_monai.data.demo.contrast import BRAIN_ACQUISITIONS, KNEE_ACQUISITIONS
from recon_monai.data.splits import SPLITS

__all__ = ["DemoRecipe", "DemoSubject", "Protocol"]

# Counts changes of the recipe that its fields do not show (drawing, simulation, layout of the files).
_VERSION = 3
# Every so many subjects these have no lesions. Five has no factor in common with the four contrasts of the brain, the
# two of the knee and the usual three protocols, so that lesions do not go with any of them.
_LESION_PERIOD, _WITHOUT_LESIONS = 5, (1, 4)


@dataclass(frozen=True)
class Protocol:
    """Matrix and receiver of a scan.

    Args:
        shape: matrix `(H, W)`.
        pixel_mm: size of a pixel in mm.
        coils: number of receiver coils.
    """

    shape: tuple[int, int]
    pixel_mm: float
    coils: int


@dataclass(frozen=True)
class DemoSubject:
    """A made-up subject and its scan.

    Args:
        name: of the subject, for example `brain-01`.
        split: part of the split.
        anatomy: `brain` or `knee`.
        acquisition: contrast.
        protocol: matrix and receiver.
        lesions: whether the subject has lesions.
    """

    name: str
    split: str
    anatomy: str
    acquisition: str
    protocol: Protocol
    lesions: bool


@dataclass(frozen=True)
class DemoRecipe:
    """Size of the built-in set; another recipe makes another folder.

    Contrasts and protocols take turns over the subjects of an anatomy, and so do subjects with and without lesions.

    Args:
        brains: made-up heads for training, validation and test.
        knees: made-up knees for training, validation and test.
        slices: slices per made-up subject.
        brain_protocols: how brains are scanned; the first is used for the real volume too.
        knee_protocols: how knees are scanned.
        noise: see `SimulationSettings`; knees with fat suppression get half as much again.
        heights: lowest and highest axial slice of a brain in mm (MNI coordinates).
        depths: most anterior and most posterior coronal slice of a knee in mm (from the middle of the joint).
        real_slice_step: every how many slices one of the real volume is taken.
        seed: another seed draws other subjects.
    """

    brains: tuple[int, int, int] = (6, 2, 2)
    knees: tuple[int, int, int] = (4, 1, 2)
    slices: int = 11
    brain_protocols: tuple[Protocol, ...] = (
        Protocol((128, 112), 1.75, 5),
        Protocol((144, 120), 1.6, 6),
        Protocol((120, 120), 1.85, 4),
    )
    knee_protocols: tuple[Protocol, ...] = (
        Protocol((128, 96), 1.25, 4),
        Protocol((144, 112), 1.1, 6),
        Protocol((128, 105), 1.2, 5),
    )
    noise: float = 0.01
    heights: tuple[float, float] = (-34.0, 64.0)
    depths: tuple[float, float] = (36.0, -36.0)
    real_slice_step: int = 2
    seed: int = 0

    @property
    def key(self) -> str:
        """Short hash of everything that decides the content."""
        return hashlib.sha256(f"{_VERSION} {self!r}".encode()).hexdigest()[:12]

    def subjects(self) -> Iterator[DemoSubject]:
        """The made-up subjects, brains before knees.

        Yields:
            Each subject with its part of the split and its scan.
        """
        yield from _take_turns("brain", self.brains, BRAIN_ACQUISITIONS, self.brain_protocols)
        yield from _take_turns("knee", self.knees, KNEE_ACQUISITIONS, self.knee_protocols)


def _take_turns(
    anatomy: str, counts: tuple[int, int, int], acquisitions: tuple[str, ...], protocols: tuple[Protocol, ...]
) -> Iterator[DemoSubject]:
    splits = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    for index, split in enumerate(splits):
        yield DemoSubject(
            name=f"{anatomy}-{index + 1:02d}",
            split=split,
            anatomy=anatomy,
            acquisition=acquisitions[index % len(acquisitions)],
            protocol=protocols[index % len(protocols)],
            lesions=index % _LESION_PERIOD not in _WITHOUT_LESIONS,
        )
