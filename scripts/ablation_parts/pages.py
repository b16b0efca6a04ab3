"""What the pages of all comparisons have in common: tables of quality, claims, validation curves, runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ablation_parts.curves import Curve, draw_curves, mean_curve, read_curves
from ablation_parts.results import (
    METRICS,
    Row,
    case_of,
    difference,
    paired_deviation,
    pooled_deviation,
    read_rows,
    seed_means,
    value_and_spread,
)
from ablation_parts.runner import EVALUATION, TRAINING, Queue
from ablation_parts.task import Task
from recon_monai import RESEARCH_NOTICE
from recon_monai.data import atomic_path
from recon_monai.evaluation.tables import markdown_table

__all__ = [
    "ZERO_FILLED",
    "Claim",
    "Figure",
    "best_validation",
    "claims_table",
    "complete_rows",
    "data_in_words",
    "evaluated_rows",
    "matrix_in_words",
    "progress_in_words",
    "quality_table",
    "quality_tables",
    "runs_table",
    "table_notes",
    "validation_figure",
    "verdict",
    "write_page",
]

ZERO_FILLED = "zero-filled"


class Claim(NamedTuple):
    """What is claimed of a variant compared with another.

    Attributes:
        text: in words.
        variant: which.
        base: what is subtracted.
        expected: sign that the difference in SSIM should have; 0: it should not be negative.
    """

    text: str
    variant: str
    base: str
    expected: int


class Figure(NamedTuple):
    """Validation curves of some variants.

    Attributes:
        title: of the figure.
        variants: whose curves, in the order of the legend.
    """

    title: str
    variants: tuple[str, ...]


def write_page(file: Path, title: str, parts: Sequence[str], bundle: str | None, scale: str) -> None:
    """Write a page: title and notice, the parts, and the commands that write it again.

    Args:
        file: the page, Markdown.
        title: its heading.
        parts: what stands between.
        bundle: option of the commands; None: the default.
        scale: likewise.
    """
    options = f"{f'--bundle {bundle} ' if bundle else ''}--dataset_dir DATA --scale {scale}"
    command = f"python scripts/ablation.py {options}"
    text = [
        f"# {title}",
        f"**{RESEARCH_NOTICE}** This page is written by the command at its end, numbers and sentences.",
        *parts,
        "## Again",
        "<!-- not run: needs data of the user, and hours; tests/scripts runs its parts at small size -->\n"
        f"```bash\n{command}\n{command} --report {file}\n```",
    ]
    with atomic_path(file) as temporary:
        temporary.write_text("\n\n".join(text) + "\n", encoding="utf-8")


def evaluated_rows(
    runs: Queue[Any, Any], table: str = "volumes.csv", read: Callable[..., list[Row]] = read_rows
) -> list[Row]:
    """Test volumes, or slices, of all evaluated runs, and of the zero-filled image once.

    Args:
        runs: the queue.
        table: file of the evaluation.
        read: `read_rows` or `read_slices`.

    Returns:
        The rows.
    """
    rows: list[Row] = []
    for run in runs.runs:
        file = runs.path(run, EVALUATION) / table
        if EVALUATION not in run.parts or not runs.done(run):
            continue
        if not any(row["variant"] == ZERO_FILLED for row in rows) and run.anatomy is None:
            rows += read(file, ZERO_FILLED, run.seed, "zero_filled")
        rows += read(file, run.variant, run.seed)
    return rows


def matrix_in_words(matrix: int | None) -> str:
    """How the data were reduced.

    Args:
        matrix: rows and columns of the copy; None: there is none.

    Returns:
        A clause.
    """
    if matrix is None:
        return "as they are"
    return (
        "a copy with few slices, spread evenly over each volume, k-space truncated to "
        f"{matrix} x {matrix} on both axes (the whole field of view with larger voxels, longer along one axis "
        "where the matrix was not square; nothing is cropped or padded)"
    )


def data_in_words(data: Mapping[str, Any]) -> str:
    """Slices and volumes of each anatomy in each part.

    Args:
        data: from ``describe_data``.

    Returns:
        A clause.
    """
    return "; ".join(
        f"{part}: " + ", ".join(f"{a} {n['slices']} slices of {n['volumes']} volumes" for a, n in sorted(of.items()))
        for part, of in data.items()
    )


def progress_in_words(runs: Queue[Any, Any]) -> str:
    """How much of the queue is finished, what it took, and what is missing.

    Args:
        runs: the queue.

    Returns:
        Sentences.
    """
    finished = [run for run in runs.runs if runs.done(run)]
    hours = {key: sum(runs.seconds(run, key) for run in runs.runs) / 3600 for key in ("cpu_seconds", "seconds")}
    missing = [run.name for run in runs.runs if not runs.done(run)]
    return (
        f"{len(finished)} of {len(runs.runs)} runs are finished; {hours['cpu_seconds']:.1f} core-hours, "
        f"{hours['seconds']:.1f} hours by the clock, starting and testing included."
        + (f" Missing: {', '.join(missing)}." if missing else "")
    )


def table_notes(rows: Sequence[Row]) -> str:
    """What the numbers of the quality tables are.

    Args:
        rows: test volumes.

    Returns:
        Sentences.
    """
    volumes = len({row["file"] for row in rows})
    return (
        f"Means over {volumes} volumes, then over seeds; ± is the standard deviation over seeds; `*` marks a single "
        "seed. Metrics as in [results.md](results.md)."
    )


def quality_tables(rows: Sequence[Row], labels: Mapping[str, str]) -> list[str]:
    """Quality of all variants on all volumes, and for each anatomy and acceleration.

    Args:
        rows: test volumes.
        labels: variants in their order, and how the tables name them.

    Returns:
        Headings and tables.
    """
    groups: list[tuple[str, dict[str, Any]]] = [("All volumes, 4x and 8x together", {})]
    for anatomy in sorted({row["anatomy"] for row in rows}):
        for acceleration in sorted({row["acceleration"] for row in rows}):
            groups.append((f"{anatomy}, {acceleration}x", {"anatomy": anatomy, "acceleration": acceleration}))
    parts = []
    for title, fields in groups:
        parts += [f"### {title}", quality_table(rows, labels, METRICS, (ZERO_FILLED,), **fields)]
    return parts


def quality_table(
    rows: Sequence[Row],
    labels: Mapping[str, str],
    metrics: Mapping[str, str],
    seedless: Collection[str] = (),
    **fields: Any,
) -> str:
    """Quality of all variants on some volumes.

    Args:
        rows: test volumes.
        labels: variants in their order, and how the table names them.
        metrics: in their order, and how the table names them.
        seedless: variants that no seed makes any difference to.
        fields: conditions, like ``anatomy="brain"``.

    Returns:
        The table.
    """
    table = []
    for variant, label in labels.items():
        complete = complete_rows(rows, variant)
        means = {metric: seed_means(complete, variant, metric, **fields) for metric in metrics}
        cells = {metrics[metric]: value_and_spread(found, metric) for metric, found in means.items()}
        seeds = max(len(found) for found in means.values())
        if variant in seedless:
            cells = {name: cell.removesuffix(" *") for name, cell in cells.items()}
        shown = str(seeds) if seeds and variant not in seedless else ""
        table.append({"variant": label, "seeds": shown, **cells})
    return markdown_table(table)


def complete_rows(rows: Sequence[Row], variant: str) -> list[Row]:
    """Rows of a variant at the seeds that have everything, which may take one run for each anatomy.

    Args:
        rows: of all variants.
        variant: which.

    Returns:
        Its rows.
    """
    everything = {case_of(row) for row in rows}
    own: dict[int | None, list[Row]] = {}
    for row in rows:
        if row["variant"] == variant:
            own.setdefault(row["seed"], []).append(row)
    return [row for found in own.values() if len(found) == len(everything) for row in found]


def claims_table(
    rows: Sequence[Row],
    claims: Sequence[Claim],
    variants: Iterable[str],
    intro: str,
    rule: Callable[[float, float], str],
) -> str:
    """What is claimed and what was found.

    Args:
        rows: test volumes, or slices, of all variants.
        claims: what is claimed.
        variants: those whose spread over seeds is pooled.
        intro: sentences before the rule.
        rule: says by what a difference is judged, from the deviation over seeds of a run and of a difference.

    Returns:
        Sentences and a table.
    """
    complete = [row for variant in variants if variant != ZERO_FILLED for row in complete_rows(rows, variant)]
    compared = [
        tuple(difference(complete, claim.variant, claim.base, metric) for metric in ("ssim", "psnr"))
        for claim in claims
    ]
    deviation = pooled_deviation(complete, "ssim")
    unpaired = None if deviation is None else deviation * 2**0.5
    paired = paired_deviation(ssim for ssim, _ in compared if ssim is not None)
    table = []
    for claim, (ssim, psnr) in zip(claims, compared, strict=True):
        if ssim is None or psnr is None:
            table.append(_claim_cells(claim, ("n/a",) * 5, ("not run yet",) * 2))
            continue
        several = len(ssim.by_seed) > 1
        span = f"{min(ssim.by_seed.values()):+.4f} to {max(ssim.by_seed.values()):+.4f}" if several else "*"
        better = f"{ssim.better} of {ssim.volumes}"
        cells = (str(len(ssim.by_seed)), f"{ssim.mean:+.4f}", span, f"{psnr.mean:+.2f}", better)
        found = tuple(verdict(ssim.sign(spread), claim.expected) for spread in (unpaired, paired))
        table.append(_claim_cells(claim, cells, found))
    if deviation is None or paired is None:
        judged = "The spread over seeds is not known yet, so that no difference can be judged."
    else:
        judged = rule(deviation, paired)
    return f"{intro} {judged}\n\n{markdown_table(table)}"


def verdict(sign: int | None, expected: int) -> str:
    """What became of a claim.

    Args:
        sign: of the difference that was found; 0: none; None: it cannot be judged.
        expected: the sign claimed; 0: that the difference is not negative.
    """
    if sign is None:
        return "spread unknown"
    if sign == 0:
        return "no difference"
    if expected == 0:
        return "holds: better" if sign > 0 else "does not hold: worse"
    return "holds" if sign == expected else "does not hold: the opposite"


def _claim_cells(claim: Claim, cells: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    seeds, ssim, span, psnr, better = cells
    return {
        "claim": claim.text,
        "compared": f"{claim.variant} - {claim.base}",
        "seeds": seeds,
        "SSIM": ssim,
        "by seed": span,
        "PSNR [dB]": psnr,
        "better": better,
        "found": found[0],
        "found, paired": found[1],
    }


def best_validation(runs: Queue[Any, Any], run: Task[Any]) -> dict[str, float] | None:
    """Validation metrics of a run at its best epoch.

    Args:
        runs: the queue.
        run: which.

    Returns:
        The metrics; None if the run is not finished.
    """
    file = runs.path(run, TRAINING) / "model.json"
    return json.loads(file.read_text())["metrics"] if runs.done(run) else None


def validation_figure(
    runs: Queue[Any, Any], anatomies: Sequence[str], figure: Figure, label: Callable[[str], str], file: Path
) -> str:
    """Draw validation curves, a panel for each anatomy.

    Args:
        runs: the queue.
        anatomies: those of the data.
        figure: whose curves.
        label: gives the legend's name of a variant.
        file: of the drawing, SVG, in a folder beside the page.

    Returns:
        The figure and its caption as Markdown; a sentence if there are no curves yet.
    """
    panels: dict[str, dict[str, list[Curve]]] = {anatomy: {} for anatomy in anatomies}
    for run in runs.runs:
        if run.variant not in figure.variants or not runs.path(run, TRAINING).is_dir():
            continue
        curves = read_curves(runs.path(run, TRAINING))
        for anatomy in anatomies:
            own = [curve for tag, curve in curves.items() if tag.startswith(f"val_ssim/{anatomy}/")]
            if own:
                panels[anatomy].setdefault(label(run.variant), []).append(mean_curve(own))
    if not any(panels.values()):
        return f"{figure.title}: not run yet."
    ordered = {
        anatomy: {label(variant): lines[label(variant)] for variant in figure.variants if label(variant) in lines}
        for anatomy, lines in panels.items()
    }
    with atomic_path(file) as temporary:
        temporary.write_text(draw_curves(ordered, "SSIM, mean of 4x and 8x"), encoding="utf-8")
    caption = f"{figure.title}: validation subjects, mean over seeds (thin lines: each seed)."
    return f"![{figure.title}]({file.parent.name}/{file.name})\n\n{caption}"


def runs_table(runs: Queue[Any, Any], parameters: Mapping[str, str], batches: str = "updates") -> str:
    """What became of every run.

    Args:
        runs: the queue.
        parameters: number of parameters by name of the run.
        batches: heading of the column of batches.

    Returns:
        A table.
    """
    table = []
    for run in runs.runs:
        done = runs.done(run)
        best = done and EVALUATION in run.parts
        table.append(
            {
                "run": run.name,
                "parameters": parameters.get(run.name, ""),
                "epochs": str(run.epochs(runs.scale)),
                batches: f"{runs.steps(run):,}",
                "best epoch": str(_best_epoch(runs, run)) if best else "",
                "core-minutes": f"{runs.seconds(run) / 60:.1f}" if done else "",
                "commands": str(len(runs.attempts(run))),
                "state": "done" if done else "missing",
            }
        )
    return markdown_table(table)


def _best_epoch(runs: Queue[Any, Any], run: Task[Any]) -> int:
    return int(json.loads((runs.path(run, TRAINING) / "model.json").read_text())["epoch"])
