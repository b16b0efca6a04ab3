"""`recon-monai export`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recon_monai import __version__
from recon_monai.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path) -> Path:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    copy = tmp_path / "bundles" / "mdcsrn_wgan_gp"
    shutil.copytree(ROOT / "bundles" / "mdcsrn_wgan_gp", copy, ignore=shutil.ignore_patterns("eval", "models"))
    return copy


def export(bundle, *options):
    wheel = bundle.parent / f"recon_monai-{__version__}-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    main(["export", str(bundle), "--output", str(bundle.parent / "out"), "--wheel", str(wheel), *options])


def test_a_bundle_without_weights_ends_with_one_sentence(bundle, caplog):
    with pytest.raises(SystemExit) as ended:
        export(bundle)
    assert ended.value.code == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "has no models/model.pt, and the Model Zoo takes no bundle without weights" in line and "\n" not in line


def test_options_reach_the_export(bundle, caplog):
    caplog.set_level("INFO")
    export(bundle, "--without_weights", "True", "--version", "9.0.0", "--changes", "The last one")
    assert (bundle.parent / "out" / "mdcsrn_wgan_gp_v9.0.0.zip").is_file()
    assert "The last one" in (bundle / "configs" / "metadata.json").read_text()
    assert "mdcsrn_wgan_gp_v9.0.0.zip" in caplog.text and "publish it beside the bundle" in caplog.text


def test_an_unknown_form(bundle, caplog):
    with pytest.raises(SystemExit):
        export(bundle, "--form", "zip")
    assert "--form zip: expected pinned or vendored" in caplog.text
