"""The queue that compares trainings of mDCSRN with a critic, fixed in advance: its runs, their order, commands."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_parts.task import EVALUATION, MEASUREMENT, TRAINING, Task, bundle_command
from recon_monai.engines import UpdateSchedule

__all__ = [
    "ALONE",
    "ARMS",
    "CLIPPING",
    "PENALTY",
    "PRESETS",
    "PRETRAINED",
    "SCALES",
    "MeasuredSize",
    "Run",
    "Scale",
    "measured_steps",
    "queue",
]

BUNDLE = "mdcsrn_wgan_gp"
PRETRAINED, ALONE, CLIPPING, PENALTY = "pretrained", "l1", "weight-clipping", "gradient-penalty"
ARMS = (ALONE, CLIPPING, PENALTY)
"""What is compared at three seeds."""
PRESETS = ("paper31m", "slide17m")
SEEDS = (0, 1, 2)
_SCRIPTS = Path(__file__).parents[1]
_NETWORK = tuple(f"network_def::{name}" for name in ("blocks", "units", "growth", "first_channels"))
_PUBLISHED_PATCH, _PUBLISHED_WEIGHT = 64, 1e-3
# of Adam where a critic takes part, as in the bundle; here of the generator alone, too, so that nothing else differs
_BETAS = [0.0, 0.9]


@dataclasses.dataclass(frozen=True)
class MeasuredSize:
    """A size at which memory and time of steps are measured.

    Attributes:
        network: blocks, units, growth, first channels.
        critic_width: of critics without a preset.
        preset_width: of those with one.
        patch: voxels along each axis.
        batch: patches.
        bf16: inside the networks.
    """

    network: tuple[int, int, int, int]
    critic_width: int
    preset_width: int
    patch: int
    batch: int
    bf16: bool


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large the runs are; the queue is the same.

    Attributes:
        network: blocks, units, growth and first channels of the generator.
        critic_width: of the critic with three seeds.
        preset_width: of the critics of the published sizes.
        patch_size: voxels along each axis.
        batch_size: volumes of a step.
        patches_per_volume: of each.
        amp: bfloat16 inside the networks.
        pretrain_steps: of the generator that all arms start from.
        pretrain_rate: of Muon, at the beginning; it falls along a cosine to `generator_rate`.
        pretrain_epochs: validations of that run.
        generator_updates: of every arm.
        critic_only_steps: of arms with a critic, before the cycles.
        critic_steps: of a cycle.
        generator_rate: of all arms.
        critic_rate: likewise.
        arm_epochs: validations of an arm.
        subjects: the most of each part, see `reduce_volumes`.
        block: voxels along each axis of training, validation and test volumes.
        recipes: of low resolution.
        window: of inference.
        num_workers: processes that load data.
        step_seconds: of one update of the generator alone, for the estimate before the first run is finished.
        evaluation_seconds: of starting, validating and testing one run, likewise.
        measured: sizes at which memory and time are measured.
        rounds: processes for each of these figures.
        measurement_seconds: of all of them, estimated.
    """

    network: tuple[int, int, int, int]
    critic_width: int
    preset_width: int
    patch_size: int
    batch_size: int
    patches_per_volume: int
    amp: bool
    pretrain_steps: int
    pretrain_rate: float
    pretrain_epochs: int
    generator_updates: int
    critic_only_steps: int
    critic_steps: int
    generator_rate: float
    critic_rate: float
    arm_epochs: int
    subjects: Mapping[str, int]
    block: int
    recipes: tuple[str, ...]
    window: int
    num_workers: int
    step_seconds: float
    evaluation_seconds: float
    measured: tuple[MeasuredSize, ...]
    rounds: int
    measurement_seconds: float

    @property
    def schedule(self) -> UpdateSchedule:
        """Of arms with a critic."""
        return UpdateSchedule(0, self.critic_only_steps, self.critic_steps)

    @property
    def critic_arm_steps(self) -> int:
        """Updates of an arm with a critic, of both networks."""
        return self.critic_only_steps + (self.critic_steps + 1) * self.generator_updates

    @property
    def adversarial_weight(self) -> float:
        """Of the critic's score in the generator's loss: the published one at patches of 64 voxels.

        The gradient of the mean absolute error of N voxels has norm ``N ** -0.5``, that of a critic with gradient
        penalty about 1. So the same number would weigh less in smaller patches.
        """
        return float(f"{_PUBLISHED_WEIGHT * (_PUBLISHED_PATCH / self.patch_size) ** 1.5:.2g}")


