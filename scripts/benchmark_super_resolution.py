"""Time and memory of mDCSRN-WGAN-GP beside the same networks in plain PyTorch with MONAI's sliding window.

    python scripts/benchmark_super_resolution.py                 # the published sizes, patches of 64 voxels: for a GPU
    python scripts/benchmark_super_resolution.py --size small    # patches of 24 voxels, a critic of width 16: for a CPU
    python scripts/benchmark_super_resolution.py --device cuda

Ours: the bundle's trainer (`WGANTrainer`) and `SeamlessInferer`. Plain: textbook modules and steps, and MONAI's
``SlidingWindowInferer``, with the same windows and weights. Each with and without bfloat16 inside the networks, ours
also with checkpointing of blocks. Where the processor only emulates bfloat16 those parts are left out, and the page
says so.

Every figure comes from fresh processes, ours and the plain ones in turn, `--rounds` of each; a process gives the median
of `--repeats` after one that does not count. A ratio is the median of the rounds' ratios, with their range: only ratios
mean anything on a machine that does other things too. Memory is what the first step, or volume, adds at its peak to
that of the process (of a GPU: to allocated memory), gradients and moments of Adam among it, weights and batch not.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
from benchmark_processes import Results, measure_in_turns, read_options, write_tables
from benchmark_volumes import OPTIONS, PLAIN, STEPS

from recon_monai.evaluation.tables import markdown_table
from recon_monai.networks.precision import emulates_bfloat16

TINY: dict[str, Any] = {"network": [2, 2, 2, 4], "critic": {"width": 2}}
FULL: dict[str, Any] = {"network": [4, 4, 16, 32], "critic": {"width": 64}}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "network": [2, 2, 2, 4],
        "critic": {"width": 2},
        "patch": 16,
        "batch": 2,
        "volume": [20] * 3,
        "window": 16,
    },
    "small": {**FULL, "critic": {"width": 16}, "patch": 24, "batch": 2, "volume": [56] * 3, "window": 32},
    "standard": {**FULL, "patch": 64, "batch": 2, "volume": [256, 320, 320], "window": 64},
}


def main() -> None:
    """Measure, print the table, write it if asked."""
    arguments = read_options(__doc__, SIZES)
    settings = {**SIZES[arguments.size], "device": arguments.device, "repeats": arguments.repeats}
    settings["threads"] = arguments.threads
    with_bf16 = not emulates_bfloat16(arguments.device)
    results = measure_in_turns(parts(with_bf16), "benchmark_volumes.py", settings, arguments.rounds)
    table = rows(results)
    text = page(table, results, settings, arguments)
    print(text)
    if arguments.output:
        write_tables(arguments.output, f"super_resolution_{arguments.size}_{arguments.device}", text, table)


def parts(with_bf16: bool = True) -> list[str]:
    """What is measured, each of ours beside what it is compared with."""
    names = [name for pair in _pairs() for name in reversed(pair) if with_bf16 or "bf16" not in name]
    return list(dict.fromkeys(names))


def _pairs() -> list[tuple[str, str]]:
    """Ours and the plain one of the same precision."""
    pairs = [(f"our inference{option}", f"plain inference{option}") for option in PLAIN]
    for kind in STEPS:
        for option in OPTIONS:
            precision = ", bf16" if "bf16" in option else ""
            pairs.append((f"our {kind} step{option}", f"plain {kind} step{precision}"))
    return pairs


def rows(results: Results) -> list[dict[str, Any]]:
    """Numbers of the table.

    Args:
        results: of all parts, in the order of the rounds.

    Returns:
        One row for each of ours: ``what``, ``unit`` of the rates, ``compared_with``, and of rate and memory ``ours``,
        ``plain`` (medians), ``ratio`` (above 1: ours is faster, or takes less), ``lowest`` and ``highest`` ratio.
    """
    table = []
    for ours, plain in _pairs():
        if ours not in results:
            continue
        row: dict[str, Any] = {"what": ours.removeprefix("our "), "compared_with": plain}
        row["unit"] = "voxels/s" if "inference" in ours else "steps/s"
        for value in ("rate", "megabytes"):
            both = [[found[value] for found in results[part]] for part in (ours, plain)]
            better = [
                one / other if value == "rate" else other / one if one > 0 else float("nan")
                for one, other in zip(*both, strict=True)
            ]
            row |= {f"{value}_ours": statistics.median(both[0]), f"{value}_plain": statistics.median(both[1])}
            row |= {f"{value}_ratio": statistics.median(better)}
            row |= {f"{value}_lowest": min(better), f"{value}_highest": max(better)}
        table.append(row)
    return table


def page(table: list[dict[str, Any]], results: Results, settings: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The Markdown page: what was measured, the table, the command.

    Args:
        table: from `rows`.
        results: of all parts.
        settings: sizes, device, threads.
        arguments: of the command line.
    """
    shown = [
        {
            "what": row["what"],
            "ours": f"{_short(row['rate_ours'])} {row['unit']}",
            "plain PyTorch": f"{_short(row['rate_plain'])} {row['unit']}",
            "speed, ours by plain": _ratio(row, "rate"),
            "memory, ours": f"{row['megabytes_ours']:.0f} MB",
            "memory, plain": f"{row['megabytes_plain']:.0f} MB",
            "memory, plain by ours": _ratio(row, "megabytes"),
        }
        for row in table
    ]
    options = " ".join(f"--{name} {getattr(arguments, name)}" for name in ("size", "rounds", "repeats", "device"))
    command = f"`python scripts/benchmark_super_resolution.py {options}`"
    return "\n".join([_description(results, settings, arguments.rounds), "", markdown_table(shown), "", command, ""])


def _ratio(row: dict[str, Any], value: str) -> str:
    return f"**{row[f'{value}_ratio']:.2f}** ({row[f'{value}_lowest']:.2f} to {row[f'{value}_highest']:.2f})"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def _description(results: Results, settings: dict[str, Any], rounds: int) -> str:
    blocks, units, growth, first = settings["network"]
    ours, plain = (results[f"{whose} critic step"][0] for whose in ("our", "plain"))
    counts = [f"{of['parameters']:,} and {of['critic_parameters']:,}" for of in (ours, plain)]
    device = torch.cuda.get_device_name() if settings["device"] == "cuda" else "cpu"
    volume = " x ".join(map(str, settings["volume"]))
    return (
        f"Generator of {blocks} blocks of {units} units, growth {growth}, {first} channels; critic of width "
        f"{settings['critic']['width']}; parameters {counts[0]} (ours), {counts[1]} (plain PyTorch). Steps of "
        f"{settings['batch']} patches of {settings['patch']} voxels along each axis; inference of a volume of {volume} "
        f"in windows of {settings['window']}, a quarter of which overlaps. {device}, {settings['threads']} thread(s), "
        f"PyTorch {torch.__version__}; medians of {rounds} process(es), ranges in parentheses."
        + ("" if "our inference, bf16" in results else " Without bfloat16, which this processor only emulates.")
    )


if __name__ == "__main__":
    main()
