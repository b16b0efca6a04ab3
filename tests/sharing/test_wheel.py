"""The wheel beside an export."""

from __future__ import annotations

import zipfile

import pytest

from recon_monai.sharing import wheel as module
from recon_monai.sharing.wheel import provide_wheel


def test_one_that_was_built_before(wheel, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    assert provide_wheel(output, wheel).read_bytes() == b"wheel"
    assert provide_wheel(wheel.parent, wheel) == wheel


def test_another_package_or_none(wheel, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        provide_wheel(tmp_path, tmp_path / "none.whl")
    other = wheel.rename(tmp_path / "recon_monai-9.9.9-py3-none-any.whl")
    with pytest.raises(
        ValueError, match=r"--wheel recon_monai-9\.9\.9-py3-none-any\.whl: expected a wheel of recon_monai"
    ):
        provide_wheel(tmp_path, other)


def test_no_source_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "package_folder", lambda: tmp_path / "recon_monai")
    with pytest.raises(FileNotFoundError, match=r"has no pyproject\.toml, .*give one by --wheel FILE"):
        provide_wheel(tmp_path)


@pytest.mark.slow
def test_built_of_the_source_tree(tmp_path):
    """Equal sources make equal wheels; where the tools that build are not installed, pip needs the network."""
    if not module._can_build():
        pytest.skip("setuptools 77 is not installed")
    first, second = (provide_wheel(folder) for folder in (tmp_path / "a", tmp_path / "b") if folder.mkdir() is None)
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert "recon_monai/networks/nets/mdcsrn.py" in names and not [name for name in names if name.startswith("tests")]
