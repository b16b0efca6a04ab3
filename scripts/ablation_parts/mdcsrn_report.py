"""The page that compares trainings of mDCSRN with a critic, computed from the runs: quality, claims, cost, pictures."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ablation_parts.curves import Curve, draw_curves, read_curves
from ablation_parts.intervals import PairedDifference, paired_difference
from ablation_parts.mdcsrn_plan import ALONE, CLIPPING, PENALTY, PRESETS, PRETRAINED, MeasuredSize, Run, Scale
from ablation_parts.measuring import device_in_words
from ablation_parts.mosaic import mosaic
from ablation_parts.pages import progress_in_words, quality_table, runs_table, verdict, write_page
from ablation_parts.results import VOLUME_METRICS, Row, format_metric, read_volumes
from ablation_parts.runner import Queue
from ablation_parts.task import EVALUATION, MEASUREMENT, TRAINING
from ablation_parts.volume_data import INTERPOLATION
from recon_monai.data import atomic_path
from recon_monai.evaluation import BASELINES
from recon_monai.evaluation.tables import csv_text, markdown_table
from recon_monai.metrics import QUALITY_CONVENTION
from recon_monai.networks import MDCSRN, MDCSRNCritic

__all__ = ["CLAIMS", "LABELS", "PUBLISHED", "MetricClaim", "claims_table", "write_report"]

SINC = "sinc"
LABELS = {
    "trilinear": "trilinear",
    "cubic": "cubic",
    SINC: "sinc: zero-filled, the input",
    PRETRAINED: "pretrained by squared error and Muon, where all begin",
    ALONE: "L1 alone, no critic",
    CLIPPING: "critic, weights clipped",
    PENALTY: "critic, gradient penalty",
    **{preset: f"critic `{preset}`, gradient penalty" for preset in PRESETS},
}
_SEEDLESS = (*BASELINES, PRETRAINED)
PUBLISHED = {
    "mDCSRN, 250,000 steps": ("0.581 ± 0.133", "20.210 ± 2.496", "0.828 ± 0.155"),
    "mDCSRN-WGAN-GP, 5,000 steps more": ("0.620 ± 0.123", "20.730 ± 2.838", "0.788 ± 0.181"),
}
"""SSIM, PSNR and NRMSE of the slides."""


class MetricClaim(NamedTuple):
    """What is claimed of a variant compared with another.

    Attributes:
        text: in words.
        variant: which.
        base: what is subtracted.
        metric: in which they differ.
        expected: sign that the difference should have; 0: it should not be negative.
    """

    text: str
    variant: str
    base: str
    metric: str
    expected: int


CLAIMS = [
    MetricClaim("the network is better than interpolation", PENALTY, "cubic", "psnr", 1),
    MetricClaim("the same, SSIM", PENALTY, "cubic", "ssim", 1),
    MetricClaim("the same, against sinc", PENALTY, SINC, "psnr", 1),
    MetricClaim("the critic raises SSIM (the slides: +0.039)", PENALTY, ALONE, "ssim", 1),
    MetricClaim("the critic raises PSNR (the slides: +0.52 dB)", PENALTY, ALONE, "psnr", 1),
    MetricClaim("the critic lowers NRMSE (the slides: -0.040)", PENALTY, ALONE, "nrmse", -1),
    MetricClaim("the critic makes images sharper", PENALTY, ALONE, "sharpness", 1),
    MetricClaim("the critic adds detail that the low resolution lacks", PENALTY, ALONE, "detail_energy", 1),
    MetricClaim("detail is not less that of the target", PENALTY, ALONE, "detail_agreement", 0),
    MetricClaim("the penalty gives better images than clipping", PENALTY, CLIPPING, "ssim", 1),
    MetricClaim("the same, PSNR", PENALTY, CLIPPING, "psnr", 1),
    MetricClaim("the penalty adds more detail than clipping", PENALTY, CLIPPING, "detail_energy", 1),
    MetricClaim("a clipped critic makes images sharper at all", CLIPPING, ALONE, "sharpness", 1),
    *(
        MetricClaim(f"the larger critic `{preset}` is better than the small one", preset, PENALTY, "ssim", 1)
        for preset in PRESETS
    ),
    MetricClaim("the compressed critic is not worse than the uncompressed one", PRESETS[1], PRESETS[0], "ssim", 0),
]
LEAST = {
    "ssim": 0.001,
    "psnr": 0.02,
    "nrmse": 0.001,
    "sharpness": 0.01,
    "detail_energy": 0.01,
    "detail_agreement": 0.01,
}
"""Smaller differences do not count, however certain."""
_GRADIENT = "train_score_gradient"
_LEAST = ", ".join(f"{value:g} in {VOLUME_METRICS[name]}" for name, value in LEAST.items())
_CLAIMED = (
    "What should hold, and by which number, was written down before any run. A difference is that of two variants at "
    "equal seeds and subjects, the mean over recipes of each subject. It counts if its 95 % interval does not hold "
    f"zero and it is at least {_LEAST}. The interval is that of a bootstrap which draws seeds and subjects anew, "
    "independently of each other (Owen 2007), so that other trainings and other subjects are allowed for. "
    '"Higher" counts pairs of seed and subject. With one seed (`*`) only subjects are drawn: such an interval compares '
    f"these two trainings and says nothing of others. {len(CLAIMS)} differences are judged; one in twenty would be "
    'found by chance where there is none. "No difference" means that none was found. All of it stands for networks and '
    "data of this size."
)
_METRICS = (
    f"Of each block, {QUALITY_CONVENTION}. Detail is what lies at spatial frequencies "
    "that the low resolution lacks (volumes under a Hann window, not clipped): *energy* over that of the target, 0 for "
    "plain interpolation, 1 for as much as there is; *agreement*, its correlation with that of the target, 1 for true "
    "detail, 0 for invented one (Fourier shell correlation, Harauz and van Heel 1986). Sharpness and energy alone "
    "would reward noise. Means over volumes, then over seeds; ± is the standard deviation over seeds; `*` marks a "
    "single seed."
)
_INCOMPARABLE = (
    "These numbers cannot be compared with the tables above, nor with others:\n\n"
    "* Two of the five recipes of low resolution that the slides name mix a centered with an uncentered spectrum, "
    "which no scanner does: the uncentered part loses its middle, and with equal shares half of the signal is gone "
    "before any network. Which recipe the numbers belong to is not said.\n"
    "* No data range is given. Programs of that time took 2 for the SSIM of such images and 1 for PSNR; here it is 1 "
    "for both, written out. A wider range raises SSIM.\n"
    "* An NRMSE near 0.8 means that the error is nearly as large as the image: an image of zeros has 1, and plain "
    "interpolation stands in the tables above. So these outputs were far from their targets, whatever the training, "
    "and a gain from 0.828 to 0.788 says little about a network that works.\n"
    "* The second line has 5,000 steps more than the first: without as many steps of L1 alone, steps and critic cannot "
    "be told apart. Here all arms have equally many updates of the generator from one start.\n"
    "* The generator's loss on the slides has the sign that drives it away from what the critic takes for real, and "
    "the activations of the critic in the code before them were the identity."
)


def write_report(runs: Queue[Run, Scale], plan: dict[str, Any], file: Path) -> None:
    """Write the page, and its figures and numbers into the folder of its name beside it.

    Args:
        runs: the queue; what is finished is reported, what is missing is named.
        plan: its plan.
        file: the page, Markdown.

    Raises:
        ValueError: if no run is evaluated.
    """
    evaluated = [run for run in runs.runs if EVALUATION in run.parts and runs.done(run)]
    if not evaluated:
        raise ValueError(f"{runs.folder}: no run is evaluated yet, so that there is nothing to report")
    rows = [row for name in BASELINES for row in read_volumes(runs.dataset_dir / INTERPOLATION, name, None, name)]
    for run in evaluated:
        seed = None if run.variant in _SEEDLESS else run.seed
        rows += read_volumes(runs.path(run, EVALUATION) / "volumes.csv", run.variant, seed)
    folder = file.with_suffix("")
    with atomic_path(folder / "volumes.csv") as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8")
    parts = [
        _setting(runs, plan),
        "## Test subjects",
        f"{_METRICS} Every volume: [volumes.csv]({folder.name}/volumes.csv).",
        *_tables(rows),
        "## What is claimed and what was found",
        claims_table(rows, CLAIMS, _CLAIMED),
        "## The slides' numbers",
        _published(),
        "## Parameters, memory and time",
        _costs(runs),
        "## What the critics teach",
        _gradients(runs),
        "## Curves",
        _curves(runs, folder),
        "## Pictures",
        _pictures(evaluated, runs, folder),
        "## Runs",
        runs_table(runs, {run.name: _parameters(run, runs.scale) for run in runs.runs}),
    ]
    write_page(file, "Comparison of critics for super-resolution", parts, "mdcsrn_wgan_gp", plan["scale"])


def claims_table(rows: Sequence[Row], claims: Sequence[MetricClaim], intro: str) -> str:
    """What is claimed and what was found.

    Args:
        rows: test volumes of all variants.
        claims: what is claimed.
        intro: sentences before the table.

    Returns:
        Sentences and a table.
    """
    table = []
    for claim in claims:
        found = paired_difference(rows, claim.variant, claim.base, claim.metric)
        cells = {"claim": claim.text, "compared": f"{claim.variant} - {claim.base}"}
        table.append({**cells, "metric": VOLUME_METRICS[claim.metric], **_difference_cells(found, claim)})
    return f"{intro}\n\n{markdown_table(table)}"


def _difference_cells(found: PairedDifference | None, claim: MetricClaim) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(("seeds", "difference", "95 % interval", "higher"), "n/a") | {"found": "not run yet"}
    mean, low, high = (format_metric(value, claim.metric, "+") for value in (found.mean, found.low, found.high))
    sign = 0 if abs(found.mean) < LEAST[claim.metric] else found.sign
    judged = "one subject: unknown" if found.sign is None else verdict(sign, claim.expected)
    return {
        "seeds": f"{found.seeds}{' *' if found.seeds == 1 else ''}",
        "difference": mean,
        "95 % interval": f"{low} to {high}",
        "higher": f"{found.higher} of {found.seeds * found.subjects}",
        "found": judged,
    }


def _setting(runs: Queue[Run, Scale], plan: dict[str, Any]) -> str:
    scale, data = runs.scale, plan["data"]
    blocks, units, growth, first = scale.network
    steps, patches = scale.critic_arm_steps, scale.batch_size * scale.patches_per_volume
    counted = "; ".join(f"{part}: {of['subjects']} subjects, {of['pairs']} pairs" for part, of in data.items())
    lines = [
        f"Scale `{plan['scale']}`: generator of {blocks} blocks of {units} units, growth {growth}, {first} channels, "
        f"residual; critic of width {scale.critic_width} with group normalization. Data: {counted}; split by subject. "
        f"Each volume comes as {', '.join(f'`{recipe}`' for recipe in scale.recipes)}, simulated on the whole head "
        f"and then cut to the {scale.block} voxels in the middle of each axis, in training and in testing.",
        f"One generator is trained by squared error for {scale.pretrain_steps:,} steps of {patches} patches of "
        f"{scale.patch_size} voxels along each axis (Muon, from {scale.pretrain_rate:g} to {scale.generator_rate:g}, "
        "the weights of the best validation PSNR). All arms start from it and update it "
        f"{scale.generator_updates:,} times more at {scale.generator_rate:g} (Adam, beta 0 and 0.9), and their last "
        f"weights are tested. Arms with a critic take {scale.critic_only_steps:,} steps of the critic alone and then "
        f"{scale.critic_steps} before each update of the generator, {steps - scale.generator_updates:,} in all at "
        f"{scale.critic_rate:g}: these are cost, counted below, and no updates of the generator. Seeds change the "
        "order of patches and the start of the critic. Weights are clipped at 0.05, as 0.01 left that critic without a "
        "gradient; no other number was tuned for an arm.",
        f"The score's weight in the generator's loss is {scale.adversarial_weight:g}: the gradient of the mean "
        "absolute error of N voxels has norm 1 / sqrt(N), that of a critic with gradient penalty about 1, so that the "
        "published 0.001 at 64 voxels along each axis is this at "
        f"{scale.patch_size}. The critics `paper31m` and `slide17m` (31,155,777 and 17,628,929 parameters at patches "
        "of 64, as layer normalization has a scale and shift for each position) have "
        f"{' and '.join(f'{_critic(scale.preset_width, scale.patch_size, preset):,}' for preset in PRESETS)} at "
        f"patches of {scale.patch_size}; one seed each.",
        progress_in_words(runs),
    ]
    return "\n\n".join(lines)


def _tables(rows: Sequence[Row]) -> list[str]:
    labels = {name: label for name, label in LABELS.items() if any(row["variant"] == name for row in rows)}
    subjects, recipes = len({row["subject"] for row in rows}), sorted({row["recipe"] for row in rows})
    parts = [f"### All, {subjects} subjects", quality_table(rows, labels, VOLUME_METRICS, _SEEDLESS)]
    for recipe in recipes if len(recipes) > 1 else []:
        parts += [f"### {recipe}", quality_table(rows, labels, VOLUME_METRICS, _SEEDLESS, recipe=recipe)]
    return parts


def _published() -> str:
    table = [
        {"slides": name, "SSIM": ssim, "PSNR [dB]": psnr, "NRMSE": nrmse}
        for name, (ssim, psnr, nrmse) in PUBLISHED.items()
    ]
    return f"{markdown_table(table)}\n\n{_INCOMPARABLE}"


def _costs(runs: Queue[Run, Scale]) -> str:
    run = next(run for run in runs.runs if run.kind == "measurement")
    if not runs.done(run):
        return "Not measured yet."
    state = json.loads((runs.path(run, MEASUREMENT) / "finished.json").read_text())
    parts = [
        f"One step of each kind on noise on {device_in_words(state['where'])}, each figure from {runs.scale.rounds} "
        "process(es) of its own, in turn: the median. Memory is what the first step adds at its peak, gradients and "
        "moments of Adam among it, weights and batch not. The last columns say what an update of the generator takes "
        "with the steps of the critic that go with it."
    ]
    for size in runs.scale.measured:
        wanted = (list(size.network), size.critic_width, size.patch, size.batch, size.bf16)
        entries = [
            entry
            for entry in state["processes"]
            if [entry[name] for name in ("network", "critic_width", "patch", "batch", "bf16")] == list(wanted)
        ]
        parts += [f"### {_size_in_words(size)}", _cost_table(entries, runs.scale.critic_steps)]
    return "\n\n".join(parts)


def _gradients(runs: Queue[Run, Scale]) -> str:
    """The norm of each critic's gradient at what the generator made, over the second half of the arm."""
    found: dict[str, list[float]] = {}
    for run in runs.runs:
        if run.kind != "adversarial":
            continue
        norms = found.setdefault(run.variant, [])
        curve = read_curves(runs.path(run, TRAINING), _GRADIENT).get(_GRADIENT, {})
        late = [value for step, value in curve.items() if 2 * step > run.steps(runs.scale, {})]
        norms += [statistics.mean(late)] if late else []
    table = [
        {
            "variant": LABELS[name],
            "seeds": str(len(norms)),
            "gradient": f"{statistics.mean(norms):.2g}" if norms else "n/a",
            "pulls, of L1": f"{statistics.mean(norms) * _pull(runs.scale):.2g}" if norms else "n/a",
        }
        for name, norms in found.items()
    ]
    intro = (
        "Norm of the gradient of the score at the patches that the generator made, mean over its steps in the second "
        "half of an arm and over seeds, and how strongly it pulls at the generator beside the mean absolute error "
        "(times the score's weight, over the norm of that error's gradient). A penalty holds the norm near 1; with "
        "clipped weights it is what the bound leaves. An arm whose critic has next to none is one of L1 alone, and "
        "says nothing of critics."
    )
    return f"{intro}\n\n{markdown_table(table)}"