_FULL_NETWORK = (4, 4, 16, 32)
SCALES = {
    "tiny": Scale(
        network=(1, 1, 2, 2),
        critic_width=2,
        preset_width=2,
        patch_size=8,
        batch_size=1,
        patches_per_volume=2,
        amp=False,
        pretrain_steps=4,
        pretrain_rate=0.001,
        pretrain_epochs=2,
        generator_updates=2,
        critic_only_steps=2,
        critic_steps=2,
        generator_rate=0.0001,
        critic_rate=0.0001,
        arm_epochs=2,
        subjects={"train": 2, "val": 1, "test": 2},
        block=14,
        recipes=("inplane2", "isotropic2"),
        window=12,
        num_workers=0,
        step_seconds=0.02,
        evaluation_seconds=30.0,
        measured=(MeasuredSize((1, 1, 2, 2), 2, 2, 8, 2, False),),
        rounds=1,
        measurement_seconds=120.0,
    ),
    "small": Scale(
        network=(2, 3, 12, 24),
        critic_width=16,
        preset_width=64,
        patch_size=24,
        batch_size=2,
        patches_per_volume=1,
        amp=False,
        pretrain_steps=1000,
        pretrain_rate=0.005,
        pretrain_epochs=10,
        generator_updates=144,
        critic_only_steps=60,
        critic_steps=5,
        generator_rate=0.0001,
        critic_rate=0.0001,
        arm_epochs=6,
        subjects={"train": 14, "val": 2, "test": 9},
        block=96,
        recipes=("inplane2", "isotropic2"),
        window=96,
        num_workers=0,
        step_seconds=0.24,
        evaluation_seconds=120.0,
        measured=(
            MeasuredSize((2, 3, 12, 24), 16, 64, 24, 2, False),
            MeasuredSize(_FULL_NETWORK, 64, 64, 32, 2, False),
        ),
        rounds=1,
        measurement_seconds=300.0,
    ),
    "full": Scale(
        network=_FULL_NETWORK,
        critic_width=64,
        preset_width=64,
        patch_size=64,
        batch_size=2,
        patches_per_volume=2,
        amp=True,
        pretrain_steps=50_000,
        pretrain_rate=0.005,
        pretrain_epochs=10,
        generator_updates=4000,
        critic_only_steps=1000,
        critic_steps=5,
        generator_rate=0.00002,
        critic_rate=0.0001,
        arm_epochs=5,
        subjects={"train": 100, "val": 4, "test": 30},
        block=192,
        recipes=("inplane2", "isotropic2", "thick4mm"),
        window=96,
        num_workers=8,
        step_seconds=0.1,
        evaluation_seconds=600.0,
        measured=(
            MeasuredSize(_FULL_NETWORK, 64, 64, 64, 4, True),
            MeasuredSize(_FULL_NETWORK, 64, 64, 64, 4, False),
        ),
        rounds=3,
        measurement_seconds=1500.0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Run(Task[Scale]):
    """One training and its evaluation, or the measurement of memory and time of all steps.

    Attributes:
        variant: what is compared.
        kind: ``"pretraining"``, ``"alone"`` (further training by L1), ``"adversarial"`` or ``"measurement"``.
        seed: of the run.
        constraint: of the critic; None where there is none.
        preset: of the critic; None for the one of the scale's width.
        anatomy: None, for every run sees all.
    """

    variant: str
    kind: str = "adversarial"
    seed: int = 0
    constraint: str | None = None
    preset: str | None = None
    anatomy: str | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}-seed{self.seed}" if self.kind in ("alone", "adversarial") else self.variant

    @property
    def parts(self) -> tuple[str, ...]:
        """Training and evaluation, or the measurement."""
        return (MEASUREMENT,) if self.kind == "measurement" else (TRAINING, EVALUATION)

    @property
    def cost(self) -> float:
        """Mean time of an update, in those of the generator alone; measured at the small scale."""
        costs = {"paper31m": 3.9, "slide17m": 1.4, "weight_clipping": 0.7, "gradient_penalty": 0.9}
        return costs.get(self.preset or self.constraint or "", 1.0)

    def fixed_seconds(self, scale: Scale) -> float:
        """Time beside that of the updates."""
        return scale.measurement_seconds if self.kind == "measurement" else scale.evaluation_seconds

    def epochs(self, scale: Scale) -> int:
        """Epochs of its training; 0 for the measurement."""
        return {"pretraining": scale.pretrain_epochs, "measurement": 0}.get(self.kind, scale.arm_epochs)

    def steps(self, scale: Scale, updates: Mapping[str | None, int]) -> int:
        """Updates of its training, of both networks."""
        return {
            "pretraining": scale.pretrain_steps,
            "alone": scale.generator_updates,
            "adversarial": scale.critic_arm_steps,
            "measurement": 0,
        }[self.kind]

    def stages(self, runs: Sequence[Run]) -> dict[str, Run]:
        """The pretraining that all arms start from."""
        if self.kind not in ("alone", "adversarial"):
            return {}
        return {"pretrained": next(other for other in runs if other.kind == "pretraining")}

    def command(
        self, part: str, scale: Scale, dataset_dir: Path, folder: Path, weights: Mapping[str, Path]
    ) -> list[str]:
        """The bundle's command, or that of a script beside the queue's."""
        if part == MEASUREMENT:
            settings: dict[str, Any] = {"steps": measured_steps(), "rounds": scale.rounds}
            settings["measured"] = [dataclasses.asdict(size) for size in scale.measured]
            return _script("measure_mdcsrn.py", folder / part, settings)
        if part == EVALUATION:
            settings = {"dataset_dir": str(dataset_dir), "weights": str(folder / TRAINING / "model.pt")}
            settings |= {"network": scale.network, "window": scale.window}
            return _script("evaluate_mdcsrn.py", folder / part, settings)
        return self._training_command(scale, dataset_dir, folder / part, weights)

    def _training_command(
        self, scale: Scale, dataset_dir: Path, output_dir: Path, weights: Mapping[str, Path]
    ) -> list[str]:
        steps = self.steps(scale, {})
        options: dict[str, Any] = {
            "dataset_dir": dataset_dir,
            "layout": "paired",
            "cache": False,
            "output_dir": output_dir,
            "run_name": output_dir.name,
            "resume": True,
            "seed": self.seed,
            "scale": 1.0,  # the copy is scaled
            "steps_per_epoch": steps // self.epochs(scale),
            "batch_size": scale.batch_size,
            "patches_per_volume": scale.patches_per_volume,
            "patch_size": scale.patch_size,
            "window": scale.window,
            "val_interval": 1,
            "num_workers": scale.num_workers,
            "amp": scale.amp,
            **dict(zip(_NETWORK, scale.network, strict=True)),
        }
        if self.kind != "pretraining":
            # of all arms the last weights, as the best PSNR would be that of L1
            options |= {"pretrained": weights["pretrained"], "is_better": "$lambda current, best: True"}
        if self.kind == "adversarial":
            return bundle_command(BUNDLE, TRAINING, *self._adversarial(scale, options, steps))
        options["pretrain_steps"] = steps
        if self.kind == "pretraining":
            ends = scale.generator_rate / scale.pretrain_rate
            options |= {"pretrain_learning_rate": scale.pretrain_rate, "final_rate": ends}
            # what the low resolution lacks is mostly near zero, and so is its median: L1 takes far longer to leave it
            options["pretrain_loss::_target_"] = "torch.nn.MSELoss"
            return bundle_command(BUNDLE, TRAINING, ["train.json", "pretrain.json", "muon.json"], options)
        options |= {"pretrain_learning_rate": scale.generator_rate, "betas": _BETAS}
        return bundle_command(BUNDLE, TRAINING, ["train.json", "pretrain.json"], options)

    def _adversarial(self, scale: Scale, options: dict[str, Any], steps: int) -> tuple[list[str], dict[str, Any]]:
        """Files and options of an arm with a critic."""
        options |= {
            "adversarial_steps": steps,
            "generator_learning_rate": scale.generator_rate,
            "critic_learning_rate": scale.critic_rate,
            "critic_only_steps": scale.critic_only_steps,
            "critic_steps": scale.critic_steps,
            "extra_critic_every": 0,
            "extra_critic_steps": 0,
            "adversarial_weight": scale.adversarial_weight,
            "critic_width": scale.preset_width if self.preset else scale.critic_width,
        }
        if self.preset:
            options |= {"critic_def::preset": self.preset, "critic_def::norm": "layer"}
        overlay = ["weight_clipping.json"] if self.constraint == "weight_clipping" else []
        return ["train.json", "adversarial.json", *overlay], options


def queue(anatomies: Sequence[str]) -> list[Run]:
    """All runs in their order: seed 0 of everything, the measurement, then the further seeds.

    Args:
        anatomies: of no meaning here.

    Returns:
        The runs.
    """
    arms = [
        Run(ALONE, "alone"),
        Run(CLIPPING, constraint="weight_clipping"),
        Run(PENALTY, constraint="gradient_penalty"),
    ]
    return [
        Run(PRETRAINED, "pretraining"),
        *arms,
        Run("measurement", "measurement"),
        *(Run(preset, constraint="gradient_penalty", preset=preset) for preset in reversed(PRESETS)),
        *(dataclasses.replace(arm, seed=seed) for seed in SEEDS[1:] for arm in arms),
    ]


def measured_steps() -> list[dict[str, Any]]:
    """Steps whose memory and time are measured: of the generator alone, and of both networks with each critic.

    Returns:
        ``name`` of the variant, ``kind`` of the step, ``preset`` of the critic and ``constraint``.
    """
    adversarial = [run for run in queue([]) if run.kind == "adversarial" and run.seed == 0]
    alone = {"name": ALONE, "kind": "pretraining", "preset": None, "constraint": "gradient_penalty"}
    return [
        alone,
        *(
            {"name": run.variant, "kind": kind, "preset": run.preset, "constraint": run.constraint}
            for run in adversarial
            for kind in ("critic", "generator")
        ),
    ]


def _script(name: str, folder: Path, settings: Mapping[str, Any]) -> list[str]:
    return [sys.executable, str(_SCRIPTS / name), str(folder), json.dumps(settings)]
