"""`recon-monai export-model`: files of other formats from a bundle."""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path

import pytest
import torch
from command_tools import failure_of

from recon_monai.cli import main
from recon_monai.networks import MDCSRN, model_files

failure = functools.partial(failure_of, "export-model")

SIZES = {"blocks": 1, "units": 1, "growth": 2, "first_channels": 2, "residual": False}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    definition = {"_target_": "recon_monai.networks.MDCSRN", **SIZES}
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": definition}))
    torch.manual_seed(0)
    torch.save(MDCSRN(**SIZES).state_dict(), tmp_path / "weights.pt")
    return folder


def test_a_file_and_its_check(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = tmp_path / "out" / "model.onnx"
    words = ["export-model", str(bundle), "--format", "onnx", "--output", str(output)]
    with caplog.at_level(logging.INFO):
        main([*words, "--ckpt", str(tmp_path / "weights.pt")])
    assert [path.name for path in output.parent.iterdir()] == ["model.onnx"]
    assert caplog.text.count("relative difference") == 5
    assert "1 x 1 x 9 x 11 x 13" in caplog.text
    assert "exists already; give --overwrite" in failure(caplog, *words[1:], "--ckpt", tmp_path / "weights.pt")


@pytest.mark.slow
def test_one_size_of_torch_export(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = [bundle, "--format", "torch_export", "--output", tmp_path / "m.pt2", "--ckpt", tmp_path / "weights.pt"]
    assert "torch_export needs a shape" in failure(caplog, *words)
    assert "--shape is 64, expected positive integers" in failure(caplog, *words, "--shape", "64")
    main(["export-model", *map(str, words), "--shape", "[1,1,8,9,10]"])
    assert torch.export.load(tmp_path / "m.pt2").module()(torch.rand(1, 1, 8, 9, 10)).shape == (1, 1, 8, 9, 10)


def test_a_file_that_disagrees_is_not_left(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = model_files._RUNNERS["torchscript"]
    monkeypatch.setitem(model_files._RUNNERS, "torchscript", lambda path: lambda image: right(path)(image) * 1.01)
    output = tmp_path / "out" / "model.ts"
    words = (bundle, "--format", "torchscript", "--output", output, "--ckpt", tmp_path / "weights.pt")
    assert "differs from the network by 1.0e-02" in failure(caplog, *words)
    assert list(output.parent.iterdir()) == []


def test_bad_input_ends_with_a_sentence(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ("--format", "torchscript", "--output", tmp_path / "model.ts")
    assert "model.pt: there are no such weights; give those of a training with --ckpt" in failure(
        caplog, bundle, *words
    )
    assert "expected a configuration of a bundle" in failure(caplog, tmp_path, *words)
    assert "expected a configuration of a bundle" in failure(caplog, bundle, *words, "--overlays", "none.json")
    overlay = tmp_path / "larger.json"
    overlay.write_text(json.dumps({"network_def::blocks": 2}))
    message = failure(caplog, bundle, *words, "--overlays", overlay, "--ckpt", tmp_path / "weights.pt")
    assert "weights.pt does not fit this MDCSRN: the weights have blocks=1, the network has blocks=2" in message
    assert not (tmp_path / "model.ts").exists()
