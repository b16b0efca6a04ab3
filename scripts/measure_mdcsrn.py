"""Peak memory and time of the steps of mDCSRN-WGAN-GP, for the comparison of `scripts/ablation.py`.

    python scripts/measure_mdcsrn.py FOLDER SETTINGS

SETTINGS is JSON: ``steps`` (list of ``name``, the variant, ``kind`` of step, ``preset`` of the critic and
``constraint``), ``measured`` (list of ``network``, sizes of `MDCSRN`, ``critic_width``, ``preset_width``, ``patch``,
``batch`` and ``bf16``) and ``rounds``, processes for each figure. They take turns, each measures one kind of step as
`scripts/benchmark_super_resolution.py` does, on the GPU if there is one. FOLDER keeps what is measured after each
process, so that the same command goes on where it was cut off; when all is there it gets ``finished.json``.
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
from benchmark_volumes import measure_our_step


def main() -> None:
    """Measure all steps, or (``--one``) the one of these settings."""
    if sys.argv[1] == "--one":
        settings = json.loads(sys.argv[2])
        torch.set_num_threads(settings["threads"])
        torch.manual_seed(0)
        print(json.dumps(measure(settings)))
        return
    signal.signal(signal.SIGTERM, _stop)
    measure_all(Path(sys.argv[1]), json.loads(sys.argv[2]))


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds and memory of a step, and the parameters of both networks.

    Args:
        settings: of one process.

    Returns:
        ``seconds``, ``megabytes``, ``parameters``, ``critic_parameters``; None where the memory of a GPU is too small.
    """
    critic: dict[str, Any] = {"width": settings["critic_width"]}
    if settings["preset"]:
        critic = {
            "preset": settings["preset"],
            "width": settings["preset_width"],
            "patch_size": settings["patch"],
        }
    try:
        found = measure_our_step(settings["kind"], {**settings, "critic": critic}, bf16=settings["bf16"])
    except torch.OutOfMemoryError:
        return dict.fromkeys(("seconds", "megabytes", "parameters", "critic_parameters"))
    found.pop("rate")
    return found


def measure_all(folder: Path, settings: dict[str, Any]) -> None:
    """Measure every step at every size, in turns; go on with what the folder holds.

    Args:
        folder: of the results.
        settings: ``steps``, ``measured``, ``rounds``.
    """
    wanted = [
        {"round": number, **step, **size}
        for number in range(settings["rounds"])
        for size in settings["measured"]
        for step in settings["steps"]
    ]
    measuring.measure_all(folder, wanted, _process)


def _process(settings: dict[str, Any]) -> dict[str, Any]:
    return measuring.measure_in_process(Path(__file__), settings)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # which ends the process that measures, too


if __name__ == "__main__":
    main()
