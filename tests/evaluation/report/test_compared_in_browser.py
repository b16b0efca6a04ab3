"""The report of what a comparison really wrote, in a headless browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparing_data import write_scan, write_volume

from recon_monai.evaluation.comparing import ComparisonSettings, compare_methods
from recon_monai.evaluation.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated and measured k-space and a volume, with spreads."""
    data = tmp_path_factory.mktemp("data")
    for folder in ("scans", "volumes"):
        (data / folder).mkdir()
    write_scan(data / "scans" / "sim.h5", 1)
    write_scan(data / "scans" / "raw.h5", 2, source="measured")
    write_volume(data / "volumes" / "sub-1_T1w.nii.gz", 3)
    output = tmp_path_factory.mktemp("compared")
    methods = ["zero_filled", "cg_sense", "tikhonov", "trilinear", "cubic", "sinc", "total_variation_3d"]
    settings = ComparisonSettings(
        (4,), (0.16,), split="all", recipes=("inplane2",), noise=0.01, bootstrap=2, shown_slices=6
    )
    files = [data / "scans" / "sim.h5", data / "scans" / "raw.h5", data / "volumes"]
    done = compare_methods(output, methods, files, settings)
    assert [row["failure"] for row in done.rows] == [None] * 10
    return write_report(output).path


def test_every_file_method_map_and_slice_is_shown_without_an_error(driver: Any, path: Path, wait: Callable):
    driver.get(path.as_uri())
    wait(driver, slice="0")
    maps = {"error", "residual", "null_space", "spread"}
    for kind, wanted in (("simulated", maps), ("raw", maps), ("volume", {"error", "spread"})):
        click(driver, f'.tabs [data-section="{kind}"]')
        entries = driver.find_elements("css selector", "#list button, #list li")
        assert entries
        found = {option.get_attribute("value") for option in driver.find_elements("css selector", "#map-kind option")}
        assert found == wanted
        for button in driver.find_elements("css selector", "#methods button"):
            driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
            button.click()
            wait(driver, method=button.get_attribute("data-method") or "")
    sections = driver.find_elements("css selector", "section.kind")
    assert len(sections) == 3 and all(section.find_elements("css selector", ".calibration") for section in sections)
    assert driver.get_log("browser") == []


def click(driver: Any, selector: str) -> None:
    element = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()
