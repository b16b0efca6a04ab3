"""`recon-monai check`: the table, the problems, the exit status."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon_monai.cli import main


def make(path: Path, shape: tuple[int, ...], *, target: bool = True, **attributes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones(shape, np.complex64)
        if target:
            file["reconstruction_rss"] = np.ones((shape[0], 4, 4), np.float32)
        file.attrs.update(attributes)
    return path


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    make(tmp_path / "brain" / "multicoil_train" / "b1.h5", (3, 4, 8, 6), acquisition="AXT2")
    make(tmp_path / "brain" / "multicoil_val" / "b2.h5", (5, 16, 10, 6), acquisition="AXT2")
    make(tmp_path / "knee" / "multicoil_train" / "k1.h5", (2, 15, 8, 8), acquisition="CORPD_FBK", target=False)
    return tmp_path / "brain", tmp_path / "knee"


def test_table_of_what_is_there(roots: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        main(["check", *map(str, roots)])
    lines = [line.split("  ") for record in caplog.records for line in record.getMessage().split("\n")]
    rows = [[cell.strip() for cell in line if cell] for line in lines]
    assert [
        "anatomy",
        "acquisition",
        "source",
        "files",
        "slices",
        "coils",
        "k-space",
        "image",
        "targets",
        "masks",
    ] in rows
    assert ["brain", "AXT2", "measured", "2", "8", "4-16", "8x6, 10x6", "4x4", "2", "0"] in rows
    assert ["knee", "CORPD_FBK", "measured", "1", "2", "15", "8x8", "8x8", "0", "0"] in rows
    assert caplog.records[-1].getMessage() == "all values of all 3 files are right"


def test_every_problem_and_exit_status_1(roots: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    (roots[0] / "multicoil_train" / "t.h5").write_text("no HDF5")
    with h5py.File(roots[0] / "multicoil_val" / "b2.h5", "a") as file:
        file["kspace"][4, 0, 0, 0] = np.nan
    with caplog.at_level(logging.INFO), pytest.raises(SystemExit) as caught:
        main(["check", str(roots[0]), "--split", "all"])
    assert caught.value.code == 1
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert "t.h5: cannot be opened as HDF5" in errors[0]
    assert "b2.h5: slice 4: kspace holds 1 values that are NaN or infinite" in errors[1]
    assert errors[2].startswith("error: 2 of 3 files cannot be used, see above")
    assert "brain" in caplog.text, "the good file is in the table"
    caplog.clear()
    with caplog.at_level(logging.INFO):
        main(["check", str(roots[1]), "--headers_only"])
    assert caplog.records[-1].getMessage() == "headers of all 1 files are right"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no data given"),
        (["nowhere"], "nowhere does not exist"),
        (["{root}", "--headers_only", "3"], "headers_only is 3"),
        (["{root}", "--split", "dev"], "split is 'dev'"),
        (["{root}", "{root}"], "several files of the split 'all' are called b1.h5"),
    ],
)
def test_what_it_cannot_do(
    roots: tuple[Path, Path], caplog: pytest.LogCaptureFixture, words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", *(word.format(root=roots[0]) for word in words)])
    assert caught.value.code == 1
    assert message in caplog.text
