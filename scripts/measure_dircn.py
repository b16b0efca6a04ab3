"""Peak memory and time of a training step of DIRCN variants, for the comparison of `scripts/ablation.py`.

    python scripts/measure_dircn.py FOLDER SETTINGS

SETTINGS is JSON: ``networks`` (arguments of `DIRCN` by name, and ``coil_chunk`` of its coil maps), ``measured`` (list
of ``sizes``: cascades, channels, channels of the coil maps; and ``shape``: coils, rows, columns) and ``rounds``,
processes for each figure. Networks take turns, each process measures one as `scripts/benchmark.py` does, on the GPU
if there is one. FOLDER keeps what is measured after each process, so that the same command goes on where it was cut
off; when all is there it gets ``finished.json``.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from ablation_parts import measuring
from benchmark_networks import Call, kspace_and_mask
from benchmark_parts import step

from recon_monai.networks import DIRCN


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
    arguments = dict(settings["network"])
    chunk = arguments.pop("coil_chunk", None)
    network = DIRCN(*settings["sizes"], **arguments)
    if chunk is not None:
        network.sensitivity_network.coil_chunk = chunk
    call = Call(network, kspace_and_mask, settings)
    try:
        return step(call, settings)
    except torch.OutOfMemoryError:
        return {"seconds": None, "megabytes": None, "parameters": call.parameters}


def measure_all(folder: Path, settings: dict[str, Any]) -> None:
    """Measure every network at every size, in turns; go on with what the folder holds.

    Args:
        folder: of the results.
        settings: ``networks``, ``measured``, ``rounds``.
    """
    wanted = [
        {"round": number, "name": name, "network": network, **size}
        for number in range(settings["rounds"])
        for size in settings["measured"]
        for name, network in settings["networks"].items()
    ]
    measuring.measure_all(folder, wanted, _process)


def _process(settings: dict[str, Any]) -> dict[str, Any]:
    return measuring.measure_in_process(Path(__file__), settings)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # which ends the process that measures, too


if __name__ == "__main__":
    main()
