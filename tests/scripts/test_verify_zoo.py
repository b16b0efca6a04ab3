"""The zoo's checks, repeated offline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recon_monai.sharing import export_bundle

ROOT = Path(__file__).parents[2]
CHECKS = ("structure", "metadata", "properties", "network", "torchscript", "style")


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import verify_zoo

    return verify_zoo


@pytest.fixture
def bundle(tmp_path):
    copy = tmp_path / "weighted_dircn"
    shutil.copytree(ROOT / "bundles" / "weighted_dircn", copy, ignore=shutil.ignore_patterns("eval"))
    return copy


def test_structure(checks, bundle):
    assert checks.structure(bundle).passed
    (bundle / "docs" / "data_license.txt").unlink()
    (bundle / "configs" / "focal.json").write_text("\n/home/ann/x")
    (bundle / "models" / "model.pt").rename(bundle / "models" / "other.pt")
    found = checks.structure(bundle)
    assert not found.passed
    expected = ("docs/data_license.txt is missing", "models/model.pt is missing", "configs/focal.json:2: /home/ann/x")
    assert all(part in found.text for part in expected)
    (bundle / "large_files.yml").write_text('large_files:\n- path: "models/model.pt"\n  url: "https://example.org"\n')
    assert "models/model.pt" not in checks.structure(bundle).text


def test_metadata_with_and_without_the_schema(checks, bundle, tmp_path):
    """A schema of a few lines stands for the real one, which the network alone has."""
    assert checks.metadata(bundle, None).passed
    pytest.importorskip("jsonschema")
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "required": ["task", "nothing_like_it"]}))
    found = checks.metadata(bundle, schema)
    assert not found.passed and "nothing_like_it" in found.text
    schema.write_text(json.dumps({"type": "object", "required": ["task"]}))
    assert checks.metadata(bundle, schema).passed


def test_properties(checks, bundle):
    assert checks.properties(bundle).passed
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    del content["inferer"]
    file.write_text(json.dumps(content))
    assert checks.properties(bundle).text == "inference.json has no inferer"


def test_style_of_a_bundle_with_python(checks, bundle):
    assert checks.style(bundle).text == "no Python in the bundle"
    (bundle / "code.py").write_text('"""Fine."""\n\nVALUE = 1\n')
    assert checks.style(bundle).passed
    (bundle / "code.py").write_text("import sys\nimport os\nx = [1,2]\n")
    found = checks.style(bundle)
    assert not found.passed and "code.py" in found.text


@pytest.mark.parametrize(("traced", "text"), [(None, "by trace alone"), ("no", "cannot be made")])
def test_what_cannot_be_scripted_fails(checks, bundle, monkeypatch, traced, text):
    """As in the zoo, unless it has an exemption."""
    monkeypatch.setattr(checks, "_monai", lambda folder, command, *options: traced if "True" in options else "no")
    found = checks.torchscript(bundle)
    assert not found.passed and text in found.text
    monkeypatch.setattr(checks, "_monai", lambda folder, command, *options: None)
    assert checks.torchscript(bundle).passed


def test_the_reason_of_a_failure(checks):
    said = "Traceback\n  File x\nRuntimeError: inner\n\nThe above\nValueError: outer\n more of it\n"
    assert checks._reason(said) == "ValueError: outer more of it"
    assert checks._reason("") == "it said nothing"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pinned", "vendored"])
def test_an_export_passes(form, tmp_path):
    """As it is called, with MONAI's own commands."""
    made = export_bundle(ROOT / "bundles" / "weighted_dircn", tmp_path, form)
    command = [sys.executable, "scripts/verify_zoo.py", str(made.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [line.split()[1:3] for line in lines] == [[name, "passed"] for name in CHECKS]
    assert "by script" in done.stdout
