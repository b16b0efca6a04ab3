"""Files over the zoo's limit."""

from __future__ import annotations

import pytest
from monai.bundle import download_large_files

from recon_monai.sharing import FILE_LIMIT
from recon_monai.sharing.large_files import set_aside_large_files


@pytest.fixture
def heavy(bundle):
    file = bundle / "models" / "model.pt"
    file.write_bytes(b"w" * (FILE_LIMIT + 1))
    return file


def test_refused_without_an_address(bundle, heavy, tmp_path):
    with pytest.raises(
        ValueError, match=r"models/model\.pt \(25\.0 MB\): the Model Zoo takes at most 25 MB .*--large_files"
    ):
        set_aside_large_files(bundle, [heavy], tmp_path / "aside", None)
    assert heavy.is_file()


def test_monai_brings_them_back(bundle, heavy, tmp_path):
    """The list is written for MONAI, so MONAI reads it."""
    content = heavy.read_bytes()
    aside = tmp_path / "aside"
    small = bundle / "LICENSE"
    assert set_aside_large_files(bundle, [heavy, small], aside, aside.as_uri()) == [aside / "model.pt"]
    assert not heavy.exists() and small.is_file()
    download_large_files(bundle_path=str(bundle))
    assert heavy.read_bytes() == content


def test_nothing_to_do(bundle, tmp_path):
    assert set_aside_large_files(bundle, [bundle / "LICENSE"], tmp_path / "aside", "https://example.org") == []
    assert not (bundle / "large_files.yml").exists() and not (tmp_path / "aside").exists()
