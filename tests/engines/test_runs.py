"""Which weights an evaluation takes."""

from __future__ import annotations

import json
import os

import pytest
import torch

from recon_monai.engines import find_weights


def small(width: int = 3) -> torch.nn.Module:
    return torch.nn.Linear(2, width)


def run(root, name: str, network, *, finished: bool = True, age: int = 0):
    folder = root / "eval" / name
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "model.pt")
    if finished:
        marker = folder / "finished.json"
        marker.write_text(json.dumps({"epochs": 2}))
        os.utime(marker, (1e9 - age, 1e9 - age))
    return str(folder / "model.pt")


def test_order_of_choice(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "models").mkdir()
    torch.save(small().state_dict(), tmp_path / "models" / "model.pt")
    assert find_weights(str(tmp_path), small()) == str(tmp_path / "models" / "model.pt")
    assert "as shipped" in caplog.text

    run(tmp_path, "older", small(), age=100)
    newer = run(tmp_path, "newer", small(), age=50)
    run(tmp_path, "other size", small(4), age=10)
    run(tmp_path, "unfinished", small(), finished=False)
    assert find_weights(str(tmp_path), small()) == newer
    assert "newest finished run" in caplog.text

    named = run(tmp_path, "named", small(4), age=500)
    assert find_weights(str(tmp_path), small(), ckpt=named) == named
    assert "--ckpt" in caplog.text


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        find_weights(str(tmp_path), small(), ckpt="nowhere.pt")
    run(tmp_path, "other size", small(4))
    with pytest.raises(FileNotFoundError, match=r"1 of another.*run the training first"):
        find_weights(str(tmp_path), small())
