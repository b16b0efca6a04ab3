"""Whose code a process uses."""

from __future__ import annotations

import importlib
import json
import shutil

import pytest

import recon_monai
from recon_monai.sharing import check_code, code_digest
from recon_monai.sharing.code_identity import MANIFEST
from recon_monai.sharing.import_graph import package_folder


def test_the_digest_is_of_names_and_contents(tmp_path):
    for name, text in (("a.py", "1"), ("b/c.py", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    first = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("does not count")
    assert code_digest(tmp_path) == first
    (tmp_path / "b" / "c.py").rename(tmp_path / "b" / "d.py")
    moved = code_digest(tmp_path)
    (tmp_path / "b" / "d.py").write_text("3")
    assert len({first, moved, code_digest(tmp_path)}) == 3


def test_the_package_that_a_copy_was_made_of_is_as_good():
    source = code_digest(package_folder())
    assert check_code("a_bundle", recon_monai.__version__, "copy", source) == recon_monai.__version__


def test_another_package_is_refused_in_one_sentence():
    with pytest.raises(
        RuntimeError, match=r"^a_bundle brings its own recon_monai 9\.9\.9, but .*run each vendored"
    ) as no:
        check_code("a_bundle", "9.9.9", "copy", "another")
    assert "\n" not in str(no.value)


def test_a_copy_knows_itself_and_refuses_others(tmp_path, monkeypatch):
    """The check as it runs in a copy: by what is written there, not by what the copy was made of."""
    folder = tmp_path / "first_bundle" / "recon_monai" / "sharing"
    folder.mkdir(parents=True)
    shutil.copy(package_folder() / "sharing" / "code_identity.py", folder / "code_identity.py")
    manifest = {"version": "0.1.0", "content": "first", "source": "same"}
    (folder.parent / MANIFEST).write_text(json.dumps(manifest))
    monkeypatch.syspath_prepend(folder)
    copy = importlib.import_module("code_identity")
    assert copy.check_code("first_bundle", **manifest) == "0.1.0"
    with pytest.raises(RuntimeError, match=r"second_bundle brings its own .*\(the copy that first_bundle brings"):
        copy.check_code("second_bundle", **{**manifest, "content": "second"})
