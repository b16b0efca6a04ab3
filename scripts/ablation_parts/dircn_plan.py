"""The queue that compares variants of the DIRCN, fixed in advance: its runs, their order, and the command of each."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_parts.plan import SCALES as REDUCED
from ablation_parts.task import EVALUATION, MEASUREMENT, TRAINING, Task, bundle_command

__all__ = ["DEFAULT", "SCALES", "MeasuredSize", "Run", "Scale", "measured_networks", "queue"]

BUNDLE = "weighted_dircn"
DEFAULT = "normalized-sum"
"""The variant from which one thing at a time is changed."""
SEEDS = (0, 1, 2)
_MEASURE = Path(__file__).parents[1] / "measure_dircn.py"
# arguments of the network by the ids of the bundle that set them
_IDS = {
    "aggregation": ("network_def::aggregation",),
    "interconnections": ("network_def::interconnections",),
    "se_ratio": ("network_def::refinement::se_ratio", "network_def::sensitivity_network::refinement::se_ratio"),
}
_SIZES = (
    "network_def::num_cascades",
    "network_def::refinement::channels",
    "network_def::refinement::groups",
    "network_def::sensitivity_network::refinement::channels",
    "network_def::sensitivity_network::refinement::groups",
)


@dataclasses.dataclass(frozen=True)
class MeasuredSize:
    """A size at which memory and time of a training step are measured.

    Attributes:
        sizes: cascades, channels of the refinement, channels of the sensitivity network.
        shape: coils, rows and columns of k-space.
    """

    sizes: tuple[int, int, int]
    shape: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large the runs are; the queue is the same.

    Attributes:
        sizes: cascades; channels and groups of the refinement; channels and groups of the sensitivity network.
        epochs: of each run.
        val_interval: epochs between validations.
        patience: validations in a row that may be no better before the rate, or the effective batch, changes.
        learning_rate: at the beginning.
        matrix: rows and columns of k-space in the reduced copy of the data; None uses the data as they are.
        slices: of each anatomy in each part of that copy.
        num_workers: processes that load data.
        step_seconds: of one batch of the default network, for the estimate before the first run is finished.
        measured: sizes at which memory and time are measured.
        rounds: processes for each of these figures.
        measurement_seconds: of all of them, estimated.
    """

    sizes: tuple[int, int, int, int, int]
    epochs: int
    val_interval: int
    patience: int
    learning_rate: float
    matrix: int | None
    slices: Mapping[str, int]
    num_workers: int
    step_seconds: float
    measured: tuple[MeasuredSize, ...]
    rounds: int
    measurement_seconds: float


