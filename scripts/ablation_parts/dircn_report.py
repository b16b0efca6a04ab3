"""The page that compares variants of the DIRCN, computed from the runs: quality, cost, the hardest slices."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_parts.dircn_plan import DEFAULT, MeasuredSize, Run, Scale, measured_networks
from ablation_parts.hardest import hardest, hardest_table, histogram, select
from ablation_parts.measuring import device_in_words
from ablation_parts.pages import (
    ZERO_FILLED,
    Claim,
    Figure,
    claims_table,
    data_in_words,
    evaluated_rows,
    matrix_in_words,
    progress_in_words,
    quality_tables,
    runs_table,
    table_notes,
    validation_figure,
    write_page,
)
from ablation_parts.results import Row, read_slices
from ablation_parts.runner import Queue
from ablation_parts.task import MEASUREMENT
from recon_monai.data import atomic_path
from recon_monai.evaluation.tables import markdown_table
from recon_monai.networks import DIRCN, NormResXUNet, SensitivityNetwork

__all__ = ["CLAIMS", "LABELS", "memory_sentences", "parameters", "write_report"]

LABELS = {
    ZERO_FILLED: "zero-filled",
    DEFAULT: "normalized sum (default)",
    "concat": "concatenation",
    "none": "default, no aggregation",
    "sum": "default, plain sum",
    "no-interconnections": "default, no interconnections",
    "no-se": "default, no squeeze and excitation",
    "focal": "default, focal loss",
    "batch-schedule": "default, effective batch 4, 2, 1 in place of a decaying rate",
}
CLAIMS = [
    Claim("dense connections help, as concatenation", "concat", "none", 1),
    Claim("dense connections help, as normalized sum", DEFAULT, "none", 1),
    Claim("the normalized sum keeps the gain: it is not worse than concatenation", DEFAULT, "concat", 0),
    Claim("the normalized sum is better than the plain one", DEFAULT, "sum", 1),
    Claim("interconnections help", DEFAULT, "no-interconnections", 1),
    Claim("squeeze and excitation helps", DEFAULT, "no-se", 1),
    Claim("the focal loss helps over all volumes", "focal", DEFAULT, 1),
    Claim("a shrinking batch is not worse than a decaying rate", "batch-schedule", DEFAULT, 0),
]
_HARD_CLAIMS = [
    Claim("the focal loss helps on the hardest tenth", "focal", DEFAULT, 1),
    Claim("the normalized sum is not worse than concatenation there", DEFAULT, "concat", 0),
]
_CLAIMED = (
    "The first three are what the weighted sum is for: the gain of dense connections at a memory that fits; memory is "
    "in the next section. Squeeze and excitation can bring little: it follows instance normalization, so that the mean "
    "that it squeezes is a learned constant and its gates are the same for every image. Differences are over all test "
    'volumes at 4x and 8x, at equal seeds; "better" counts volumes.'
)
_FIGURES = {
    "aggregation": Figure("Validation SSIM by aggregation", (DEFAULT, "concat", "none", "sum")),
    "parts": Figure("Validation SSIM without parts of the network", (DEFAULT, "no-interconnections", "no-se")),
    "training": Figure("Validation SSIM by way of training", (DEFAULT, "focal", "batch-schedule")),
}


def write_report(runs: Queue[Run, Scale], plan: dict[str, Any], file: Path) -> None:
    """Write the page, and its figures into the folder of its name beside it.

    Args:
        runs: the queue; what is finished is reported, what is missing is named.
        plan: its plan.
        file: the page, Markdown.

    Raises:
        ValueError: if no run is evaluated.
    """
    rows = evaluated_rows(runs)
    if not rows:
        raise ValueError(f"{runs.folder}: no run is evaluated yet, so that there is nothing to report")
    anatomies, folder = sorted(plan["data"]["train"]), file.with_suffix("")
    counts = {run.name: f"{parameters(run, runs.scale):,}" for run in runs.runs if run.kind == "network"}
    parts = [
        _setting(runs, plan),
        "## Test subjects",
        table_notes(rows),
        *quality_tables(rows, LABELS),
        "## What is claimed and what was found",
        claims_table(rows, CLAIMS, LABELS, _CLAIMED, _rule),
        "## Parameters, memory and time",
        _costs(runs),
        "## The hardest tenth",
        *_difficulty(evaluated_rows(runs, "slices.csv", read_slices), folder / "difficulty.svg"),
        "## Validation curves",
        *(
            validation_figure(runs, anatomies, figure, LABELS.__getitem__, folder / f"{name}.svg")
            for name, figure in _FIGURES.items()
        ),
        "## Runs",
        runs_table(runs, counts, "batches"),
    ]
    write_page(file, "Comparison of DIRCN variants", parts, "weighted_dircn", plan["scale"])


def parameters(run: Run, scale: Scale) -> int:
    """Parameters of a run's network.

    Args:
        run: the run.
        scale: its size.

    Returns:
        The number.
    """
    cascades, channels, groups, sensitivity_channels, sensitivity_groups = scale.sizes
    options = dict(run.network)
    se_ratio = options.pop("se_ratio", 1 / 8)

    def refinement(**connections: Any) -> NormResXUNet:
        return NormResXUNet(channels, groups, se_ratio, **connections)

    sensitivity = SensitivityNetwork(refinement=NormResXUNet(sensitivity_channels, sensitivity_groups, se_ratio))
    network = DIRCN(cascades, refinement=refinement, sensitivity_network=sensitivity, **options)
    return sum(parameter.numel() for parameter in network.parameters())


def _setting(runs: Queue[Run, Scale], plan: dict[str, Any]) -> str:
    scale = runs.scale
    cascades, channels, groups, sensitivity_channels, sensitivity_groups = scale.sizes
    default = next(run for run in runs.runs if run.variant == DEFAULT)
    lines = [
        f"Scale `{plan['scale']}`: {cascades} cascades, {channels} channels in {groups} groups; sensitivity network "
        f"{sensitivity_channels} channels in {sensitivity_groups} groups. Data: {matrix_in_words(scale.matrix)}; "
        f"{data_in_words(plan['data'])}; split by subject.",
        f"Every network: {scale.epochs} epochs of the same {runs.steps(default) // scale.epochs:,} slices, one a "
        f"batch, Adam (AMSGrad) at {scale.learning_rate:g}, Gaussian SSIM + L1, no augmentation; accelerations 4 and "
        f"8. Validation every {scale.val_interval} epochs; after more than {scale.patience} in a row without a better "
        "SSIM the rate is halved. The weights of the best validation SSIM are tested. From the default, the normalized "
        "sum, one thing at a time is changed; the default, concatenation and the network without interconnections have "
        "three seeds (two of the latter were added when its first one was seen), all others one (marked `*`). The "
        "batch schedule keeps the rate and makes an update of 4, then 2, then 1 batches, so that it makes fewer "
        "updates. No rate was tuned for any variant.",
        progress_in_words(runs),
    ]
    return "\n\n".join(lines)


def _rule(deviation: float, paired: float) -> str:
    return (
        "A difference counts if it is larger than twice its standard error; both ways to tell that were set before the "
        "runs. One takes variants as independent: the standard deviation of a run's SSIM over seeds is "
        f"{deviation:.4f} (pooled over the variants with several), so {2 * deviation * 2**0.5:.4f} is needed at one "
        f'seed and {2 * deviation * (2 / 3) ** 0.5:.4f} at three ("found"). The other goes by the difference at equal '
        f"seeds, whose standard deviation is {paired:.4f} (pooled over the comparisons at several seeds): "
        f'{2 * paired:.4f} is needed at one seed and {2 * paired / 3**0.5:.4f} at three ("found, paired"). Three seeds '
        'are few for either, and "no difference" means that none was found, not that both are equal. All of it stands '
        "for networks and data of this size."
    )


def _costs(runs: Queue[Run, Scale]) -> str:
    run = next(run for run in runs.runs if run.kind == "measurement")
    if not runs.done(run):
        return "Not measured yet."
    state = json.loads((runs.path(run, MEASUREMENT) / "finished.json").read_text())
    parts = [
        "A training step (forward, loss, backward, Adam) of one slice of noise on "
        f"{device_in_words(state['where'])}, each figure from "
        f"{runs.scale.rounds} processes of their own, networks in turn: the median, and in brackets the range. Memory "
        "is what the first step adds at its peak to that of network and input. The last row computes activations again "
        "in the backward pass. Focal loss and batch schedule have the network of the default."
    ]
    for size in runs.scale.measured:
        processes = [
            entry
            for entry in state["processes"]
            if (tuple(entry["sizes"]), tuple(entry["shape"])) == (size.sizes, size.shape)
        ]
        by_name: dict[str, list[dict[str, Any]]] = {}
        for entry in processes:
            by_name.setdefault(entry["name"], []).append(entry)
        parts += [f"### {_size_in_words(size)}", _cost_table(by_name), memory_sentences(by_name)]
    return "\n\n".join(parts)


def _size_in_words(size: MeasuredSize) -> str:
    (cascades, channels, sensitivity), (coils, height, width) = size.sizes, size.shape
    return (
        f"{cascades} cascades, {channels} channels ({sensitivity} for the coil maps), {coils} coils, {height} x {width}"
    )


def _cost_table(by_name: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    base = {key: _median(by_name[DEFAULT], key) for key in ("megabytes", "seconds")}
    table = []
    for name in measured_networks():
        memory, time = (_median(by_name[name], key) for key in ("megabytes", "seconds"))
        table.append(
            {
                "network": LABELS.get(name, "default, checkpointing"),
                "parameters": f"{by_name[name][0]['parameters']:,}",
                "peak memory [MB]": _figure(by_name[name], "megabytes", ".0f"),
                "of the default's": _share(memory, base["megabytes"]),
                "step [s]": _figure(by_name[name], "seconds", ".3g"),
                "of the default's step": _share(time, base["seconds"]),
            }
        )
    return markdown_table(table)


def memory_sentences(by_name: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What dense connections cost in memory, as concatenation and as weighted sum.

    Args:
        by_name: measurements of the networks at one size.

    Returns:
        Sentences.
    """
    memory = {name: _median(entries, "megabytes") for name, entries in by_name.items()}
    none, default, concat = (memory[name] for name in ("none", DEFAULT, "concat"))
    without, saving = memory["no-interconnections"], memory[f"{DEFAULT}-checkpointing"]
    if none is None or default is None or concat is None or without is None or saving is None:
        return "Some networks do not fit into the memory of this device."
    return (
        f"Without aggregation a step takes {none:.0f} MB; concatenation adds {concat - none:+.0f} MB "
        f"({concat / none - 1:+.1%}), the normalized sum {default - none:+.0f} MB ({default / none - 1:+.1%}): the sum "
        f"takes {default / concat - 1:+.1%} of memory compared with concatenation. Interconnections make "
        f"{default - without:+.0f} MB of it ({default / without - 1:+.1%}), and computing activations again "
        f"{saving - default:+.0f} MB ({saving / default - 1:+.1%}). Processes of the same network differ by up to "
        f"{max(_range(entries) for entries in by_name.values()):.0f} MB; smaller differences are none."
    )