def _pull(scale: Scale) -> float:
    return scale.adversarial_weight * float(scale.patch_size**1.5)


def _size_in_words(size: MeasuredSize) -> str:
    blocks, units, growth, first = size.network
    precision = "bfloat16 inside the networks" if size.bf16 else "float32"
    return (
        f"{blocks} blocks of {units} units, growth {growth}, {first} channels; {size.batch} patches of {size.patch}; "
        f"{precision}"
    )


def _cost_table(entries: Sequence[Mapping[str, Any]], critic_steps: int) -> str:
    table = []
    alone = _median(entries, ALONE, "pretraining", "seconds")
    for name in dict.fromkeys(entry["name"] for entry in entries):
        counts = next(entry for entry in entries if entry["name"] == name)
        with_critic = name != ALONE
        critic = _median(entries, name, "critic", "seconds") if with_critic else 0.0
        generator = _median(entries, name, "generator", "seconds") if with_critic else alone
        kinds = ("critic", "generator") if with_critic else ("pretraining",)
        memory = [_median(entries, name, kind, "megabytes") for kind in kinds]
        known = [value for value in memory if value is not None]
        whole = None if critic is None or generator is None else critic_steps * critic + generator
        table.append(
            {
                "variant": LABELS[name],
                "generator": _number(counts["parameters"], ","),
                "critic": _number(counts["critic_parameters"], ",") if with_critic else "",
                "step of the critic [s]": _number(critic, ".3g") if with_critic else "",
                "of the generator [s]": _number(generator, ".3g"),
                "peak memory [MB]": _number(max(known) if len(known) == len(memory) else None, ".0f"),
                "an update in all [s]": _number(whole, ".3g"),
                "of that without critic": _number(whole / alone if whole and alone else None, ".1f"),
            }
        )
    return markdown_table(table)


