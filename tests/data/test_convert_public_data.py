from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.io

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert", ROOT / "scripts" / "convert_public_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "EXPECTED", dict(module.EXPECTED))
    return module


def expect(script: ModuleType, name: str, array: np.ndarray) -> None:
    script.EXPECTED[name] = (array.shape, str(array.dtype), script.sha256(array))


def complex_array(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_the_document_and_the_script_have_the_same_checksums(script):
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for name, (shape, dtype, digest) in script.EXPECTED.items():
        line = next(line for line in text.splitlines() if digest in line)
        assert f"`{name}`" in line
        assert f"{shape} {dtype}".replace("(", "").replace(")", "") in line


@pytest.mark.skipif("RECON_MONAI_REAL_DATA" not in os.environ, reason="needs the public data sets")
def test_arrays_that_are_here_are_right(script):
    assert script.main(["check", os.environ["RECON_MONAI_REAL_DATA"]]) == 0


def test_sunnybrook_keeps_the_listed_subjects_in_the_order_of_paths(script, tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 5), dtype=np.uint8)
    paths = [
        "Train/Images/Sunnybrook_Part1/SC-HF-I-04-IM-0001-0007.dcm.png",
        "Test/Images/Sunnybrook_Part3/SC-N-10-IM-0001-0020.dcm.png",
        "Test/Images/Sunnybrook_Part3/SC-N-10-IM-0001-0001.dcm.png",
        "Test/Images/Sunnybrook_Part3/SC-HF-I-09-IM-0001-0007.dcm.png",
    ]
    for path, picture in zip(paths, pixels, strict=True):
        (tmp_path / "Data" / path).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(np.stack([picture] * 3, axis=-1)).save(tmp_path / "Data" / path)
    name = "heart_sunnybrook/sunnybrook_36_subjects.npz"
    expect(script, name, pixels[[2, 1, 0]])
    assert script.main(["sunnybrook", str(tmp_path), str(tmp_path / "out")]) == 0
    with np.load(tmp_path / "out" / name) as content:
        np.testing.assert_array_equal(content["image"], pixels[[2, 1, 0]])
        assert content["subject"].tolist() == ["SC-N-10", "SC-N-10", "SC-HF-I-04"]
        assert content["name"][0] == "SC-N-10-IM-0001-0001.dcm.png"
    assert len(script.SUBJECTS) == 36


def test_axes_are_found_by_the_checksum(script, tmp_path):
    array = complex_array((3, 4, 4))
    expect(script, "sens32_head_chiew/sens_32ch.npy", array)
    scipy.io.savemat(tmp_path / "sens.mat", {"sens": array.transpose(2, 1, 0)})
    assert script.main(["sens32", str(tmp_path), str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "sens32_head_chiew" / "sens_32ch.npy"), array)


def test_a_wrong_original_is_refused(script, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "cartesian_ksp.npy", complex_array((8, 6, 5)))
    assert script.main(["brain8", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "none of 1 possible arrays" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert script.main(["brain8"]) == 2
    assert "Usage" in capsys.readouterr().err


def test_bruker_lines_and_slices_are_sorted(script, tmp_path):
    kspace = np.round(100 * complex_array((3, 4, 5))) + 0  # no negative zeros, which integers lack
    order, steps, echoes = [0, 2, 1], [1, -1, -2, 0], 2
    words = np.zeros((2, 3, echoes, 16), "<i4")
    for shot, place, echo in np.ndindex(2, 3, echoes):
        readout = kspace[order[place], steps[shot * echoes + echo] + 2]
        words[shot, place, echo, 0:10:2], words[shot, place, echo, 1:10:2] = readout.real, readout.imag
    folder = tmp_path / "data" / "brukerfileCart"
    folder.mkdir(parents=True)
    words.tofile(folder / "fid")
    (folder / "method").write_text(
        "##$PVM_RareFactor=2\n##$PVM_EncSteps1=( 4 )\n1 -1 \n-2 0\n##$PVM_ObjOrderList=( 3 )\n0 2 1\n##$PVM_NSPacks=1\n"
    )
    expect(script, "mouse_t2rare_bruker/ksp_1ch_15slices.npy", kspace)
    assert script.main(["mouse", str(tmp_path), str(tmp_path / "out")]) == 0


def test_lines_of_raw_data_are_taken_in_the_order_acquired(script):
    class Scan:
        """A scan whose lines carry no counters: the reader puts all into one."""

        def __getitem__(self, _: str) -> np.ndarray:
            return acquired[..., :1]

        def unsorted(self) -> np.ndarray:
            return acquired

    kspace = complex_array((3, 4, 8))  # echo, line, sample
    acquired = kspace.transpose(2, 1, 0).reshape(8, 1, 12)
    expect(script, "phantoms_gre_pulseq_cc0/ksp_resolution_3echo.npy", kspace)
    name = "phantoms_gre_pulseq_cc0/ksp_resolution_3echo.npy"
    np.testing.assert_array_equal(script.first_match(name, script._twix_orders(name, Scan())), kspace)
