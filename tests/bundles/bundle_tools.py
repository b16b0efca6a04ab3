"""How the bundle tests run a bundle, and the smallest sizes they run it with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TINY = {
    "network_def::num_cascades": 1,
    "network_def::refinement::channels": 2,
    "network_def::refinement::pools": 2,
    "network_def::sensitivity_network::channels": 2,
    "network_def::sensitivity_network::pools": 2,
    "num_workers": 0,
}


def run_bundle(run_id: str, config: str, cwd: Path, overrides: dict | None = None, **environment: str) -> str:
    """``python -m monai.bundle run``; returns what it printed, fails with it if it failed."""
    options = [word for name, value in (overrides or {}).items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", config, *options]
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}"
    return done.stdout
