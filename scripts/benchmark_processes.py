"""What the benchmarks have in common: options, processes that take turns, files of the results."""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

Results = dict[str, list[dict[str, Any]]]
"""What the processes of each part found."""


def read_options(description: str | None, sizes: Iterable[str]) -> argparse.Namespace:
    """Options of a benchmark.

    Args:
        description: the script's.
        sizes: names to choose from, ``"standard"`` among them.

    Returns:
        ``size``, ``rounds``, ``repeats``, ``threads``, ``device``, ``output``.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(sizes), default="standard")
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


def measure_in_turns(parts: Sequence[str], script: str, settings: Mapping[str, Any], rounds: int) -> Results:
    """Results of all processes by part; parts take turns.

    Args:
        parts: names that the script knows.
        script: beside this one; called with a part and the settings, it prints a line of JSON.
        settings: handed on.
        rounds: processes for each part.
    """
    results: Results = {part: [] for part in parts}
    path = Path(__file__).with_name(script)
    for number in range(rounds):
        for part in results:
            print(f"round {number + 1} of {rounds}: {part}", file=sys.stderr, flush=True)
            done = subprocess.run(
                [sys.executable, str(path), part, json.dumps(settings)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                sys.exit(f"{part} failed:\n{done.stderr[-3000:]}")
            results[part].append(json.loads(done.stdout.splitlines()[-1]))
    return results


def write_tables(folder: Path, stem: str, text: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a page, and its rows as CSV.

    Args:
        folder: made when needed.
        stem: of both file names.
        text: the page.
        rows: all with the same keys.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
