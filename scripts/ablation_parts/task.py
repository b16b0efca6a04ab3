"""What a queue asks of its runs, and how commands of a bundle are written."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

__all__ = ["EVALUATION", "MEASUREMENT", "TRAINING", "Prepared", "Size", "Task", "bundle_command"]

TRAINING, EVALUATION, MEASUREMENT = "training", "evaluation", "measurement"
BUNDLES = Path(__file__).parents[2] / "bundles"


class Prepared(NamedTuple):
    """Data of the runs.

    Attributes:
        folder: where.
        parts: what is in there, for the plan and the page.
        anatomies: those of the data.
        updates: batches of an epoch with all anatomies, and for each of them alone by its name.
    """

    folder: Path
    parts: dict[str, Any]
    anatomies: list[str]
    updates: Mapping[str | None, int]


class Size(Protocol):
    """What every plan says about the size of its runs."""

    @property
    def step_seconds(self) -> float:
        """Seconds of one batch of the plain network, for the estimate before the first run is finished."""


ScaleT = TypeVar("ScaleT", bound=Size)


class Task(ABC, Generic[ScaleT]):
    """One run of a queue: commands one after the other, each in a folder named after its part.

    Attributes:
        variant: what is compared; runs of one variant differ in seed or anatomy.
        seed: of the run.
        anatomy: the only one it is trained and tested with; None: all.
    """

    variant: str
    seed: int
    anatomy: str | None

    @property
    @abstractmethod
    def name(self) -> str:
        """Of its folder."""

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """What it consists of, in order: `TRAINING`, `EVALUATION`, `MEASUREMENT`."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Time of a batch, in those of the plain network; used for estimates only."""

    def fixed_seconds(self, scale: ScaleT) -> float:
        """Time beside that of the batches: evaluation, starting the commands."""
        return 60.0

    @abstractmethod
    def epochs(self, scale: ScaleT) -> int:
        """Epochs of its training; 0 if it has none."""

    def steps(self, scale: ScaleT, updates: Mapping[str | None, int]) -> int:
        """Batches of its training, each of which is an update unless the run accumulates them.

        Args:
            scale: its size.
            updates: batches of an epoch, see `Prepared`.

        Returns:
            The number.
        """
        return self.epochs(scale) * updates[self.anatomy]

    @abstractmethod
    def stages(self, runs: Sequence[Self]) -> dict[str, Self]:
        """Runs whose weights it starts from, by the names the bundle gives its stages."""

    @abstractmethod
    def command(
        self, part: str, scale: ScaleT, dataset_dir: Path, folder: Path, weights: Mapping[str, Path]
    ) -> list[str]:
        """The command of a part, which goes on with what is there.

        Args:
            part: one of `parts`.
            scale: its size.
            dataset_dir: the data.
            folder: of the run; the part writes into the folder of its name in there.
            weights: files of its `stages` by their names.

        Returns:
            The command.
        """


def bundle_command(bundle: str, run_id: str, files: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """A command of a bundle.

    Args:
        bundle: its name.
        run_id: ``"training"`` or ``"evaluation"``.
        files: of its configurations, the overlays last.
        options: what else is set, by id.

    Returns:
        The command.
    """
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    paths = str([str(BUNDLES / bundle / "configs" / file) for file in files])
    return [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", paths, *words]
