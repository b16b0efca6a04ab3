"""What stands in the HTML file of a report."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from comparison_folder import METHODS, write_comparison
from PIL import Image

from recon_monai.evaluation.report import ReportError, read_comparison, write_report
from recon_monai.evaluation.report.encoding import Encoder
from recon_monai.evaluation.report.measures import measures_of
from recon_monai.evaluation.report.overview import difference_tables
from recon_monai.evaluation.report.reading import Difference


class Page(HTMLParser):
    """Elements, the text of scripts by id, and all other text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""
        if self._inside:
            self.scripts[self._inside] = ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] += data
        else:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def json(self, name: str) -> Any:
        return json.loads(self.scripts[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison(tmp_path_factory.mktemp("comparison") / "out")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(write_report(folder).path)


def changed(folder: Path, **entries: Any) -> None:
    path = folder / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def decoded(encoded: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        return np.asarray(image.convert("L"))


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "action"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
    assert "link" not in {tag for tag, _ in page.tags}
    assert not re.search(r"fetch\(|XMLHttpRequest|@import|url\(|https?://(?!www\.w3\.org/2000/svg)", page.html)


def test_security_policy_allows_exactly_the_inline_script_and_style(page):
    [policy] = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.scripts[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_states_notice_convention_versions_and_commands(folder, page):
    for words in (
        "Research use only, not for diagnosis.",
        "SSIM: 7x7 window, data range: maximum of the volume",
        "torch 2.13.0",
        f"recon-monai report {folder} --output {folder / 'report.html'}",
        "8-bit gray levels",
        "where the measurement says nothing",
    ):
        assert words in page.words
    assert "hallucinat" not in page.html.casefold()


def test_means_are_those_of_the_rows_and_kinds_of_data_are_apart(folder, page):
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    brains = [row for row in rows if row["data"] == "simulated" and row["anatomy"] == "brain"]
    means = {
        method["name"]: np.mean([row["ssim"] for row in brains if row["method"] == method["name"]])
        for method in METHODS
    }
    sections = re.findall(r'<section class="kind" id="section-(\w+)"(.*?)</section>', page.html, re.DOTALL)
    assert [name for name, _ in sections] == ["simulated", "raw", "volume"]
    simulated = dict(sections)["simulated"]
    row = re.search(r'<th scope="row">brain</th><td>4x</td><td>AXT2</td>(.*?)</tr>', simulated, re.DOTALL)[1]
    cells = re.findall(r'<td class="number[^>]*>(.*?)</td>', row, re.DOTALL)
    assert len(cells) == 1 + len(METHODS)
    for cell, mean in zip(cells[1:], means.values(), strict=True):
        assert f"{mean:.3f}" in cell
    assert "AXT1" not in simulated and "T1w" not in simulated
    assert 'data-measure="ssim"' not in dict(sections)["raw"]  # nothing to compare with
    assert "failed" in dict(sections)["raw"]


def test_differences_are_shown_with_their_intervals(folder, page):
    entries = json.loads((folder / "comparison.json").read_text())["differences"]
    for entry in (entry for entry in entries if entry["metric"] == "psnr"):
        ends = f"{entry['low']:+.2f} to {entry['high']:+.2f}".replace("-", "\u2212")
        assert ends in page.html


@pytest.mark.parametrize(("subjects", "verdict"), [(5, "unclear"), (6, "better")])
def test_differences_are_shown_both_ways_and_few_subjects_decide_nothing(folder, subjects, verdict):
    comparison = read_comparison(folder)
    entry = Difference("simulated", "brain", "ssim", "varnet", "cg_sense", 0.2, 0.1, 0.4, subjects, subjects)
    tables = difference_tables([entry], comparison.methods, measures_of(comparison.rows)[0])
    assert [(table.base, table.methods) for table in tables] == [("cg_sense", ["varnet"]), ("varnet", ["cg_sense"])]
    [cell], [mirrored] = (table.rows[0][1] for table in tables)
    assert (cell.mean, cell.interval, cell.verdict) == ("+0.200", "+0.100 to +0.400", verdict)
    assert (mirrored.mean, mirrored.interval) == ("\u22120.200", "\u22120.400 to \u22120.100")
    assert mirrored.verdict == ("worse" if verdict == "better" else verdict)


def test_network_behind_a_classical_method_is_said(page):
    assert "A network does worse than a classical method: small in" in page.words
    assert "l1_wavelet (classical, tuned on 6 validation files) has" in page.words
    assert "varnet in" not in page.words


def test_failed_rows_have_their_reason_and_cannot_end_a_script(page):
    assert "out of memory on 2 GB </script><b>" in page.words
    assert "b" not in {tag for tag, attributes in page.tags if attributes.get("class") == "reason"}
    [failed] = [case for case in page.json("report-data")["cases"] if case["failures"]]
    assert failed["failures"] == {"small": "out of memory on 2 GB </script><b>"}
    assert "small" not in page.json("case-4")["methods"]


def test_images_and_errors_are_those_of_the_file_on_common_scales(folder, tmp_path):
    page = Page(write_report(folder, tmp_path / "exact.html", lossless=True).path)
    case = page.json("case-0")
    with h5py.File(folder / "images" / "case_00.h5") as file:
        target = file["target"][:]
        images = {name: file["methods"][name][:] for name in case["methods"]}
    assert case["slices"] == [4, 5, 6] and (case["height"], case["width"]) == (24, 20)
    window = case["window"][1]
    np.testing.assert_allclose(decoded(case["target"][1]) / 255 * window, target[1].clip(0, window), atol=window / 500)
    full = case["maps"]["error"]["full"]
    for name, image in images.items():
        error = np.abs(image[2] - target[2])
        shown = decoded(case["maps"]["error"]["images"][name][2]) / 255 * full
        np.testing.assert_allclose(shown, error.clip(0, full), atol=full / 500)
    assert case["maps"]["null_space"]["full"] == full
    assert set(case["maps"]["spread"]["images"]) == {"varnet", "dircn"}


def test_stated_loss_of_compression_is_true(folder, page, tmp_path):
    exact = Page(write_report(folder, tmp_path / "exact.html", lossless=True).path)
    pairs = [
        (page.json(name)["methods"][method][index], exact.json(name)["methods"][method][index])
        for name in page.scripts
        if name.startswith("case-")
        for method in page.json(name)["methods"]
        for index in range(3)
    ]
    pairs += [
        (lossy, kept)
        for name in page.scripts
        if name.startswith("case-") and page.json(name)["target"]
        for lossy, kept in zip(page.json(name)["target"], exact.json(name)["target"], strict=True)
    ]
    worst = max(int(np.abs(decoded(lossy).astype(int) - decoded(kept)).max()) for lossy, kept in pairs)
    assert f"at most {worst} of 255 levels in images" in page.words
    assert "Compressed without loss" in exact.words


def test_file_without_reference_has_no_error_map(page):
    raw = page.json("case-4")
    assert raw["target"] is None and "error" not in raw["maps"]


@pytest.mark.parametrize(("wanted", "expected"), [(1, [5]), (2, [4, 6]), (3, [4, 5, 6]), (9, [4, 5, 6])])
def test_slices_are_thinned_evenly(folder, tmp_path, wanted, expected):
    page = Page(write_report(folder, tmp_path / "thin.html", max_slices=wanted).path)
    assert page.json("case-0")["slices"] == expected and page.json("case-0")["of"] == 3


def test_budget_thins_but_keeps_one_slice(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("recon_monai.evaluation.report.budget.SIZE_BUDGET", 1000)
    written = write_report(folder, tmp_path / "small.html")
    assert written.max_slices == 1


def test_many_files_are_compressed_more_until_they_fit(folder, tmp_path, monkeypatch, caplog):
    plain = write_report(folder, tmp_path / "plain.html", max_slices=1)
    budget = int(0.8 * sum(len(block) for name, block in Page(plain.path).scripts.items() if name.startswith("case-")))
    monkeypatch.setattr("recon_monai.evaluation.report.budget.SIZE_BUDGET", budget)
    written = write_report(folder, tmp_path / "fits.html")
    page = Page(written.path)
    size = sum(len(block) for name, block in page.scripts.items() if name.startswith("case-"))
    assert size <= budget and "images are compressed more than usual" in page.words
    monkeypatch.setattr("recon_monai.evaluation.report.budget.SIZE_BUDGET", 1000)
    monkeypatch.setattr("recon_monai.evaluation.report.writing.SIZE_BUDGET", 1000)
    page = Page(write_report(folder, tmp_path / "small.html").path)
    assert page.json("case-0")["height"] == 8 and "blocks of 3 \u00d7 3 pixels are averaged" in page.words
    assert "even with one small slice of each file" in caplog.text


def test_blocks_are_means_also_at_a_remainder():
    stack = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)
    found = Encoder(compression=2).shrunk(stack)
    assert found.shape == (2, 3, 2)
    assert found[1, 0, 0] == stack[1, :2, :2].mean() and found[0, 2, 1] == stack[0, 4:, 2:].mean()


def test_calibration_is_shown_where_there_is_a_spread(folder, tmp_path):
    page = Page(write_report(folder, tmp_path / "calibrated.html").path)
    assert page.words.count("Does the spread predict the error?") == 1
    assert re.search(r"varnet ?2\.00 ?0\.40 ?\u2013 ?\u2013 ?4", page.words)


def test_missing_image_file_does_not_lose_the_rest(tmp_path):
    folder = write_comparison(tmp_path / "out")
    (folder / "images" / "case_01.h5").unlink()
    (folder / "images" / "case_02.h5").write_bytes(b"no HDF5")
    written = write_report(folder)
    page = Page(written.path)
    assert "knee_01.h5: case_01.h5: the image file is missing" in page.words
    assert "brain_02.h5: case_02.h5: the image file cannot be read as HDF5" in page.words
    assert "case-0" in page.scripts and "case-1" not in page.scripts and "case-3" in page.scripts
    assert len(written.problems) == 2 and written.cases == 6


def test_image_of_another_shape_is_named(tmp_path):
    folder = write_comparison(tmp_path / "out")
    with h5py.File(folder / "images" / "case_00.h5", "a") as file:
        del file["methods/varnet"]
        file["methods/varnet"] = np.zeros((3, 24, 21), np.float32)
    [problem] = write_report(folder).problems
    assert "/methods/varnet is float32 (3, 24, 21), expected real numbers of the common shape (3, 24, 20)" in problem


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"rows": []}, "rows is empty, expected one row per file and method"),
        ({"methods": None}, "methods is missing, expected a list of objects"),
        ({"methods": METHODS[:1] * 2}, r"\['zero_filled', 'zero_filled'\], expected at least one and each once"),
        ({"methods": METHODS[:5]}, "method of rows\\[5\\] is 'small', expected one of zero_filled"),
        ({"methods": [METHODS[0] | {"kind": "magic"}]}, "kind of methods\\[0\\] is 'magic', expected one of bundle"),
        ({"rows": [{"file": "a", "data": "both"}]}, "data of rows\\[0\\] is 'both', expected one of simulated"),
        ({"notice": ""}, "notice of the file is '', expected text"),
    ],
)
def test_wrong_format_is_named(tmp_path, entries, message):
    folder = write_comparison(tmp_path / "out", files=1)
    changed(folder, **entries)
    with pytest.raises(ReportError, match=message):
        write_report(folder)


