"""Figures of memory and time, each from a process of its own, kept after each of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recon_monai.data import atomic_path

__all__ = ["REPEATS", "device_in_words", "measure_all", "measure_in_process", "write_json"]

REPEATS = 3


def measure_all(
    folder: Path, wanted: Sequence[Mapping[str, Any]], process: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Measure one after the other; go on with what the folder holds.

    Args:
        folder: of the results: ``processes.json``, and ``finished.json`` when all is there, with ``where`` (device and
            threads) and ``processes``.
        wanted: settings of each process, in their order.
        process: called with the settings, ``device``, ``threads`` and ``repeats``; what it returns is kept beside the
            settings.

    Raises:
        ValueError: if the folder holds figures of another device or number of threads, which cannot be compared.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = "cpu" if device == "cpu" else torch.cuda.get_device_name()
    where = {"device": name, "threads": torch.get_num_threads()}
    file = folder / "processes.json"
    state = json.loads(file.read_text()) if file.is_file() else {"where": where, "processes": []}
    if state["where"] != where:
        raise ValueError(f"{file} was measured with {state['where']}, this is {where}; remove it to measure anew")
    for entry in wanted[len(state["processes"]) :]:
        one = {**entry, "device": device, "threads": where["threads"], "repeats": REPEATS}
        state["processes"].append({**entry, **process(one)})
        write_json(file, state)
        print(json.dumps(state["processes"][-1]), flush=True)
    write_json(folder / "finished.json", state)


def measure_in_process(script: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Call a script with ``--one`` and settings; its last line is what it found.

    Args:
        script: the file.
        settings: handed on as JSON.

    Raises:
        RuntimeError: if it fails.
    """
    command = [sys.executable, str(script), "--one", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{settings['name']} failed, measured with {settings}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def device_in_words(where: Mapping[str, Any]) -> str:
    """Where figures were measured.

    Args:
        where: of `measure_all`.
    """
    device, threads = where["device"], where["threads"]
    return f"the CPU ({threads} thread{'s' if threads > 1 else ''})" if device == "cpu" else str(device)


def write_json(file: Path, content: Any) -> None:
    """Replace a file.

    Args:
        file: which.
        content: what to write.
    """
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
