"""The queue of the universal VarNet, fixed in advance: its runs, their order, and the command of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_parts.task import EVALUATION, TRAINING, Task, bundle_command

__all__ = ["SCALES", "Run", "Scale", "evaluation_command", "queue", "training_command"]

BUNDLE = "universal_varnet"
OMEGA = 0.9
OTHER_OMEGAS = (0.5, 0.99)
SEEDS = (0, 1, 2)
_AUGMENTATION = {"aug_strength": 0.6, "aug_weight_fliph": 0.5, "aug_weight_translation": 0.5}
_AFFINE = {"aug_weight_rotation": 0.5, "aug_weight_shearing": 0.5, "aug_weight_scaling": 0.5}
_SIZES = (
    "network_def::num_cascades",
    "network_def::refinement::channels",
    "network_def::refinement::pools",
    "network_def::sensitivity_network::channels",
    "network_def::sensitivity_network::pools",
)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large the runs are; the queue is the same.

    Attributes:
        sizes: cascades; channels and poolings of the refinement; channels and poolings of the sensitivity network.
        epochs: of each run; a tenth of them (at least 1) is warm-up, and as many go without augmentation.
        classifier_epochs: of the classifier's run.
        val_interval: epochs between validations.
        learning_rate: of the networks.
        matrix: rows and columns of k-space in the reduced copy of the data; None uses the data as they are.
        slices: of each anatomy in each part of that copy.
        num_workers: processes that load data.
        step_seconds: of one update of the plain network, for the estimate before the first run is finished.
    """

    sizes: tuple[int, int, int, int, int]
    epochs: int
    classifier_epochs: int
    val_interval: int
    learning_rate: float
    matrix: int | None
    slices: Mapping[str, int]
    num_workers: int
    step_seconds: float

    @property
    def tenth(self) -> int:
        """Epochs of warm-up, and epochs before augmentation begins: 10 of 100 in the original recipe."""
        return max(1, self.epochs // 10)


SCALES = {
    "tiny": Scale((1, 2, 2, 2, 2), 1, 1, 1, 0.001, 32, {"train": 2, "val": 2, "test": 2}, 0, 0.02),
    "small": Scale((3, 6, 3, 3, 3), 24, 5, 3, 0.003, 96, {"train": 60, "val": 16, "test": 48}, 0, 0.1),
    "full": Scale((8, 9, 4, 4, 4), 50, 10, 5, 0.001, None, {}, 4, 0.1),
}


@dataclasses.dataclass(frozen=True)
class Run(Task[Scale]):
    """One training and its evaluation.

    Attributes:
        variant: what is compared; runs of one variant differ in seed or, for ``a``, in anatomy.
        kind: ``"classifier"``, ``"plain"`` (`VarNet`), ``"aspin"`` (without teachers) or ``"student"``.
        seed: of the run.
        anatomy: the only one it is trained and tested with; None: all.
        placement: where ASPIN acts.
        omega: share of the reconstruction loss.
        augmentation: ids of the bundle that are not as without augmentation.
    """

    variant: str
    kind: str
    seed: int = 0
    anatomy: str | None = None
    placement: str = "all"
    omega: float = OMEGA
    augmentation: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its folder."""
        return "-".join([self.variant, *([self.anatomy] if self.anatomy else []), f"seed{self.seed}"])

    @property
    def teachers(self) -> bool:
        """Whether it needs them."""
        return self.kind == "student"

    @property
    def cost(self) -> float:
        """Time of an update, in those of the plain network; measured, and used for estimates only."""
        return {"classifier": 0.15, "plain": 1.0, "aspin": 1.3, "student": 1.8}[self.kind]

    @property
    def parts(self) -> tuple[str, ...]:
        """The classifier is trained only."""
        return (TRAINING,) if self.kind == "classifier" else (TRAINING, EVALUATION)

    def epochs(self, scale: Scale) -> int:
        """Epochs of its training."""
        return scale.classifier_epochs if self.kind == "classifier" else scale.epochs

    def stages(self, runs: Sequence[Run]) -> dict[str, Run]:
        """Classifier and teachers that it starts from."""
        needed: dict[str, Run] = {}
        if self.kind in ("aspin", "student"):
            needed["classifier"] = next(other for other in runs if other.kind == "classifier")
        if self.teachers:
            needed |= {f"teacher_{other.anatomy}": other for other in runs if other.anatomy}
        return needed

    def command(
        self, part: str, scale: Scale, dataset_dir: Path, folder: Path, weights: Mapping[str, Path]
    ) -> list[str]:
        """`training_command` or `evaluation_command`."""
        if part == TRAINING:
            return training_command(self, scale, dataset_dir, folder / part, weights)
        return evaluation_command(self, scale, dataset_dir, folder / TRAINING / "model.pt", folder / part)


def queue(anatomies: Sequence[str]) -> list[Run]:
    """All runs in their order: seed 0 of everything, what others need first, then the further seeds.

    Args:
        anatomies: those of the data.

    Returns:
        The runs.
    """
    shared, universal = Run("b", "plain"), Run("c-all", "aspin")
    student = Run("d", "student")
    moved = dataclasses.replace(student, variant="e", augmentation=_AUGMENTATION)
    first = [
        Run("classifier", "classifier"),
        *(Run("a", "plain", anatomy=anatomy) for anatomy in anatomies),
        shared,
        universal,
        student,
        moved,
        dataclasses.replace(moved, variant="f", augmentation={**_AUGMENTATION, **_AFFINE}),
        *(Run(f"c-{placement}", "aspin", placement=placement) for placement in ("bottleneck", "input")),
        *(dataclasses.replace(student, variant=f"d-omega{omega}", omega=omega) for omega in OTHER_OMEGAS),
    ]
    repeated = (shared, universal, student)
    return first + [dataclasses.replace(run, seed=seed) for seed in SEEDS[1:] for run in repeated]


def training_command(
    run: Run, scale: Scale, dataset_dir: Path, output_dir: Path, weights: Mapping[str, Path]
) -> list[str]:
    """The bundle's command that trains a run, or goes on with it.

    Args:
        run: the run.
        scale: its size.
        dataset_dir: the data.
        output_dir: folder of the run.
        weights: files of the stages before it by their names, those it needs.

    Returns:
        The command.
    """
    overlay = {"classifier": "classifier", "plain": "teacher"}.get(run.kind, "student")
    files = ["train.json", f"train_{overlay}.json", *(["no_distillation.json"] if run.kind == "aspin" else [])]
    options: dict[str, Any] = {
        "dataset_dir": dataset_dir,
        "output_dir": output_dir,
        "run_name": output_dir.name,
        "resume": True,
        "seed": run.seed,
        **_sizes(scale),
        "max_epochs": scale.epochs,
        "classifier_epochs": scale.classifier_epochs,
        "warmup_epochs": scale.tenth,
        "val_interval": scale.val_interval,
        "learning_rate": scale.learning_rate,
        "num_workers": scale.num_workers,
        "aspin_placement": run.placement,
        "aug_delay": scale.tenth if run.augmentation else 0,
        "aug_strength": 0.0,
        **run.augmentation,
        **({} if run.kind == "aspin" else {"omega": run.omega}),  # which distills nothing
        **{f"stage_weights::{stage}": file for stage, file in weights.items()},
    }
    if run.kind == "plain" and run.anatomy:
        options["teacher_of"] = run.anatomy
    elif run.kind == "plain":  # the teacher's configuration, with all anatomies
        options |= {"train::dataset::filters": "@filters", "validate::dataset::filters": "@filters"}
    return bundle_command(BUNDLE, "training", files, options)


def evaluation_command(run: Run, scale: Scale, dataset_dir: Path, weights: Path, output_dir: Path) -> list[str]:
    """The bundle's command that measures a run on the test subjects, the anatomy stated.

    Args:
        run: the run.
        scale: its size.
        dataset_dir: the data.
        weights: the run's weights.
        output_dir: folder of the tables.

    Returns:
        The command.
    """
    plain = run.kind == "plain"
    options: dict[str, Any] = {
        "dataset_dir": dataset_dir,
        "output_dir": output_dir,
        "run_name": output_dir.name,
        "overwrite": True,
        "ckpt": weights,
        "num_workers": scale.num_workers,
        **_sizes(scale),
        **({"filters::anatomy": run.anatomy} if run.anatomy else {}),
        **({} if plain else {"anatomy": "stated", "aspin_placement": run.placement}),
    }
    files = ["evaluate.json", *(["evaluate_plain.json"] if plain else [])]
    return bundle_command(BUNDLE, "evaluation", files, options)


def _sizes(scale: Scale) -> dict[str, int]:
    return dict(zip(_SIZES, scale.sizes, strict=True))