SCALES = {
    "tiny": Scale(
        sizes=(2, 2, 1, 2, 1),
        epochs=1,
        val_interval=1,
        patience=1,
        learning_rate=0.001,
        matrix=REDUCED["tiny"].matrix,
        slices=REDUCED["tiny"].slices,
        num_workers=0,
        step_seconds=0.05,
        measured=(MeasuredSize((2, 4, 2), (2, 48, 48)),),
        rounds=1,
        measurement_seconds=60.0,
    ),
    "small": Scale(
        sizes=(3, 6, 2, 2, 2),
        epochs=24,
        val_interval=2,
        patience=1,
        learning_rate=0.001,
        matrix=REDUCED["small"].matrix,
        slices=REDUCED["small"].slices,
        num_workers=0,
        step_seconds=0.3,
        measured=(MeasuredSize((5, 8, 4), (8, 192, 192)), MeasuredSize((8, 16, 4), (8, 192, 192))),
        rounds=2,
        measurement_seconds=2400.0,
    ),
    "full": Scale(
        sizes=(5, 8, 4, 4, 2),
        epochs=50,
        val_interval=1,
        patience=3,
        learning_rate=0.001,
        matrix=None,
        slices={},
        num_workers=4,
        step_seconds=0.2,
        measured=(MeasuredSize((5, 8, 4), (16, 384, 384)), MeasuredSize((8, 16, 4), (16, 384, 384))),
        rounds=3,
        measurement_seconds=600.0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Run(Task[Scale]):
    """One training and its evaluation, or the measurement of memory and time of all networks.

    Attributes:
        variant: what is compared.
        kind: ``"network"`` or ``"measurement"``.
        seed: of the run.
        network: arguments of the network that are not the default's.
        overlay: the bundle's file that changes the training; None: its default.
        anatomy: None, for every run sees all.
    """

    variant: str
    kind: str = "network"
    seed: int = 0
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    overlay: str | None = None
    anatomy: str | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}-seed{self.seed}" if self.kind == "network" else self.variant

    @property
    def parts(self) -> tuple[str, ...]:
        """Training and evaluation, or the measurement."""
        return (TRAINING, EVALUATION) if self.kind == "network" else (MEASUREMENT,)

    @property
    def cost(self) -> float:
        """Time of a batch, about the same for all variants."""
        return 1.0

    def fixed_seconds(self, scale: Scale) -> float:
        """Time beside that of the batches."""
        return scale.measurement_seconds if self.kind == "measurement" else super().fixed_seconds(scale)

    def epochs(self, scale: Scale) -> int:
        """Epochs of its training; 0 for the measurement."""
        return scale.epochs if self.kind == "network" else 0

    def stages(self, runs: Sequence[Run]) -> dict[str, Run]:
        """None: every run starts afresh."""
        return {}

    def command(
        self, part: str, scale: Scale, dataset_dir: Path, folder: Path, weights: Mapping[str, Path]
    ) -> list[str]:
        """The bundle's command, or that of the measurement."""
        if part == MEASUREMENT:
            return _measurement_command(scale, folder / part)
        options: dict[str, Any] = {
            "dataset_dir": dataset_dir,
            "output_dir": folder / part,
            "run_name": part,
            "num_workers": scale.num_workers,
            **dict(zip(_SIZES, scale.sizes, strict=True)),
            **{name: value for argument, value in self.network.items() for name in _IDS[argument]},
        }
        if part == EVALUATION:
            options |= {"overwrite": True, "ckpt": folder / TRAINING / "model.pt"}
            return bundle_command(BUNDLE, part, ["evaluate.json"], options)
        options |= {
            "resume": True,
            "seed": self.seed,
            "max_epochs": scale.epochs,
            "val_interval": scale.val_interval,
            "patience": scale.patience,
            "learning_rate": scale.learning_rate,
            "aug_delay": 0,
            "aug_strength": 0.0,
        }
        return bundle_command(BUNDLE, part, ["train.json", *([self.overlay] if self.overlay else [])], options)


def queue(anatomies: Sequence[str]) -> list[Run]:
    """All runs in their order: seed 0 of everything, the measurement, then the further seeds.

    Args:
        anatomies: those of the data; all runs see all of them.

    Returns:
        The runs.
    """
    default = Run(DEFAULT)
    concat = Run("concat", network={"aggregation": "concat"})
    # one seed at first; the others were added when it was seen how much it differs
    no_interconnections = Run("no-interconnections", network={"interconnections": False})
    first = [
        default,
        concat,
        Run("none", network={"aggregation": "none"}),
        Run("sum", network={"aggregation": "sum"}),
        no_interconnections,
        Run("no-se", network={"se_ratio": 0}),
        Run("focal", overlay="focal.json"),
        Run("batch-schedule", overlay="batch_schedule.json"),
        Run("measurement", "measurement"),
    ]
    repeated = (default, concat, no_interconnections)
    return first + [dataclasses.replace(run, seed=seed) for seed in SEEDS[1:] for run in repeated]


def measured_networks() -> dict[str, dict[str, Any]]:
    """Networks whose memory and time are measured: the variants that differ in it, and one way to save memory.

    Returns:
        Arguments of the network by variant.
    """
    runs = [run for run in queue([]) if run.kind == "network" and run.seed == 0 and run.overlay is None]
    return {**{run.variant: dict(run.network) for run in runs}, f"{DEFAULT}-checkpointing": {"checkpointing": "all"}}


def _measurement_command(scale: Scale, folder: Path) -> list[str]:
    settings = {
        "networks": measured_networks(),
        "measured": [dataclasses.asdict(size) for size in scale.measured],
        "rounds": scale.rounds,
    }
    return [sys.executable, str(_MEASURE), str(folder), json.dumps(settings)]
