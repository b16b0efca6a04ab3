"""The Slurm example, with stand-ins for Slurm's commands and for torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "slurm_train.sbatch"
_TORCHRUN = """#!/bin/bash
echo "$@" > started
trap 'sleep 0.3; echo saved > state; exit 1' TERM
for i in $(seq 100); do [ -f finish ] && exit 0; sleep 0.1; done
"""


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder with an environment and the stand-ins on its path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "srun": '#!/bin/bash\nshift\nexec "$@"\n',
        "scontrol": '#!/bin/bash\ncat state > requeued; echo "$@" >> requeued\n',
        "torchrun": _TORCHRUN,
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text("")
    return tmp_path


def start(home: Path) -> subprocess.Popen[bytes]:
    environment = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "RECON_MONAI_HOME": str(home), "SLURM_JOB_ID": "17"}
    process = subprocess.Popen(["bash", str(SCRIPT)], env={**os.environ, **environment})
    for _ in range(100):
        if (home / "started").exists():
            return process
        time.sleep(0.05)
    raise AssertionError("the run was not started")


def test_a_job_that_runs_out_of_time_saves_and_goes_back_into_the_queue(home):
    process = start(home)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert (home / "requeued").read_text() == "saved\nrequeue 17\n", "queued again only after the state was saved"
    assert "--run_name full --resume True" in (home / "started").read_text()


def test_a_job_that_finishes_does_not(home):
    (home / "finish").write_text("")
    process = start(home)
    assert process.wait(timeout=20) == 0
    assert not (home / "requeued").exists()
