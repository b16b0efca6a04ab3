from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from recon_monai import RESEARCH_NOTICE
from recon_monai.handlers import ReconstructionSaver


def test_files_hold_the_volumes(evaluate, make_volume, stack, tmp_path: Path) -> None:
    a, b = make_volume("a.h5", slices=4), make_volume("b.h5", acceleration=None, target=False)
    saver = ReconstructionSaver(output_dir=tmp_path / "out")
    evaluate(a + b, [saver])
    assert [path.name for path in saver.written] == ["a.h5", "a.nii.gz", "b.h5", "b.nii.gz"]
    for name, items in (("a", a), ("b", b)):
        with h5py.File(tmp_path / "out" / f"{name}.h5") as file:
            np.testing.assert_array_equal(file["reconstruction"][()], stack(items, "image"))
            assert file.attrs["notice"] == RESEARCH_NOTICE
            assert file.attrs["file"] == f"{name}.h5"
            assert file.attrs.get("acceleration") == items[0].get("acceleration")
        nifti = nibabel.load(tmp_path / "out" / f"{name}.nii.gz")
        np.testing.assert_array_equal(nifti.get_fdata(dtype=np.float32), stack(items, "image").transpose(2, 1, 0))
        np.testing.assert_allclose(nifti.header.get_zooms(), (0.8, 0.5, 4.0), rtol=1e-6)


def test_a_volume_is_written_before_the_next_begins(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5") + make_volume("b.h5")[:2]
    saver = ReconstructionSaver(output_dir=tmp_path, formats=["h5"])
    with pytest.raises(RuntimeError, match="incomplete"):
        evaluate(items, [saver])
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_accelerations_of_one_file(evaluate, make_volume, stack, tmp_path: Path) -> None:
    volumes = [make_volume("a.h5"), make_volume("a.h5", acceleration=8)]
    items = volumes[0] + volumes[1]
    evaluate(items, [ReconstructionSaver(output_dir=tmp_path, formats=["h5"], acceleration_suffix=True)])
    for name, volume in zip(("a_4x.h5", "a_8x.h5"), volumes, strict=True):
        with h5py.File(tmp_path / name) as file:
            np.testing.assert_array_equal(file["reconstruction"][()], stack(volume, "image"))
    again = tmp_path / "unasked"
    evaluate(items, [ReconstructionSaver(output_dir=again, formats=["h5"])])
    assert sorted(path.name for path in again.iterdir()) == ["a.h5", "a_8x.h5"], "the second one is told apart"


def test_what_is_there_is_kept_unless_asked_and_the_input_always(evaluate, make_volume, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("old")
    with pytest.raises(FileExistsError, match="exists already; choose another --output_dir, or give --overwrite True"):
        evaluate(make_volume("a.h5"), [ReconstructionSaver(output_dir=tmp_path)])
    source = make_volume("a.h5", path=str(tmp_path / "a.h5"))
    with pytest.raises(FileExistsError, match="is the file that k-space was read from"):
        evaluate(source, [ReconstructionSaver(output_dir=tmp_path, overwrite=True)])
    assert (tmp_path / "a.h5").read_text() == "old"
    evaluate(make_volume("a.h5"), [ReconstructionSaver(output_dir=tmp_path, overwrite=True)])
    assert (tmp_path / "a.h5").read_bytes()[:4] == b"\x89HDF"


@pytest.mark.parametrize("formats", [[], ["dicom"], "h5"])
def test_unknown_formats_are_refused(tmp_path: Path, formats) -> None:
    with pytest.raises(ValueError, match="formats must be a list"):
        ReconstructionSaver(output_dir=tmp_path, formats=formats)
