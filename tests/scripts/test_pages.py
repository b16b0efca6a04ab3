"""The scripts that open pages: pictures of the docs, and how long a report takes to open."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison_folder import write_comparison
from headless import INSTALL, find_browser
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def browser() -> None:
    pytest.importorskip("selenium.webdriver", reason="selenium is missing; pip install -e '.[dev]'")
    if find_browser() is None:
        pytest.skip(INSTALL)


def test_pictures_of_a_report_show_what_the_comparison_has(tmp_path: Path) -> None:
    import draw_pages

    folder = write_comparison(tmp_path / "comparison")
    written = draw_pages.draw_report(folder, tmp_path / "docs", None)
    assert [path.name for path in written] == ["overview.png", "viewer.png", "volumes.png"]
    pictures = [Image.open(path).convert("L") for path in written]
    assert {picture.size for picture in pictures} == {(1400, 900)}
    assert len({picture.tobytes() for picture in pictures}) == 3
    with pytest.raises(ValueError, match=r"no file of the list of raw data is called nobody\.h5"):
        draw_pages.draw_report(folder, tmp_path / "docs", "nobody.h5")


def test_opening_is_timed(tmp_path: Path) -> None:
    import benchmark_report

    from recon_monai.evaluation.report import write_report

    (tmp_path / "made").mkdir()
    benchmark_report.write_folder(tmp_path / "made", 2)
    page = write_report(tmp_path / "made").path
    seconds = benchmark_report.opening_seconds(page, tmp_path / "profile", 1)
    assert len(seconds) == 1 and 0 < seconds[0] < 60
    bad = tmp_path / "bad.html"
    bad.write_text('<div id="viewer" data-case="0"></div><script>console.error("no")</script>')
    with pytest.raises(RuntimeError, match="wrote to the console"):
        benchmark_report.opening_seconds(bad, tmp_path / "other", 1)
