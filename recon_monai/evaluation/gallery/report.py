"""Table of a gallery: Markdown and CSV. Nothing is averaged, so that no data are pooled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recon_monai import RESEARCH_NOTICE
from recon_monai.data import atomic_path
from recon_monai.evaluation.gallery.store import Result
from recon_monai.evaluation.tables import csv_text, format_number

__all__ = ["Section", "write_report"]

_GROUPS = {
    "simulated": "Simulated k-space",
    "measured": "Measured k-space",
    "unknown": "k-space of unknown origin",
    "image": "Inverse problems beside MRI",
    "volume": "Super-resolution of a volume",
    "loss": "Losses of super-resolution",
}
_COLUMNS = ("problem", "group", "method", "ssim", "psnr", "nmse", "seconds", "note", "reason", "title")


@dataclass
class Section:
    """Results of one problem.

    Args:
        name: of the problem.
        group: ``"simulated"``, ``"measured"``, ``"unknown"``, ``"image"``, ``"volume"`` or ``"loss"``.
        title: of the problem, in words.
        results: in the order of the table.
        remark: a sentence below the table.
    """

    name: str
    group: str
    title: str
    results: list[Result] = field(default_factory=list)
    remark: str = ""


def write_report(output: Path, sections: Sequence[Section], remarks: Sequence[str]) -> None:
    """Write ``gallery.md`` and ``gallery.csv``.

    Args:
        output: their folder; figures are ``NAME.png`` in it.
        sections: one for each problem.
        remarks: how it was made, a paragraph each.
    """
    lines = ["# Gallery of reconstructions", "", RESEARCH_NOTICE, "", *(f"{remark}\n" for remark in remarks)]
    for group, title in _GROUPS.items():
        members = [section for section in sections if section.group == group]
        if members:
            lines += [f"## {title}", ""]
        for section in members:
            lines += _section(output, section)
    with atomic_path(output / "gallery.md") as temporary:
        temporary.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    rows = [
        {name: getattr(result, name, None) for name in _COLUMNS} | {"group": section.group, "title": section.title}
        for section in sections
        for result in section.results
    ]
    with atomic_path(output / "gallery.csv") as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8")


def _section(output: Path, section: Section) -> list[str]:
    lines = [f"### {section.title[0].upper()}{section.title[1:]}", ""]
    lines += ["| method | SSIM | PSNR [dB] | NMSE | seconds | |", "|---|---|---|---|---|---|"]
    lines += [_row(result) for result in section.results]
    lines.append("")
    if section.remark:
        lines += [section.remark, ""]
    if (output / f"{section.name}.png").is_file():
        lines += [f"![{section.title}]({section.name}.png)", ""]
    return lines


def _row(result: Result) -> str:
    if result.reason:
        reason = result.reason.replace("|", "\\|")
        return f"| {result.label} | failed | | | | {reason} |"
    numbers = [format_number(getattr(result, name), name) for name in ("ssim", "psnr", "nmse")]
    seconds = f"{result.seconds:.2f}" if not math.isnan(result.seconds) else ""
    return f"| {result.label} | {' | '.join(numbers)} | {seconds} | {result.note} |"
