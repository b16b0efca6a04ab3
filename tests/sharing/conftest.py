"""A bundle that is small and complete, for tests of exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A copy of a real bundle, with a few bytes in the place of weights."""
    copy = tmp_path / "bundles" / "weighted_dircn"
    ignored = shutil.ignore_patterns("eval", "*.pt")
    shutil.copytree(ROOT / "bundles" / "weighted_dircn", copy, ignore=ignored)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (copy / "models").mkdir(exist_ok=True)
    (copy / "models" / "model.pt").write_bytes(b"weights")
    return copy


@pytest.fixture
def wheel(tmp_path) -> Path:
    """Stands for the package's wheel, which takes seconds to build."""
    from recon_monai import __version__

    file = tmp_path / f"recon_monai-{__version__}-py3-none-any.whl"
    file.write_bytes(b"wheel")
    return file


@pytest.fixture
def metadata(bundle) -> dict:
    return json.loads((bundle / "configs" / "metadata.json").read_text())
