"""Time and memory of recon_monai beside MONAI's and fastMRI's own code, with and without ASPIN and distillation.

    python scripts/benchmark.py                         # 8 cascades, 8 coils, 320 x 320
    python scripts/benchmark.py --size medium           # 6 coils, 192 x 192; --size small: 4 coils, 128 x 128
    python scripts/benchmark.py --size large --rounds 1 # 12 cascades of width 18, 15 coils, 640 x 368
    python scripts/benchmark.py --device cuda

fastMRI's rows need its code, and are left out without it; it must not replace PyTorch, hence --no-deps:

    pip install --no-deps fastmri && pip install pandas pyyaml requests

Every figure comes from fresh processes, ours and the others' in turn, `--rounds` of each; a process gives the median of
`--repeats` after one that does not count, and the table the median of the processes. Only ratios mean anything on a
machine that does other things too; the range of the processes is given beside them. Memory is what the first training
step adds to the resident memory of the process (of a GPU: allocated memory).
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from benchmark_processes import measure_in_turns, read_options, write_tables
from benchmark_tables import INSTALL_FASTMRI, page, parts, rows

from recon_monai.data import write_fastmri_h5

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"sizes": [1, 2, 2], "shape": [2, 48, 48], "slices": 4},
    "small": {"sizes": [8, 9, 4], "shape": [4, 128, 128], "slices": 16},
    "medium": {"sizes": [8, 9, 4], "shape": [6, 192, 192], "slices": 16},
    "standard": {"sizes": [8, 9, 4], "shape": [8, 320, 320], "slices": 16},
    "large": {"sizes": [12, 18, 8], "shape": [15, 640, 368], "slices": 16},
}


def main() -> None:
    """Measure, print the table, write it if asked."""
    arguments = read_options(__doc__, SIZES)
    settings = {**SIZES[arguments.size], "device": arguments.device, "repeats": arguments.repeats}
    settings["threads"] = arguments.threads
    if version := _fastmri_version():
        settings["fastmri"] = version
    with tempfile.TemporaryDirectory() as folder:
        settings["file"] = str(_volume(Path(folder), settings))
        names = parts(fastmri="fastmri" in settings)
        results = measure_in_turns(names, "benchmark_parts.py", settings, arguments.rounds)
    table = rows(results, arguments.size)
    text = page(table, results, settings, arguments)
    print(text)
    if arguments.output:
        write_tables(arguments.output, f"benchmark_{arguments.size}_{arguments.device}", text, table)


def _fastmri_version() -> str | None:
    """Version of fastMRI's own code; None, and a word about it, if it cannot be imported."""
    try:
        # the models: they import more than the package itself
        importlib.import_module("fastmri.models")
        return importlib.metadata.version("fastmri")
    except ImportError as error:
        print(f"without fastMRI's rows ({error}); for them: {INSTALL_FASTMRI}", file=sys.stderr)
        return None


def _volume(folder: Path, settings: dict[str, Any]) -> Path:
    """A file as fastMRI's: one chunk of memory, k-space and target of all slices."""
    shape, slices = settings["shape"], settings["slices"]
    generator = torch.Generator().manual_seed(0)
    kspace = [torch.randn(*shape, dtype=torch.complex64, generator=generator) for _ in range(slices)]
    size = min(shape[1], shape[2], 320)
    target = [torch.rand(size, size, generator=generator) for _ in range(slices)]
    return write_fastmri_h5(folder / "volume.h5", kspace=kspace, target=target, attributes={"acquisition": "AXT2"})


if __name__ == "__main__":
    main()
