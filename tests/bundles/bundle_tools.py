"""How the bundle tests run a bundle, and the smallest sizes they run it with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.networks import AnatomyClassifier, VarNet

ROOT = Path(__file__).parents[2]

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")

TINY = {
    "network_def::num_cascades": 1,
    "network_def::refinement::channels": 2,
    "network_def::refinement::pools": 2,
    "network_def::sensitivity_network::channels": 2,
    "network_def::sensitivity_network::pools": 2,
    "num_workers": 0,
}


def student_alone(folder: Path, anatomies: Sequence[str] = ("brain",)) -> dict:
    """Options that train the student alone, with untrained weights of the stages before, different for each teacher.

    Args:
        folder: where the weights are written.
        anatomies: of the data, in the order of their names; those of `tiny_data` by default.
    """
    torch.manual_seed(0)
    sizes = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}
    teachers = {f"teacher_{name}": VarNet(**sizes) for name in anatomies}
    parts = {"classifier": AnatomyClassifier(anatomies=anatomies), **teachers}
    weights = {name: str(folder / f"{name}.pt") for name in parts}
    for name, part in parts.items():
        torch.save(part.state_dict(), weights[name])
    return {"stages": ["student"], "stage_weights": weights}


def run_bundle(run_id: str, config: str, cwd: Path, overrides: dict | None = None, **environment: str) -> str:
    """``python -m monai.bundle run``; returns what it printed, fails with it if it failed."""
    done = start_bundle(run_id, config, cwd, overrides, **environment)
    assert done.returncode == 0, f"{' '.join(done.args)}\n{done.stdout[-6000:]}"
    return done.stdout


def start_bundle(
    run_id: str,
    config: str,
    cwd: Path,
    overrides: dict | None = None,
    launcher: Sequence[str] = (sys.executable, "-m"),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The same, whatever its exit status; `launcher` may be torchrun."""
    options = [word for name, value in (overrides or {}).items() for word in (f"--{name}", str(value))]
    command = [*launcher, "monai.bundle", "run", run_id, "--config_file", config, *options]
    return subprocess.run(
        command,
        cwd=cwd,
        # this folder, so that configurations of tests can name the handlers above
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def verify_with_monai(checkout: Path, configs: str, options: dict, inference: dict | None = None) -> None:
    """MONAI's own checks of a bundle: network in and out, and the ids of its workflows.

    Args:
        checkout: root of the repository.
        configs: folder of the configurations, from there.
        options: ids and values of both workflows.
        inference: more of them, of inference alone.
    """
    code = f"""
from monai.bundle import ConfigWorkflow, verify_net_in_out
configs = {configs!r}
options = { ({name: str(value) if isinstance(value, Path) else value for name, value in options.items()})!r}
verify_net_in_out("network_def", f"{{configs}}/metadata.json", f"{{configs}}/inference.json", device="cpu")
for name, kind in (("train", "train"), ("inference", "infer")):
    if name == "inference":
        options |= { ({name: str(value) for name, value in (inference or {}).items()})!r}
    workflow = ConfigWorkflow(f"{{configs}}/{{name}}.json", logging_file=False, workflow_type=kind, **options)
    if name == "inference":
        workflow.parser["network"] = "@network_def"
    workflow.initialize()
    assert not workflow.check_properties(), workflow.check_properties()
print("verified")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("verified"), done.stdout[-3000:] + done.stderr[-3000:]


class SignalAt:
    """A handler that sends its own process a signal, for tests of what a run leaves behind.

    Args:
        name: of the signal, for example ``"SIGTERM"``.
        iteration: after which iteration of the engine it is sent.
        rank: of the process.
        once: a file to make then; where it is already, no signal is sent.
    """

    def __init__(self, name: str, iteration: int, rank: int = 0, once: str | None = None) -> None:
        self.name = name
        self.iteration = iteration
        self.rank = rank
        self.once = Path(once) if once else None

    def attach(self, engine: Engine) -> None:
        """Register with an engine."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Send the signal when it is time."""
        if engine.state.iteration == self.iteration and distributed.rank() == self.rank:
            if self.once:
                if self.once.exists():
                    return
                self.once.touch()
            os.kill(os.getpid(), signal.Signals[self.name])