def _median(entries: Sequence[Mapping[str, Any]], name: str, kind: str, key: str) -> float | None:
    values = [entry[key] for entry in entries if (entry["name"], entry["kind"]) == (name, kind)]
    return None if None in values or not values else statistics.median(values)


def _number(value: float | None, form: str) -> str:
    return "out of memory" if value is None else f"{value:{form}}"


def _curves(runs: Queue[Run, Scale], folder: Path) -> str:
    psnr: dict[str, list[Curve]] = {}
    wasserstein: dict[str, dict[str, list[Curve]]] = {}
    start = _start(runs)
    for run in runs.runs:
        if run.kind not in ("alone", "adversarial") or not runs.path(run, TRAINING).is_dir():
            continue
        label, found = LABELS[run.variant], read_curves(runs.path(run, TRAINING), "")
        if "val_psnr" in found:
            curve = {_updates(run, runs.scale, epoch): value for epoch, value in found["val_psnr"].items()}
            psnr.setdefault(label, []).append(start | curve)
        if "train_wasserstein" in found:  # a panel each, as clipping has a scale of its own
            wasserstein.setdefault(label, {}).setdefault(label, []).append(found["train_wasserstein"])
    return "\n\n".join(
        [
            _figure(
                {"": psnr} if psnr else {},
                "Validation PSNR over updates of the generator after pretraining",
                ("PSNR [dB]", "updates of the generator"),
                folder / "psnr.svg",
            ),
            _figure(
                wasserstein,
                "The critic's estimate of the Wasserstein distance",
                ("score of real - made", "step"),
                folder / "wasserstein.svg",
            ),
        ]
    )


