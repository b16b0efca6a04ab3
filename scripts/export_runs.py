"""What `export_all.py` runs in a fresh environment: inference, one epoch of training and evaluation."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "Runs", "run_exported"]

# Small networks and few slices of the built-in data: this shows that an export works, not how well.
_RECONSTRUCTION = {
    "training": [
        "--max_epochs",
        "1",
        "--warmup_epochs",
        "1",
        "--volume_sample_rate",
        "0.4",
        "--slice_sample_rate",
        "0.2",
    ],
    "evaluation": [
        "--dataset_dir",
        "{test}",
        "--split",
        "all",
        "--accelerations",
        "[4]",
        "--center_fractions",
        "[0.08]",
    ],
    "inference": ["--dataset_dir", "{test}", "--acceleration", "4"],
}
_STAGES = ["--classifier_epochs", "1", "--teacher_epochs", "1", "--val_interval", "1"]
_SUPER_RESOLUTION = {
    "training": [
        "--pretrain_steps",
        "20",
        "--adversarial_steps",
        "20",
        "--steps_per_epoch",
        "20",
        "--critic_only_steps",
        "4",
    ],
    "evaluation": ["--test_recipes", "['isotropic2']"],
    # the shipped weights were trained with finer voxels than those of the built-in volumes
    "inference": ["--dataset_dir", "{test}", "--factor", "[1,1,2]", "--outside", "warn"],
}
OPTIONS = {
    "universal_varnet": {**_RECONSTRUCTION, "training": [*_RECONSTRUCTION["training"], *_STAGES]},
    "weighted_dircn": {
        **_RECONSTRUCTION,
        "training": [
            "--max_epochs",
            "1",
            "--volume_sample_rate",
            "0.4",
            "--slice_sample_rate",
            "0.2",
            "--val_interval",
            "1",
        ],
    },
    "mdcsrn_wgan_gp": _SUPER_RESOLUTION,
}
_TEST_DATA = {
    "mdcsrn_wgan_gp": "from recon_monai.data import ensure_demo_scans as made; import pathlib; "
    "print(sorted(pathlib.Path(made()).glob('*.nii.gz'))[-1])",
}
_TEST_SLICES = "from recon_monai.data import built_in_dataset as made; print(made() + '/nibabel-example4d.h5')"
_CONFIGURATION = {"training": "train", "evaluation": "evaluate", "inference": "inference"}


@dataclass(frozen=True)
class Outcome:
    """How one command ended.

    Attributes:
        command: as it was typed, in an empty folder.
        seconds: it took.
        made: what it wrote.
    """

    command: str
    seconds: float
    made: str


@dataclass(frozen=True)
class Runs:
    """A bundle in an environment.

    Attributes:
        python: of the environment.
        bundle: the exported folder.
        folder: empty, to run in: no bundle and no repository is near.
    """

    python: Path
    bundle: Path
    folder: Path

    def call(self, *arguments: str, on_path: bool = False) -> str:
        """Run Python, and return what it printed; fails with that if it fails."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        if on_path:
            environment["PYTHONPATH"] = str(self.bundle)
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(arguments)} failed in {self.folder}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def workflow(self, name: str, small: bool, options: list[str]) -> Outcome:
        """Run a workflow of the bundle, by the path of its configuration and nothing else."""
        configs = [self.bundle / "configs" / f"{_CONFIGURATION[name]}.json"]
        configs += [self.bundle / "configs" / "small.json"] if small else []
        output = self.folder / name
        where = ["--run_name", "one_epoch"] if name == "training" else ["--output_dir", str(output)]
        workers = [] if "mdcsrn" in self.bundle.name and name != "training" else ["--num_workers", "0"]
        began = time.monotonic()
        files = str([str(file) for file in configs])
        self.call("-m", "monai.bundle", "run", name, "--config_file", files, *options, *where, *workers)
        seconds = time.monotonic() - began
        made = self.bundle / "eval" / "one_epoch" if name == "training" else output
        shown = (
            str([f"BUNDLE/configs/{file.name}" for file in configs]) if small else f"BUNDLE/configs/{configs[0].name}"
        )
        return Outcome(f'python -m monai.bundle run {name} --config_file "{shown}"', seconds, _described(made))


def _described(folder: Path) -> str:
    """The files of a run that a user looks for first; fails if there are none."""
    wanted = ("model.pt", "summary.md", "*_sr.nii.gz", "*.h5", "*.nii.gz")
    found = next((sorted(folder.glob(pattern)) for pattern in wanted if list(folder.glob(pattern))), [])
    if not found:
        raise RuntimeError(f"{folder} has no result")
    return f"`{found[0].name}` ({found[0].stat().st_size / 1e3:.0f} kB)"


def run_exported(python: Path, bundle: Path, folder: Path) -> dict[str, Outcome]:
    """Run an exported bundle in an environment that was made of its metadata.

    Inference takes the shipped weights; where there are none, those of the training here.

    Args:
        python: of the environment.
        bundle: the exported folder.
        folder: to run in.

    Returns:
        How each workflow ended.
    """
    folder.mkdir(parents=True)
    runs = Runs(python, bundle, folder)
    code = _TEST_DATA.get(bundle.name, _TEST_SLICES)
    test = runs.call("-c", code, on_path=(bundle / "recon_monai").is_dir()).strip().splitlines()[-1]
    options = {name: [word.replace("{test}", test) for word in words] for name, words in OPTIONS[bundle.name].items()}
    shipped = (bundle / "models" / "model.pt").is_file()
    order = ["inference", "training", "evaluation"] if shipped else ["training", "evaluation", "inference"]
    return {name: runs.workflow(name, name != "inference" or not shipped, options[name]) for name in order}
