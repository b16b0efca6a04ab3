"""The page of the universal VarNet's ablation, computed from the runs: tables, curves, what holds of the claims."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablation_parts.pages import (
    ZERO_FILLED,
    Claim,
    Figure,
    best_validation,
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
from ablation_parts.plan import OMEGA, OTHER_OMEGAS, Run, Scale
from ablation_parts.results import METRICS, value_and_spread
from ablation_parts.runner import Queue
from recon_monai.evaluation.tables import markdown_table
from recon_monai.networks import NormUNet, SensitivityNetwork, UniversalVarNet, VarNet

__all__ = ["CLAIMS", "LABELS", "parameters", "write_report"]

LABELS = {
    ZERO_FILLED: "zero-filled",
    "a": "(a) one VarNet per anatomy",
    "b": "(b) one VarNet for all",
    "c-all": "(c) b + ASPIN at all norms",
    "c-bottleneck": "(c) b + ASPIN at the bottleneck",
    "c-input": "(c) b + ASPIN at the input",
    "d": "(d) c, all norms + distillation",
    "e": "(e) d + flips and translations",
    "f": "(f) e + affine augmentation",
}
CLAIMS = [
    Claim("ASPIN improves one network for several anatomies (all norms, the default here)", "c-all", "b", 1),
    Claim("the same, ASPIN at the bottleneck as the slides draw it", "c-bottleneck", "b", 1),
    Claim("the same, ASPIN at the input as in the original code", "c-input", "b", 1),
    Claim("distillation from teachers improves the student", "d", "c-all", 1),
    Claim("the whole method improves one network for several anatomies", "d", "b", 1),
    Claim("the student is better than its teachers, one network per anatomy", "d", "a", 1),
    Claim("flips and translations improve the student", "e", "d", 1),
    Claim("affine augmentation makes it worse", "f", "e", -1),
]
_CLAIMED = (
    "Affine augmentation hurting and flips and translations helping slightly are statements of the original slides; "
    "the others are what the method rests on. Differences are over all test volumes at 4x and 8x, at equal seeds; "
    '"better" counts volumes.'
)
_FIGURES = {
    "curves": Figure("Validation SSIM of the variants", ("a", "b", "c-all", "d", "e", "f")),
    "placement": Figure("Validation SSIM by placement of ASPIN", ("b", "c-all", "c-bottleneck", "c-input")),
    "omega": Figure(
        "Validation SSIM by share of the reconstruction loss",
        ("c-all", f"d-omega{OTHER_OMEGAS[0]}", "d", f"d-omega{OTHER_OMEGAS[1]}"),
    ),
}


def write_report(runs: Queue[Run, Scale], plan: dict[str, Any], file: Path) -> None:
    """Write the page, and its figures and numbers into the folder of its name beside it.

    Args:
        runs: the queue; what is finished is reported, what is missing is named.
        plan: its plan.
        file: the page, Markdown.

    Raises:
        ValueError: if no run is finished.
    """
    rows = evaluated_rows(runs)
    if not rows:
        raise ValueError(f"{runs.folder}: no run is evaluated yet, so that there is nothing to report")
    anatomies, folder = sorted(plan["data"]["train"]), file.with_suffix("")
    figures = [
        validation_figure(runs, anatomies, figure, _label, folder / f"{name}.svg") for name, figure in _FIGURES.items()
    ]
    parts = [
        _setting(runs, plan),
        "## Test subjects",
        table_notes(rows),
        *quality_tables(rows, LABELS),
        "## What is claimed and what was found",
        claims_table(rows, CLAIMS, LABELS, _CLAIMED, _rule),
        "## Weight of the losses",
        _omegas(runs),
        "## Validation curves",
        *figures,
        "## Runs",
        runs_table(runs, _counts(runs)),
    ]
    write_page(file, "Ablation of the universal VarNet", parts, None, plan["scale"])


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


def _setting(runs: Queue[Run, Scale], plan: dict[str, Any]) -> str:
    scale, data = runs.scale, plan["data"]
    cascades, channels, pools, sensitivity_channels, sensitivity_pools = scale.sizes
    anatomies = sorted(data["train"])
    shared = next(run for run in runs.runs if run.variant == "b")
    counts = {run.variant: parameters(run, scale, anatomies) for run in runs.runs if run.variant in ("b", "c-all")}
    added = counts["c-all"] - counts["b"]
    lines = [
        f"Scale `{plan['scale']}`: {cascades} cascades, {channels} channels, {pools} poolings; sensitivity network "
        f"{sensitivity_channels} channels, {sensitivity_pools} poolings. Data: {matrix_in_words(scale.matrix)}; "
        f"{data_in_words(data)}; split by subject.",
        f"Every network: {scale.epochs} epochs, batch 1, AdamW at {scale.learning_rate:g}, {scale.tenth} epochs of "
        f"warm-up, cosine; accelerations 4 and 8. That is {runs.steps(shared):,} updates for networks of all "
        "anatomies. Those of (a) see the slices of their anatomy as often as the others do. The weights of the best "
        f"validation SSIM (every {scale.val_interval} epochs) are tested. (a) to (d) are trained without augmentation; "
        f"the schedule of (e) and (f) begins after epoch {scale.tenth} of {scale.epochs} (10 of 100 in the original "
        f"recipe), strength 0.6, weights 0.5. Distillation: omega {OMEGA}, the default loss; all students have the "
        "same teachers, those of seed 0. The anatomy is given to networks that know anatomies.",
        f"Equal parameters: (b) has {counts['b']:,}; ASPIN at all norms adds {added:,} ({added / counts['b']:.1%}), "
        f"of which a slice uses {added // len(anatomies):,}. (a) has as many as (b) for each anatomy.",
        progress_in_words(runs),
    ]
    return "\n\n".join(lines)


def _rule(deviation: float, paired: float) -> str:
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


def _omegas(runs: Queue[Run, Scale]) -> str:
    measured = {}
    for omega, variant in sorted([(OMEGA, "d"), *((omega, f"d-omega{omega}") for omega in OTHER_OMEGAS)]):
        metrics = [found for run in runs.runs if run.variant == variant and (found := best_validation(runs, run))]
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


def _validation_cell(metrics: Sequence[dict[str, float]], name: str) -> str:
    return value_and_spread({seed: entry[f"val_{name}"] for seed, entry in enumerate(metrics)}, name)


def _label(variant: str) -> str:
    omega = variant.removeprefix("d-omega")
    return LABELS.get(variant, f"(d) with omega {omega}")


def _counts(runs: Queue[Run, Scale]) -> dict[str, str]:
    anatomies = sorted(run.anatomy for run in runs.runs if run.anatomy)
    networks = [run for run in runs.runs if run.kind != "classifier"]
    return {run.name: f"{parameters(run, runs.scale, anatomies):,}" for run in networks}
