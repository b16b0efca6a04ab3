"""From the folder of a comparison to one HTML file."""

from __future__ import annotations

import logging
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recon_monai import RESEARCH_NOTICE, __version__
from recon_monai.evaluation.bootstrap import FEWEST_SUBJECTS
from recon_monai.evaluation.report.budget import SIZE_BUDGET, Fit, fit_to_budget
from recon_monai.evaluation.report.cases import Case, cases_of
from recon_monai.evaluation.report.content import failures_of, script_data, sections_of, unreadable_files
from recon_monai.evaluation.report.encoding import Encoder
from recon_monai.evaluation.report.fields import ReportError
from recon_monai.evaluation.report.images import encode_case
from recon_monai.evaluation.report.measures import measures_of
from recon_monai.evaluation.report.page import json_block, write_page
from recon_monai.evaluation.report.reading import Comparison, read_comparison

__all__ = ["WrittenReport", "write_report"]

logger = logging.getLogger(__name__)


class WrittenReport(NamedTuple):
    """What was written.

    Attributes:
        path: the HTML file.
        size: of it in bytes.
        cases: shown, with images or without.
        max_slices: at most so many slices of each.
        problems: why images of cases are not shown, one sentence each.
    """

    path: Path
    size: int
    cases: int
    max_slices: int
    problems: list[str]


def write_report(
    folder: str | Path, output: str | Path | None = None, *, max_slices: int | None = None, lossless: bool = False
) -> WrittenReport:
    """Write the report of a comparison. It shows the numbers of the folder and computes no metric itself.

    Args:
        folder: that `recon-monai compare` wrote.
        output: HTML file; None writes ``report.html`` into the folder. An older one is replaced.
        max_slices: show at most so many slices of each file, evenly spaced; None takes as many as keep the images
            within ``SIZE_BUDGET``, which is made for mail.
        lossless: compress images without loss, in files about three times as large.

    Returns:
        What was written.

    Raises:
        ReportError: if there is no comparison in the folder, it is not of the expected format, or
            none of its files could be opened.
        ValueError: if max_slices is below 1.
        ImportError: if jinja2 is not installed.
    """
    if max_slices is not None and max_slices < 1:
        raise ValueError(f"max_slices is {max_slices}, expected at least 1")
    comparison = read_comparison(folder)
    cases = cases_of(row for row in comparison.rows if row.data != "unreadable")
    if not cases:
        raise ReportError(f"{folder}: none of the files could be opened; {comparison.rows[0].failure}")
    methods = [method.name for method in comparison.methods]
    fit = Fit(max_slices or 1, 0, True)
    if max_slices is None:
        paths = [comparison.folder / case.images for case in cases if case.images is not None]
        fit = fit_to_budget(paths, methods, lossless=lossless)
    wanted = fit.slices
    encoder = Encoder(lossless, fit.compression)
    blocks, problems = _blocks(comparison, cases, methods, wanted, encoder)
    path = Path(output) if output is not None else comparison.folder / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as stream:
        write_page(stream, _context(comparison, cases, blocks, problems, encoder, path, max_slices, wanted))
    unfinished.replace(path)
    size = path.stat().st_size
    if size > 1.2 * SIZE_BUDGET:
        logger.warning(
            "%s has %.1f MB, more than the %.0f MB that a mail takes%s; give a smaller --max_slices, or compare fewer "
            "files or methods at a time",
            path,
            size / 1e6,
            SIZE_BUDGET / 1e6,
            "" if fit.fits else " even with one small slice of each file",
        )
    named = [f"{case.first.file}: {problem}" for case, problem in zip(cases, problems, strict=True) if problem]
    return WrittenReport(path, size, len(cases), wanted, named)


def _blocks(
    comparison: Comparison, cases: Sequence[Case], methods: Sequence[str], wanted: int, encoder: Encoder
) -> tuple[list[str | None], list[str | None]]:
    blocks: list[str | None] = []
    problems: list[str | None] = []
    for case in cases:
        block = problem = None
        if case.images is None:
            problem = "the comparison wrote no images of this file"
        else:
            try:
                block = json_block(encode_case(comparison.folder / case.images, methods, wanted, encoder))
            except ReportError as error:
                problem = str(error)
                logger.warning("%s: no images in the report: %s", case.first.file, problem)
        blocks.append(block)
        problems.append(problem)
    return blocks, problems


def _context(
    comparison: Comparison,
    cases: Sequence[Case],
    blocks: Sequence[str | None],
    problems: Sequence[str | None],
    encoder: Encoder,
    path: Path,
    max_slices: int | None,
    wanted: int,
) -> dict[str, Any]:
    measures = measures_of(comparison.rows)
    command = ["recon-monai", "report", str(comparison.folder), "--output", str(path)]
    command += ["--max_slices", str(max_slices)] if max_slices is not None else []
    command += ["--lossless"] if encoder.lossless else []
    return {
        "notice": RESEARCH_NOTICE,
        "comparison": comparison,
        "sections": sections_of(comparison, cases),
        "measures": measures,
        "fewest_subjects": FEWEST_SUBJECTS,
        "failures": failures_of(cases),
        "unreadable": unreadable_files(comparison),
        "without_images": [
            {"file": case.first.file, "problem": problem}
            for case, problem in zip(cases, problems, strict=True)
            if problem is not None
        ],
        "case_count": len(cases),
        "data": json_block(script_data(comparison, cases, measures, problems)),
        "blocks": blocks,
        "max_slices": wanted,
        "chosen_by_budget": max_slices is None,
        "budget_mb": SIZE_BUDGET // 1_000_000,
        "images_mb": sum(len(block) for block in blocks if block is not None) / 1e6,
        "encoder": encoder,
        "command": shlex.join(command),
        "report_versions": {"recon_monai": __version__, "python": platform.python_version()},
    }
