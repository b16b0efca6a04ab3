"""The command that writes the report."""

from __future__ import annotations

import logging
import sys

import pytest
from comparison_folder import write_comparison

from recon_monai.cli import main


def test_report_says_what_it_wrote(tmp_path, caplog):
    folder = write_comparison(tmp_path / "out", files=1)
    with caplog.at_level(logging.INFO):
        main(["report", str(folder), "--output", str(tmp_path / "mail" / "page.html"), "--max_slices", "2"])
    page = (tmp_path / "mail" / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "--max_slices 2" in page
    assert "page.html" in caplog.text and "3 files, at most 2 slices of each" in caplog.text
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "none: no such folder, expected the folder that recon-monai compare wrote"),
        (["."], ".: no comparison.json in it, expected the folder that recon-monai compare wrote"),
        ([".", "--max_slices", "0"], "max_slices is 0, expected a whole number of at least 1"),
        ([".", "--output"], "no output was given, expected --output FILE"),
        ([".", "--lossless", "very"], "lossless is 'very', expected --lossless without a value"),
    ],
)
def test_bad_input_ends_with_one_sentence(tmp_path, monkeypatch, caplog, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["report", *words])
    assert stopped.value.code == 1
    assert message in caplog.text


def test_missing_jinja_names_the_extra(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SystemExit):
        main(["report", str(write_comparison(tmp_path / "out", files=1))])
    assert "pip install 'recon-monai[report]'" in caplog.text