def _figure(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]], caption: str, titles: tuple[str, str], file: Path
) -> str:
    if not panels:
        return f"{caption}: not run yet."
    with atomic_path(file) as temporary:
        temporary.write_text(draw_curves(panels, *titles), encoding="utf-8")
    return f"![{caption}]({file.parent.name}/{file.name})\n\n{caption}: mean over seeds (thin lines: each seed)."


def _start(runs: Queue[Run, Scale]) -> Curve:
    """Validation PSNR that all arms begin with."""
    run = next(run for run in runs.runs if run.kind == "pretraining")
    file = runs.path(run, TRAINING) / "model.json"
    return {0: float(json.loads(file.read_text())["metrics"]["val_psnr"])} if file.is_file() else {}


def _updates(run: Run, scale: Scale, epoch: int) -> int:
    """Updates of the generator after an epoch of an arm."""
    steps = epoch * run.steps(scale, {}) // scale.arm_epochs
    return steps if run.kind == "alone" else scale.schedule.counts(steps)["generator"]


def _pictures(evaluated: Sequence[Run], runs: Queue[Run, Scale], folder: Path) -> str:
    columns: dict[str, dict[str, np.ndarray]] = {}
    for variant, label in LABELS.items():
        run = next((run for run in evaluated if run.variant == variant), None)
        if run is None:
            continue
        with np.load(runs.path(run, EVALUATION) / "patches.npz") as found:
            for name, image in found.items():
                recipe, kind = name.split("/")
                shown = {"input": "low resolution", "target": "target", "output": label}[kind]
                columns.setdefault(shown, {})[recipe] = image
    order = ["low resolution", *(label for label in LABELS.values() if label in columns), "target"]
    with atomic_path(folder / "patches.png") as temporary:
        mosaic({name: columns[name] for name in order}, "target").save(temporary, format="PNG")
    caption = (
        "The middle of a slice of the first test volume of each recipe, seed 0, in the window of intensities of the "
        "target; pixels are enlarged and not interpolated"
    )
    return f"![Patches by variant]({folder.name}/patches.png)\n\n{caption}."


def _parameters(run: Run, scale: Scale) -> str:
    if run.kind == "measurement":
        return ""
    count = sum(parameter.numel() for parameter in MDCSRN(*scale.network).parameters())
    if run.kind != "adversarial":
        return f"{count:,}"
    width = scale.preset_width if run.preset else scale.critic_width
    return f"{count:,} + {_critic(width, scale.patch_size, run.preset):,}"


def _critic(width: int, patch_size: int, preset: Any) -> int:
    critic = MDCSRNCritic(preset, width, patch_size=patch_size)
    return sum(parameter.numel() for parameter in critic.parameters())
