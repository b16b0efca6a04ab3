"""Peak memory and time of a training step of DIRCN variants, for the comparison of `scripts/ablation.py`.

    python scripts/measure_dircn.py FOLDER SETTINGS

SETTINGS is JSON: ``networks`` (arguments of `DIRCN` by name), ``measured`` (list of ``sizes``: cascades, channels,
channels of the coil maps; and ``shape``: coils, rows, columns) and ``rounds``, processes for each figure. Networks take
turns, each process measures one as `scripts/benchmark.py` does, on the GPU if there is one. FOLDER keeps what is
measured after each process, so that the same command goes on where it was cut off; when all is there it gets
``finished.json``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from benchmark_networks import Call, kspace_and_mask
from benchmark_parts import step

from recon_monai.data import atomic_path
from recon_monai.networks import DIRCN

REPEATS = 3


def main() -> None:
    """Measure all networks, or (``--one``) the one of these settings."""
    if sys.argv[1] == "--one":
        settings = json.loads(sys.argv[2])
        torch.set_num_threads(settings["threads"])
        print(json.dumps(measure(settings)))
        return
    signal.signal(signal.SIGTERM, _stop)
    measure_all(Path(sys.argv[1]), json.loads(sys.argv[2]))


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds and memory of a training step of one network, and its parameters.

    Args:
        settings: ``sizes``, ``network``, ``shape``, ``device``, ``repeats``.

    Returns:
        ``seconds``, ``megabytes``, ``parameters``; the first two are None where the memory of a GPU is too small.
    """
    call = Call(DIRCN(*settings["sizes"], **settings["network"]), kspace_and_mask, settings)
    try:
        return step(call, settings)
    except torch.OutOfMemoryError:
        return {"seconds": None, "megabytes": None, "parameters": call.parameters}


def measure_all(folder: Path, settings: dict[str, Any]) -> None:
    """Measure every network at every size, in turns; go on with what the folder holds.

    Args:
        folder: of the results.
        settings: ``networks``, ``measured``, ``rounds``.

    Raises:
        ValueError: if the folder holds figures of another device or number of threads, which cannot be compared.
        RuntimeError: if a process fails.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = {"device": _device_name(device), "threads": torch.get_num_threads()}
    file = folder / "processes.json"
    state = json.loads(file.read_text()) if file.is_file() else {"where": where, "processes": []}
    if state["where"] != where:
        raise ValueError(f"{file} was measured with {state['where']}, this is {where}; remove it to measure anew")
    wanted = [
        {"round": number, "name": name, "network": network, **size}
        for number in range(settings["rounds"])
        for size in settings["measured"]
        for name, network in settings["networks"].items()
    ]
    for entry in wanted[len(state["processes"]) :]:
        one = {**entry, "device": device, "threads": where["threads"], "repeats": REPEATS}
        state["processes"].append({**entry, **_process(one)})
        _write(file, state)
        print(json.dumps(state["processes"][-1]), flush=True)
    _write(folder / "finished.json", state)


def _process(settings: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), "--one", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{settings['name']} at {settings['sizes']} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _device_name(device: str) -> str:
    return "cpu" if device == "cpu" else torch.cuda.get_device_name()


def _write(file: Path, content: dict[str, Any]) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # which ends the process that measures, too


if __name__ == "__main__":
    main()
