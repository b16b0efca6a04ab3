"""The page of an ablation, all of it computed from the runs: tables, curves, and what holds of what is claimed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablation_parts.curves import Curve, draw_curves, mean_curve, read_curves
from ablation_parts.plan import OMEGA, OTHER_OMEGAS, Run, Scale
from ablation_parts.results import (
    METRICS,
    Row,
    difference,
    paired_deviation,
    pooled_deviation,
    read_rows,
    seed_means,
    value_and_spread,
)
from ablation_parts.runner import EVALUATION, TRAINING, Queue
from recon_monai import RESEARCH_NOTICE
from recon_monai.data import atomic_path
from recon_monai.evaluation.tables import markdown_table
from recon_monai.networks import NormUNet, SensitivityNetwork, UniversalVarNet, VarNet

__all__ = ["CLAIMS", "LABELS", "parameters", "write_report"]

LABELS = {
    "zero-filled": "zero-filled",
    "a": "(a) one VarNet per anatomy",
    "b": "(b) one VarNet for all",
    "c-all": "(c) b + ASPIN at all norms",
    "c-bottleneck": "(c) b + ASPIN at the bottleneck",
    "c-input": "(c) b + ASPIN at the input",
    "d": "(d) c, all norms + distillation",
    "e": "(e) d + flips and translations",
    "f": "(f) e + affine augmentation",
}
# what is claimed, of which variant, compared with which, and which sign the difference should have
CLAIMS = [
    ("ASPIN improves one network for several anatomies (all norms, the default here)", "c-all", "b", 1),
    ("the same, ASPIN at the bottleneck as the slides draw it", "c-bottleneck", "b", 1),
    ("the same, ASPIN at the input as in the original code", "c-input", "b", 1),
    ("distillation from teachers improves the student", "d", "c-all", 1),
    ("the whole method improves one network for several anatomies", "d", "b", 1),
    ("the student is better than its teachers, one network per anatomy", "d", "a", 1),
    ("flips and translations improve the student", "e", "d", 1),
    ("affine augmentation makes it worse", "f", "e", -1),
]
_FIGURES = {
    "curves": ("Validation SSIM of the variants", ("a", "b", "c-all", "d", "e", "f")),
    "placement": ("Validation SSIM by placement of ASPIN", ("b", "c-all", "c-bottleneck", "c-input")),
    "omega": (
        "Validation SSIM by share of the reconstruction loss",
        ("c-all", *(f"d-omega{omega}" for omega in (OTHER_OMEGAS[0],)), "d", f"d-omega{OTHER_OMEGAS[1]}"),
    ),
}


def write_report(runs: Queue, plan: dict[str, Any], file: Path) -> None:
    """Write the page, and its figures and numbers into the folder of its name beside it.

    Args:
        runs: the queue; what is finished is reported, what is missing is named.
        plan: its plan.
        file: the page, Markdown.

    Raises:
        ValueError: if no run is finished.
    """
    rows = _rows(runs)
    if not rows:
        raise ValueError(f"{runs.folder}: no run is evaluated yet, so that there is nothing to report")
    figures = [_figure(runs, sorted(plan["data"]["train"]), name, file) for name in _FIGURES]
    parts = [
        "# Ablation of the universal VarNet",
        f"**{RESEARCH_NOTICE}** This page is written by the command at its end, numbers and sentences.",
        _setting(runs, plan),
        "## Test subjects",
        _table_notes(rows),
        *_tables(rows),
        "## What is claimed and what was found",
        _claims(rows),
        "## Weight of the losses",
        _omegas(runs),
        "## Validation curves",
        *figures,
        "## Runs",
        _runs(runs),
        "## Again",
        "```bash\npython scripts/ablation.py --dataset_dir DATA --scale {0}\n"
        "python scripts/ablation.py --dataset_dir DATA --scale {0} --report {1}\n```".format(plan["scale"], file),
    ]
    with atomic_path(file) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def parameters(run: Run, scale: Scale, anatomies: Sequence[str]) -> int:
    """Parameters of a run's network that reconstruct, the classifier not among them.

    Args:
        run: the run.
        scale: its size.
        anatomies: those of the data.

    Returns:
        The number.
    """
    cascades, channels, pools, sensitivity_channels, sensitivity_pools = scale.sizes
    sensitivity = SensitivityNetwork(channels=sensitivity_channels, pools=sensitivity_pools)

    def refinement(**options: Any) -> NormUNet:
        return NormUNet(channels, pools, **options)

    if run.kind == "plain":
        network: VarNet = VarNet(cascades, refinement=refinement, sensitivity_network=sensitivity)
    else:
        network = UniversalVarNet(
            anatomies,
            cascades,
            refinement=lambda **options: refinement(aspin_placement=run.placement, **options),
            sensitivity_network=sensitivity,
        )
    named = network.named_parameters()
    return sum(parameter.numel() for name, parameter in named if not name.startswith("classifier."))


def _rows(runs: Queue) -> list[Row]:
    """Test volumes of all evaluated runs, and of the zero-filled image once."""
    rows: list[Row] = []
    for run in runs.runs:
        file = runs.path(run, EVALUATION) / "volumes.csv"
        if run.kind == "classifier" or not runs.done(run):
            continue
        if not any(row["variant"] == "zero-filled" for row in rows) and run.anatomy is None:
            rows += read_rows(file, "zero-filled", run.seed, "zero_filled")
        rows += read_rows(file, run.variant, run.seed)
    return rows


def _setting(runs: Queue, plan: dict[str, Any]) -> str:
    scale, data = runs.scale, plan["data"]
    cascades, channels, pools, sensitivity_channels, sensitivity_pools = scale.sizes
    anatomies = sorted(data["train"])
    shared = next(run for run in runs.runs if run.variant == "b")
    counts = {run.variant: parameters(run, scale, anatomies) for run in runs.runs if run.variant in ("b", "c-all")}
    added = counts["c-all"] - counts["b"]
    matrix = (
        "as they are"
        if scale.matrix is None
        else (
            "a copy with few slices, spread evenly over each volume, k-space truncated to "
            f"{scale.matrix} x {scale.matrix} on both axes (the whole field of view with larger voxels, longer along "
            "one axis where the matrix was not square; nothing is cropped or padded)"
        )
    )
    sizes = "; ".join(
        f"{part}: " + ", ".join(f"{a} {n['slices']} slices of {n['volumes']} volumes" for a, n in sorted(of.items()))
        for part, of in data.items()
    )
    finished = [run for run in runs.runs if runs.done(run)]
    hours = {key: sum(runs.seconds(run, key) for run in runs.runs) / 3600 for key in ("cpu_seconds", "seconds")}
    missing = [run.name for run in runs.runs if not runs.done(run)]
    lines = [
        f"Scale `{plan['scale']}`: {cascades} cascades, {channels} channels, {pools} poolings; sensitivity network "
        f"{sensitivity_channels} channels, {sensitivity_pools} poolings. Data: {matrix}; {sizes}; split by subject.",
        f"Every network: {scale.epochs} epochs, batch 1, AdamW at {scale.learning_rate:g}, {scale.tenth} epochs of "
        f"warm-up, cosine; accelerations 4 and 8. That is {runs.steps(shared):,} updates for networks of all "
        "anatomies. Those of (a) see the slices of their anatomy as often as the others do. The weights of the best "
        f"validation SSIM (every {scale.val_interval} epochs) are tested. (a) to (d) are trained without augmentation; "
        f"the schedule of (e) and (f) begins after epoch {scale.tenth} of {scale.epochs} (10 of 100 in the original "
        f"recipe), strength 0.6, weights 0.5. Distillation: omega {OMEGA}, the default loss; all students have the "
        "same teachers, those of seed 0. The anatomy is given to networks that know anatomies.",
        f"Equal parameters: (b) has {counts['b']:,}; ASPIN at all norms adds {added:,} ({added / counts['b']:.1%}), "
        f"of which a slice uses {added // len(anatomies):,}. (a) has as many as (b) for each anatomy.",
        f"{len(finished)} of {len(runs.runs)} runs are finished; {hours['cpu_seconds']:.1f} core-hours, "
        f"{hours['seconds']:.1f} hours by the clock, starting and testing included."
        + (f" Missing: {', '.join(missing)}." if missing else ""),
    ]
    return "\n\n".join(lines)


def _table_notes(rows: Sequence[Row]) -> str:
    volumes = len({row["file"] for row in rows})
    return (
        f"Means over {volumes} volumes, then over seeds; ± is the standard deviation over seeds; `*` marks a single "
        "seed. Metrics as in [results.md](results.md)."
    )


def _tables(rows: Sequence[Row]) -> list[str]:
    groups: list[tuple[str, dict[str, Any]]] = [("All volumes, 4x and 8x together", {})]
    for anatomy in sorted({row["anatomy"] for row in rows}):
        for acceleration in sorted({row["acceleration"] for row in rows}):
            groups.append((f"{anatomy}, {acceleration}x", {"anatomy": anatomy, "acceleration": acceleration}))
    parts = []
    for title, fields in groups:
        table = []
        for variant, label in LABELS.items():
            complete = _complete(rows, variant)
            means = {metric: seed_means(complete, variant, metric, **fields) for metric in METRICS}
            seeds = len(means["ssim"]) if variant != "zero-filled" else 0
            cells = {METRICS[metric]: value_and_spread(found, metric) for metric, found in means.items()}
            if variant == "zero-filled":
                cells = {name: cell.removesuffix(" *") for name, cell in cells.items()}
            table.append({"variant": label, "seeds": str(seeds) if seeds else "", **cells})
        parts += [f"### {title}", markdown_table(table)]
    return parts


def _complete(rows: Sequence[Row], variant: str) -> list[Row]:
    """Rows of a variant whose seeds have all volumes; (a) has them from one run for each anatomy."""
    everything = {(row["file"], row["acceleration"]) for row in rows}
    own: dict[int, list[Row]] = {}
    for row in rows:
        if row["variant"] == variant:
            own.setdefault(row["seed"], []).append(row)
    return [row for found in own.values() if len(found) == len(everything) for row in found]


def _claims(rows: Sequence[Row]) -> str:
    complete = [row for variant in LABELS if variant != "zero-filled" for row in _complete(rows, variant)]
    compared = [
        tuple(difference(complete, variant, base, metric) for metric in ("ssim", "psnr"))
        for _, variant, base, _ in CLAIMS
    ]
    deviation = pooled_deviation(complete, "ssim")
    unpaired = None if deviation is None else deviation * 2**0.5
    paired = paired_deviation(ssim for ssim, _ in compared if ssim is not None)
    table = []
    for (text, variant, base, expected), (ssim, psnr) in zip(CLAIMS, compared, strict=True):
        if ssim is None or psnr is None:
            table.append(_claim_cells(text, variant, base, ("n/a",) * 5, ("not run yet",) * 2))
            continue
        several = len(ssim.by_seed) > 1
        span = f"{min(ssim.by_seed.values()):+.4f} to {max(ssim.by_seed.values()):+.4f}" if several else "*"
        better = f"{ssim.better} of {ssim.volumes}"
        cells = (str(len(ssim.by_seed)), f"{ssim.mean:+.4f}", span, f"{psnr.mean:+.2f}", better)
        found = tuple(_verdict(ssim.sign(spread), expected) for spread in (unpaired, paired))
        table.append(_claim_cells(text, variant, base, cells, found))
    intro = (
        "Affine augmentation hurting and flips and translations helping slightly are statements of the original "
        "slides; the others are what the method rests on. Differences are over all test volumes at 4x and 8x, at "
        'equal seeds; "better" counts volumes. '
    )
    return intro + _rule(deviation, paired) + "\n\n" + markdown_table(table)


def _verdict(sign: int | None, expected: int) -> str:
    if sign is None:
        return "spread unknown"
    if sign == 0:
        return "no difference"
    return "holds" if sign == expected else "does not hold: the opposite"


def _rule(deviation: float | None, paired: float | None) -> str:
    if deviation is None or paired is None:
        return "The spread over seeds is not known yet, so that no difference can be judged."
    return (
        "A difference counts if it is larger than twice its standard error; there are two ways to tell that. The rule "
        "that was set before the runs takes variants as independent: the standard deviation of a run's SSIM over "
        f"seeds is {deviation:.4f} (pooled over the variants with several), so {2 * deviation * 2**0.5:.4f} is needed "
        f'at one seed and {2 * deviation * (2 / 3) ** 0.5:.4f} at three ("found"). That rule can hardly find '
        "anything, because the seed moves all variants alike. The second one, chosen after the runs were seen, goes "
        f"by the difference at equal seeds, whose standard deviation is {paired:.4f} (pooled over the comparisons at "
        f'several seeds): {2 * paired:.4f} is needed at one seed and {2 * paired / 3**0.5:.4f} at three ("found, '
        'paired"). Three seeds are few for either. All of it stands for networks and data of this size.'
    )


def _claim_cells(text: str, variant: str, base: str, cells: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    seeds, ssim, span, psnr, better = cells
    return {
        "claim": text,
        "compared": f"{variant} - {base}",
        "seeds": seeds,
        "SSIM": ssim,
        "by seed": span,
        "PSNR [dB]": psnr,
        "better": better,
        "found": found[0],
        "found, paired": found[1],
    }


def _omegas(runs: Queue) -> str:
    measured = {}
    for omega, variant in sorted([(OMEGA, "d"), *((omega, f"d-omega{omega}") for omega in OTHER_OMEGAS)]):
        metrics = [found for run in runs.runs if run.variant == variant and (found := _validation(runs, run))]
        if metrics:
            measured[omega] = metrics
    if not measured:
        return "Not run yet."
    table = []
    for omega, metrics in measured.items():
        cells = {METRICS[name]: _validation_cell(metrics, name) for name in METRICS}
        table.append({"omega": f"{omega:g}", **cells})
    first = {omega: metrics[0]["val_ssim"] for omega, metrics in measured.items()}
    best = max(first, key=lambda omega: first[omega])
    lines = [
        "Validation subjects, at the epoch of the best SSIM; loss = omega * reconstruction + (1 - omega) * "
        "distillation.",
        markdown_table(table),
        f"At seed 0 the highest validation SSIM is that of omega {best:g}"
        + (f" ({first[best] - first[OMEGA]:+.4f} from {OMEGA:g})." if OMEGA in first and best != OMEGA else "."),
    ]
    seeds = [entry["val_ssim"] for entry in measured.get(OMEGA, [])]
    if len(seeds) > 1:
        lines[-1] += (
            f" Its standard deviation over {len(seeds)} seeds is {statistics.stdev(seeds):.4f} at omega {OMEGA:g}."
        )
    return "\n\n".join(lines)


def _validation(runs: Queue, run: Run) -> dict[str, float] | None:
    file = runs.path(run, TRAINING) / "model.json"
    return json.loads(file.read_text())["metrics"] if runs.done(run) else None


def _validation_cell(metrics: Sequence[dict[str, float]], name: str) -> str:
    return value_and_spread({seed: entry[f"val_{name}"] for seed, entry in enumerate(metrics)}, name)


def _figure(runs: Queue, anatomies: Sequence[str], name: str, file: Path) -> str:
    title, variants = _FIGURES[name]
    panels: dict[str, dict[str, list[Curve]]] = {anatomy: {} for anatomy in anatomies}
    for run in runs.runs:
        if run.variant not in variants or not runs.path(run, TRAINING).is_dir():
            continue
        curves = read_curves(runs.path(run, TRAINING))
        for anatomy in anatomies:
            own = [curve for tag, curve in curves.items() if tag.startswith(f"val_ssim/{anatomy}/")]
            if own:
                panels[anatomy].setdefault(_label(run.variant), []).append(mean_curve(own))
    if not any(panels.values()):
        return f"{title}: not run yet."
    ordered = {
        anatomy: {_label(v): lines[_label(v)] for v in variants if _label(v) in lines}
        for anatomy, lines in panels.items()
    }
    folder = file.with_suffix("")
    with atomic_path(folder / f"{name}.svg") as temporary:
        temporary.write_text(draw_curves(ordered, "SSIM, mean of 4x and 8x"), encoding="utf-8")
    caption = f"{title}: validation subjects, mean over seeds (thin lines: each seed)."
    return f"![{title}]({folder.name}/{name}.svg)\n\n{caption}"


def _label(variant: str) -> str:
    omega = variant.removeprefix("d-omega")
    return LABELS.get(variant, f"(d) with omega {omega}")


def _runs(runs: Queue) -> str:
    table = []
    anatomies = sorted(run.anatomy for run in runs.runs if run.anatomy)
    for run in runs.runs:
        count = "" if run.kind == "classifier" else f"{parameters(run, runs.scale, anatomies):,}"
        done = runs.done(run)
        validation = _validation(runs, run) if done and run.kind != "classifier" else None
        table.append(
            {
                "run": run.name,
                "parameters": count,
                "epochs": str(runs.scale.classifier_epochs if run.kind == "classifier" else runs.scale.epochs),
                "updates": f"{runs.steps(run):,}",
                "best epoch": str(_best_epoch(runs, run)) if validation else "",
                "core-minutes": f"{runs.seconds(run) / 60:.1f}" if done else "",
                "commands": str(len(runs.attempts(run))),
                "state": "done" if done else "missing",
            }
        )
    return markdown_table(table)


def _best_epoch(runs: Queue, run: Run) -> int:
    return int(json.loads((runs.path(run, TRAINING) / "model.json").read_text())["epoch"])
