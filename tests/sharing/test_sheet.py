"""The data sheet of an exported bundle."""

from __future__ import annotations

import re

import pytest

from recon_monai.sharing.sheet import exported_sheet


def write(bundle, text):
    (bundle / "docs" / "README.md").write_text(f"{text}\n\n## Usage\nRun it.\n")


def test_commands_and_links_fit_the_export(bundle):
    sheet = exported_sheet(bundle, "## Installation\nLike this.\n")
    assert "bundles/weighted_dircn/" not in sheet.text and "../../.." not in sheet.text
    assert "\n## Installation\nLike this.\n\n## Usage\n" in sheet.text
    assert "--config_file configs/train.json" in sheet.text
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", sheet.text):
        assert sheet.pictures[name].is_file()
    for name in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)\)", sheet.text):
        assert "://" in name or (bundle / "docs" / name).is_file()


def test_pages_of_the_repository_are_named(bundle):
    write(
        bundle,
        "See [training.md](../../../docs/training.md), [masks](../../../docs/masks.md#kinds), [the sheet](#data), <a>",
    )
    text = exported_sheet(bundle, "").text
    assert "See `docs/training.md` of the repository of recon_monai, masks (`docs/masks.md` of the repository" in text
    assert "[the sheet](#data)" in text


def test_pictures_of_the_same_name(bundle):
    write(bundle, "![a](../../../docs/results/simulated.png) ![b](../../../docs/results_dircn/simulated.png)")
    sheet = exported_sheet(bundle, "")
    assert set(sheet.pictures) == {"results_simulated.png", "results_dircn_simulated.png"}
    assert "![a](results_simulated.png) ![b](results_dircn_simulated.png)" in sheet.text


def test_a_link_that_leads_nowhere(bundle):
    write(bundle, "# Sheet\n[gone](../../../docs/gone.md)")
    with pytest.raises(ValueError, match=r"docs/README\.md:2: the link \.\./\.\./\.\./docs/gone\.md leads nowhere"):
        exported_sheet(bundle, "")


def test_a_sheet_without_usage(bundle):
    (bundle / "docs" / "README.md").write_text("# Sheet\n")
    with pytest.raises(ValueError, match="has no section '## Usage'"):
        exported_sheet(bundle, "")
