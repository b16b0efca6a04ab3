"""Tests of data keep their index of files to themselves."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own for every test, outside of ``tmp_path``."""
    monkeypatch.setenv("RECON_MONAI_CACHE", str(tmp_path_factory.mktemp("cache")))
