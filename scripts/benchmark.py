"""Time and memory of recon_monai beside MONAI's own network, reader and SSIM loss, in one run.

    python scripts/benchmark.py                         # 8 cascades, 8 coils, 320 x 320; about 5 minutes on two cores
    python scripts/benchmark.py --size large --rounds 1 # 12 cascades of width 18, 15 coils, 640 x 368
    python scripts/benchmark.py --device cuda

Every figure comes from fresh processes, ours and MONAI's in turn, `--rounds` of each; a process gives the median of
`--repeats` after one that does not count, and the table the median of the processes. Only ratios mean anything on a
machine that does other things too; the range of the processes is given beside them. Memory is what the first training
step adds to the resident memory of the process (of a GPU: allocated memory).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from recon_monai.data import write_fastmri_h5

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"sizes": [1, 2, 2], "shape": [2, 48, 48], "slices": 4},
    "standard": {"sizes": [8, 9, 4], "shape": [8, 320, 320], "slices": 16},
    "large": {"sizes": [12, 18, 8], "shape": [15, 640, 368], "slices": 16},
}
# name, what is ours, what is compared with it, which value, what is required of the ratio theirs / ours
COMPARISONS = [
    ("reconstruction (forward pass)", "our forward", "monai forward", "seconds", None),
    ("training step", "our step", "monai step", "seconds", 1.7),
    ("training step, checkpointing all", "our step, checkpointing all", "monai step", "seconds", None),
    ("memory of a training step", "our step", "monai step", "megabytes", None),
    ("the same, checkpointing sensitivity", "our step, checkpointing sensitivity", "our step", "megabytes", None),
    ("the same, checkpointing all", "our step, checkpointing all", "our step", "megabytes", 3.0),
    ("reading one slice", "our slice", "monai slice", "seconds", 20.0),
    ("SSIM loss with gradient", "our ssim", "monai ssim", "seconds", None),
]


def main() -> None:
    """Measure, print the table, write it if asked."""
    arguments = _arguments()
    settings = {**SIZES[arguments.size], "device": arguments.device, "repeats": arguments.repeats}
    settings["threads"] = arguments.threads
    with tempfile.TemporaryDirectory() as folder:
        settings["file"] = str(_volume(Path(folder), settings))
        results = _measure(settings, arguments.rounds)
    rows = [_row(comparison, results, arguments.size) for comparison in COMPARISONS]
    page = _page(rows, results, settings, arguments)
    print(page)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        stem = f"benchmark_{arguments.size}_{arguments.device}"
        (arguments.output / f"{stem}.md").write_text(page, encoding="utf-8")
        with (arguments.output / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="standard")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure")
    parser.add_argument("--repeats", type=int, default=3, help="timed repetitions in a process")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, help="folder for the table as Markdown and CSV")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.repeats, arguments.threads) < 1:
        parser.error("rounds, repeats and threads must be at least 1")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that PyTorch can use; leave --device away")
    return arguments


def _volume(folder: Path, settings: dict[str, Any]) -> Path:
    """A file as fastMRI's: one chunk of memory, k-space and target of all slices."""
    shape, slices = settings["shape"], settings["slices"]
    generator = torch.Generator().manual_seed(0)
    kspace = [torch.randn(*shape, dtype=torch.complex64, generator=generator) for _ in range(slices)]
    size = min(shape[1], shape[2], 320)
    target = [torch.rand(size, size, generator=generator) for _ in range(slices)]
    return write_fastmri_h5(folder / "volume.h5", kspace=kspace, target=target, attributes={"acquisition": "AXT2"})


def _measure(settings: dict[str, Any], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Results of all processes by part; parts take turns."""
    parts = list(dict.fromkeys(part for comparison in COMPARISONS for part in comparison[1:3]))
    results: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    script = Path(__file__).with_name("benchmark_parts.py")
    for number in range(rounds):
        for part in parts:
            print(f"round {number + 1} of {rounds}: {part}", file=sys.stderr, flush=True)
            done = subprocess.run(
                [sys.executable, str(script), part, json.dumps(settings)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                sys.exit(f"{part} failed:\n{done.stderr[-3000:]}")
            results[part].append(json.loads(done.stdout.splitlines()[-1]))
    return results


def _row(comparison: tuple[Any, ...], results: dict[str, list[dict[str, Any]]], size: str) -> dict[str, Any]:
    name, ours, theirs, value, required = comparison
    our_values, their_values = ([result[value] for result in results[part]] for part in (ours, theirs))
    ratio = statistics.median(their_values) / statistics.median(our_values)
    return {
        "what": name,
        "unit": value,
        "ours": statistics.median(our_values),
        "ours_range": f"{min(our_values):.4g} to {max(our_values):.4g}",
        "compared_with": theirs,
        "theirs": statistics.median(their_values),
        "theirs_range": f"{min(their_values):.4g} to {max(their_values):.4g}",
        "ratio": ratio,
        "required": required if size == "standard" else None,
    }


def _page(rows: list[dict[str, Any]], results: dict[str, Any], settings: dict[str, Any], arguments: Any) -> str:
    coils, height, width = settings["shape"]
    cascades, channels, sensitivity_channels = settings["sizes"]
    ours, theirs = (results[part][0]["parameters"] for part in ("our step", "monai step"))
    lines = [
        f"{cascades} cascades, {channels} channels, {sensitivity_channels} sensitivity channels, {coils} coils, "
        f"{height} x {width}, batch 1, {arguments.device}, {settings['threads']} thread(s), "
        f"PyTorch {torch.__version__}; "
        f"parameters {ours:,} (ours) and {theirs:,} (MONAI); volume of {settings['slices']} slices; medians of "
        f"{arguments.rounds} process(es), ranges in parentheses.",
        "",
        "| what | ours | compared with | its value | ratio | required |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        unit = "s" if row["unit"] == "seconds" else "MB"
        required = "" if row["required"] is None else f"{row['required']:g}"
        lines.append(
            f"| {row['what']} | {row['ours']:.4g} {unit} ({row['ours_range']}) | {row['compared_with']} | "
            f"{row['theirs']:.4g} {unit} ({row['theirs_range']}) | **{row['ratio']:.2f}** | {required} |"
        )
    options = " ".join(f"--{name} {getattr(arguments, name)}" for name in ("size", "rounds", "repeats"))
    return "\n".join([*lines, "", f"`python scripts/benchmark.py {options}`", ""])


if __name__ == "__main__":
    main()
