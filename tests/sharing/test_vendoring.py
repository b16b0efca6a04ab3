"""Copies of modules that lie beside configurations."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from recon_monai.sharing import code_digest
from recon_monai.sharing.import_graph import package_folder, reached
from recon_monai.sharing.vendoring import vendor


@pytest.fixture
def copy(bundle):
    identity = vendor(reached(["recon_monai.losses.ReconstructionLoss", "recon_monai.data.built_in_dataset"]), bundle)
    return bundle / "recon_monai", identity


def test_what_is_copied(copy, bundle):
    folder, identity = copy
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*.py")}
    assert {"__init__.py", "losses/__init__.py", "losses/reconstruction.py"} <= names
    assert "losses/focal.py" not in names and not [name for name in names if name.startswith("engines")]
    assert (folder / "LICENSE").read_bytes() == (bundle / "LICENSE").read_bytes()
    assert identity["content"] == code_digest(folder) and identity["source"] == code_digest(package_folder())
    assert json.loads((folder / "vendored.json").read_text()) == identity


def test_each_file_has_a_license_and_says_the_same(copy):
    """Format and order of imports may change; of modules nothing else does."""
    folder, _ = copy
    for file in folder.rglob("*.py"):
        text = file.read_text()
        assert text.startswith("# Copyright (c) the recon_monai authors\n# Licensed under the Apache License")
        if file.name != "__init__.py":
            original = (package_folder() / file.relative_to(folder)).read_text()
            assert statements(text) == statements(original), file


def statements(text):
    """Of a module, imports as a set, since they are sorted anew."""
    body = ast.parse(text).body
    imports = [one for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
    rest = [ast.dump(one) for one in body if one not in imports]
    return {(getattr(one, "module", None), name.name) for one in imports for name in one.names}, rest


def test_a_package_passes_on_only_what_is_there(copy):
    folder, _ = copy
    losses = ast.parse((folder / "losses" / "__init__.py").read_text())
    names = next(ast.literal_eval(one.value) for one in losses.body if isinstance(one, ast.Assign))
    assert "ReconstructionLoss" in names and "FocalSSIMLoss" not in names
    data = (folder / "data" / "__init__.py").read_text()
    assert "if TYPE_CHECKING:\n    from recon_monai.data.demo import built_in_dataset\n" in data
    assert "DemoRecipe," not in data and "def __getattr__" in data


def test_it_runs_by_itself(copy, bundle):
    code = (
        "import recon_monai, torch\nfrom recon_monai.losses import ReconstructionLoss\n"
        "print(recon_monai.__file__)\n"
        "try:\n    from recon_monai.losses import FocalSSIMLoss\nexcept ImportError:\n    print('not here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True, check=True)
    where, absent = done.stdout.splitlines()
    assert where == str(bundle / "recon_monai" / "__init__.py") and absent == "not here"