def test_files_that_cannot_be_opened_are_apart_and_alone_make_no_report(tmp_path):
    folder = write_comparison(tmp_path / "out", files=1)
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    broken = {"file": "broken.h5", "data": "unreadable", "failure": "broken.h5: is no HDF5 file"}
    bad = [broken | {"method": method["name"]} for method in METHODS]
    changed(folder, rows=bad + rows)
    page = Page(write_report(folder).path)
    assert page.words.count("broken.h5: is no HDF5 file") == 1
    data = page.json("report-data")
    assert "unreadable" not in data["sections"] and "broken.h5" not in {case["file"] for case in data["cases"]}
    changed(folder, rows=bad)
    with pytest.raises(ReportError, match=r"none of the files could be opened; broken\.h5: is no HDF5 file"):
        write_report(folder)


def test_number_that_is_no_json_is_named(tmp_path):
    folder = write_comparison(tmp_path / "out", files=1)
    changed(folder, extra=float("nan"))
    with pytest.raises(ReportError, match=r"comparison\.json: cannot be read as JSON \(NaN is no JSON"):
        write_report(folder)


def test_same_row_twice_is_named(tmp_path):
    folder = write_comparison(tmp_path / "out", files=1)
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    changed(folder, rows=rows + rows[:1])
    with pytest.raises(ReportError, match=r"two rows of brain_00\.h5 \(simulated, 4x\) by zero_filled"):
        write_report(folder)
