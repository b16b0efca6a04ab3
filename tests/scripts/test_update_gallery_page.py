"""The script that brings the page to a new gallery: numbers by the words around them, figures and table."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS.parent / "scripts"))
    import update_gallery_page

    return update_gallery_page


def test_numbers_of_the_page_are_those_of_its_table(script: ModuleType) -> None:
    page = (DOCS / script.PAGE).read_text(encoding="utf-8")
    rows = script.read_rows(DOCS / script.FOLDER / "gallery.csv")
    assert script.with_numbers(page, rows) == page
    with pytest.raises(ValueError, match="zero_filled on built_in_slice is missing"):
        script.with_numbers(page, {})
    with pytest.raises(ValueError, match="stands 0 times on the page"):
        script.with_numbers(page.replace("samples alone say", "samples say"), rows)


def test_a_new_gallery_replaces_figures_table_and_numbers(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, gallery = tmp_path / "docs", tmp_path / "gallery"
    shutil.copytree(DOCS / script.FOLDER, docs / script.FOLDER)
    shutil.copy(DOCS / script.PAGE, docs)
    page = (docs / script.PAGE).read_text(encoding="utf-8")
    rows = script.read_rows(docs / script.FOLDER / "gallery.csv")
    changed = {key: {**row, "psnr": "99.94", "ssim": "0.4321"} for key, row in rows.items()}
    pictures = [*script.FIGURES.values(), "panels/built_in_slice/zero_filled.png"]
    for picture in pictures:
        (gallery / picture).parent.mkdir(parents=True, exist_ok=True)
        (gallery / picture).write_bytes(picture.encode())
    with (gallery / "gallery.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(next(iter(rows.values()))))
        writer.writeheader()
        writer.writerows(changed.values())
    (gallery / "gallery.md").write_text("# Gallery\n\n| a |\n\n![x](x.png)\n\n\nEnd\n", encoding="utf-8")
    script.update(gallery, docs)
    after = (docs / script.PAGE).read_text(encoding="utf-8")
    numbers = sum(len(sources) for _, sources in script.NUMBERS)
    assert after.count("99.9") + after.count("0.432") == numbers
    assert len(after.splitlines()) == len(page.splitlines())
    assert (docs / script.FOLDER / "gallery.md").read_text(encoding="utf-8") == "# Gallery\n\n| a |\n\nEnd\n"
    assert (docs / script.FOLDER / "zero_filled.png").read_bytes() == b"panels/built_in_slice/zero_filled.png"
    assert (docs / script.FOLDER / "losses.png").read_bytes() == b"losses.png"
    assert "samples alone say: 99.9 dB" in " ".join(capsys.readouterr().out.split())


def test_what_failed_is_named(script: ModuleType) -> None:
    page = (DOCS / script.PAGE).read_text(encoding="utf-8")
    rows = dict(script.read_rows(DOCS / script.FOLDER / "gallery.csv"))
    rows["built_in_slice", "zero_filled"] = {**rows["built_in_slice", "zero_filled"], "reason": "no memory"}
    with pytest.raises(ValueError, match="zero_filled on built_in_slice failed: no memory"):
        script.with_numbers(page, rows)
