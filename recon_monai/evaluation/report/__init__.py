"""The report of a comparison: one HTML file that needs no network."""

from __future__ import annotations

from recon_monai.evaluation.report.reading import Comparison, Difference, Method, ReportError, Row, read_comparison
from recon_monai.evaluation.report.writing import WrittenReport, write_report

__all__ = [
    "Comparison",
    "Difference",
    "Method",
    "ReportError",
    "Row",
    "WrittenReport",
    "read_comparison",
    "write_report",
]
