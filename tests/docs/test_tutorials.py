"""Tutorials run as they stand in a fresh folder, and notebooks are what their scripts make."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tutorials"
SCRIPTS = sorted(FOLDER.glob("*.py"))
TOPICS = {"add_anatomy", "aspin_in_unet", "super_resolve_nifti", "swap_refinement", "train_on_fastmri"}


def _converter():
    specification = importlib.util.spec_from_file_location("make_notebooks", ROOT / "scripts" / "make_notebooks.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


converter = _converter()


def test_the_topics_are_there():
    assert {script.stem for script in SCRIPTS} == TOPICS
    assert {notebook.stem for notebook in FOLDER.glob("*.ipynb")} == TOPICS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebooks_are_what_the_scripts_make(script):
    written = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert written == converter.notebook_of(script), "run python scripts/make_notebooks.py"
    notebook = nbformat.reads(written, as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    # every line of code of the script, in order, and nothing else
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in "\n".join(code).splitlines() if line and not line.startswith("#")] == lines
    assert "Research use only" in notebook.cells[0].source


def test_cells_of_both_kinds(tmp_path):
    script = tmp_path / "one.py"
    script.write_text("# a license\n# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\na = 1  # code\n\n# %%\n\n")
    assert converter.read_cells(script) == [("markdown", "# Title\n\nText."), ("code", "a = 1  # code")]
    assert converter.to_markdown(converter.read_cells(script)) == "# Title\n\nText.\n\n```python\na = 1  # code\n```\n"


@pytest.mark.parametrize(
    ("text", "message"), [("a = 1\n", "has no cells"), ("# %% [markdown]\na = 1\n", "line 2: text must be comments")]
)
def test_what_is_no_tutorial_is_refused(tmp_path, text, message):
    script = tmp_path / "wrong.py"
    script.write_text(text)
    with pytest.raises(ValueError, match=message):
        converter.read_cells(script)


@pytest.mark.slow
def test_stale_notebooks_are_named(tmp_path):
    (tmp_path / "one.py").write_text("# %%\na = 1\n")
    command = [sys.executable, str(ROOT / "scripts" / "make_notebooks.py"), "--folder", str(tmp_path)]
    assert "one.ipynb" in subprocess.run([*command, "--check"], capture_output=True, text=True, check=False).stderr
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([*command, "--check"], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_tutorials_run(script, tmp_path):
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-4000:]