def _median(entries: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [entry[key] for entry in entries]
    return None if None in values else statistics.median(values)


def _range(entries: Sequence[Mapping[str, Any]]) -> float:
    values = [float(entry["megabytes"]) for entry in entries]
    return max(values) - min(values)


def _figure(entries: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
    median = _median(entries, key)
    if median is None:
        return "out of memory"
    values = [entry[key] for entry in entries]
    return f"{median:{form}} ({min(values):{form}} to {max(values):{form}})"


def _share(value: float | None, base: float | None) -> str:
    return "n/a" if value is None or not base else f"{value / base:.2f}"


def _difficulty(rows: Sequence[Row], file: Path) -> list[str]:
    found = hardest(rows)
    with atomic_path(file) as temporary:
        temporary.write_text(histogram(rows, found), encoding="utf-8")
    groups = ", ".join(f"{count} of {anatomy} at {factor}x" for (anatomy, factor), count in found.groups.items())
    title = "Difficulty of the test slices"
    intro = (
        f"Difficulty is 1 - SSIM(zero-filled) of a slice at one acceleration. The hardest tenth are {len(found.keys)} "
        f"slices with at least {found.threshold:.3f}: {groups}. The focal loss is meant for them. Means over slices, "
        "SSIM, PSNR and NMSE of each with the maximum of its volume; `*` marks a single seed; differences from the "
        "default are at equal seeds."
    )
    judged = (
        'The same rules as above, over the hardest slices: "better" counts slices; those of one volume are not '
        "independent, which the spread over seeds knows nothing of."
    )
    return [
        f"![{title}]({file.parent.name}/{file.name})",
        intro,
        hardest_table(rows, found, LABELS, DEFAULT),
        claims_table(select(rows, found), _HARD_CLAIMS, LABELS, judged, _rule),
    ]
