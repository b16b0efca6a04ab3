from __future__ import annotations

import csv
import io
import math

import pytest

from recon_monai import RESEARCH_NOTICE
from recon_monai.evaluation.tables import csv_text, format_number, markdown_table, mean, summarize, summary_markdown

NAN = math.nan
METRICS = ["ssim", "psnr", "nmse"]


def row(file: str, method: str, ssim: float, psnr: float, nmse: float, **fields) -> dict:
    common = {"anatomy": "brain", "source": "simulated", "acceleration": 4, "effective_acceleration": 3.5}
    return {"file": file, **common, "method": method, "ssim": ssim, "psnr": psnr, "nmse": nmse, **fields}


@pytest.fixture
def summary() -> list[dict]:
    volumes = [
        row("a", "zero_filled", 0.5, 20.0, 0.1),
        row("a", "net", 0.9, 30.0, 0.01),
        row("b", "zero_filled", 0.7, 24.0, 0.3, effective_acceleration=3.7),
        row("b", "net", NAN, 25.0, 0.03, effective_acceleration=3.7),
        row("k", "zero_filled", 0.1, 10.0, 0.5, anatomy="knee"),
        row("k", "net", 0.2, 12.0, 0.4, anatomy="knee"),
        row("m", "zero_filled", 0.3, 11.0, 0.6, source="measured", acceleration=None, effective_acceleration=None),
        row("m", "net", 0.3, 13.0, 0.6, source="measured", acceleration=None, effective_acceleration=None),
    ]
    slices = [
        row("a", "zero_filled", 0.5, 20.0, 0.1, slice=0),
        row("a", "net", 0.9, 30.0, 0.2, slice=0),
        row("a", "zero_filled", 0.5, 20.0, 0.1, slice=1),
        row("a", "net", 0.4, 30.0, 0.05, slice=1),
        row("b", "zero_filled", 0.7, 24.0, 0.3, slice=0),
        row("b", "net", NAN, 25.0, 0.03, slice=0),
        row("k", "zero_filled", 0.1, 10.0, 0.5, slice=0, anatomy="knee"),
        row("k", "net", 0.2, 12.0, 0.4, slice=0, anatomy="knee"),
        row("m", "zero_filled", 0.3, 11.0, 0.6, slice=0, source="measured", acceleration=None),
        row("m", "net", 0.3, 13.0, 0.6, slice=0, source="measured", acceleration=None),
    ]
    return summarize(volumes, slices, metrics=METRICS, baseline="zero_filled")


def find(summary: list[dict], anatomy: str, method: str, source: str = "simulated") -> dict:
    (entry,) = [e for e in summary if (e["anatomy"], e["method"], e["source"]) == (anatomy, method, source)]
    return entry


def test_means_margins_and_shares(summary: list[dict]) -> None:
    net = find(summary, "brain", "net")
    assert (net["volumes"], net["slices"], net["undefined"]) == (2, 3, 1)
    assert (net["ssim"], net["psnr"], net["nmse"]) == pytest.approx((0.9, 27.5, 0.02))
    assert net["effective_acceleration"] == pytest.approx(3.6)
    assert net["psnr_margin"] == pytest.approx((10 + 1) / 2)
    assert net["ssim_better"] == pytest.approx(1 / 2)
    assert net["nmse_better"] == pytest.approx(2 / 3)
    assert math.isnan(find(summary, "brain", "zero_filled")["psnr_margin"])


def test_all_anatomies_of_one_source_only(summary: list[dict]) -> None:
    net = find(summary, "all", "net")
    assert (net["volumes"], net["slices"]) == (3, 4)
    assert net["psnr_margin"] == pytest.approx((10 + 1 + 2) / 3)
    assert not [entry for entry in summary if entry["source"] == "measured" and entry["anatomy"] == "all"]


def test_a_tie_is_not_better(summary: list[dict]) -> None:
    measured = find(summary, "brain", "net", "measured")
    assert (measured["ssim_better"], measured["nmse_better"], measured["psnr_margin"]) == (0, 0, 2)


def test_page_separates_sources_and_says_what_it_is(summary: list[dict]) -> None:
    page = summary_markdown(
        summary, metrics=METRICS, baseline="zero_filled", convention="windows of jelly", title="Net"
    )
    simulated, measured = page.index("## Simulated k-space"), page.index("## Measured k-space")
    assert measured < simulated
    assert "| +2.00 " in page[measured:simulated]
    assert page.startswith("# Net\n")
    assert RESEARCH_NOTICE in page
    assert "windows of jelly" in page
    line = next(line for line in page.splitlines() if line.startswith("| brain ") and "3.60x" in line and "net" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["brain", "4x (3.60x)", "net", "2", "3", "0.9000", "27.50", "0.02000", "50.0%", "66.7%", "+5.50"]
    assert "1 values are undefined" in page


def test_markdown_lines_up() -> None:
    lines = markdown_table([{"a": "1", "long": "x"}, {"a": "wide cell", "long": ""}]).splitlines()
    assert lines == ["| a         | long |", "|-----------|------|", "| 1         | x    |", "| wide cell |      |"]


def test_csv_keeps_all_digits_and_carries_the_notice() -> None:
    (read,) = csv.DictReader(io.StringIO(csv_text([{"file": 'a, "b".h5', "ssim": 0.1 + 0.2, "nmse": NAN, "r": None}])))
    assert read["file"] == 'a, "b".h5'
    assert float(read["ssim"]) == 0.1 + 0.2
    assert (read["nmse"], read["r"], read["notice"]) == ("nan", "", RESEARCH_NOTICE)
    assert csv_text([]) == ""


def test_numbers() -> None:
    assert format_number(0.98765, "ssim") == "0.9877"
    assert format_number(math.inf, "psnr") == "inf"
    assert (format_number(NAN, "ssim"), format_number(None, "psnr")) == ("n/a", "n/a")
    assert format_number(1234.56, "other") == "1235"
    assert mean([1.0, NAN, 3.0]) == 2
    assert math.isnan(mean([NAN]))
