"""Configurations of a bundle that brings its code."""

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigWorkflow

from recon_monai.sharing.vendored_configs import vendored_configurations

IDENTITY = {"version": "0.1.0", "content": "a", "source": "b"}
BASE = {
    "imports": ["$from told import tell"],
    "bundle_root": {"_target_": "told.make", "name": "x"},
    "network_def": {"_target_": "told.make", "name": "net"},
    "initialize": ["$tell('begin')", "$tell(@seed)"],
    "seed": 3,
    "steps": ["$tell('step')"],
    "run": "%steps",
}


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    vendored_configurations(folder, "a_bundle", IDENTITY)
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in files}


def test_rewritten(tmp_path):
    overlay = {"+initialize": ["$tell('more')"], "run": ["$tell('other')"], "network_def::channels": 3}
    metadata = {"initialize": "stays"}
    found = write(tmp_path, train=BASE, overlay=overlay, metadata=metadata)
    train = found["train"]
    assert "initialize" not in train and train["begin"] == ["$tell('begin')", "$@code", "$tell(@seed)"]
    assert train["steps"] == ["$@begin", "$tell('step')"] and train["run"] == "%steps"
    assert train["network_def"] == {**BASE["network_def"], "_requires_": ["@code"]}
    assert list(train["bundle_root"]) == ["_target_", "_requires_", "name"], "asked for before the parts are made"
    assert train["code"] == {"_target_": "recon_monai.sharing.check_code", "bundle": "a_bundle", **IDENTITY}
    assert found["overlay"] == {
        "+begin": ["$tell('more')"],
        "run": ["$@begin", "$tell('other')"],
        "network_def::channels": 3,
    }
    assert found["metadata"] == metadata


def test_monai_runs_it_in_the_same_order_and_finds_its_code(tmp_path, monkeypatch):
    """Code that lies beside the configurations alone: MONAI adds the bundle to the path after `initialize`."""
    configs = tmp_path / "configs"
    configs.mkdir()
    code = "said = []\ndef tell(text):\n    said.append(text)\ndef make(name):\n    return name\n"
    (tmp_path / "told.py").write_text(code)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    overlay = {"initialize": ["$tell('instead')"]}
    asked = []
    monkeypatch.setattr("recon_monai.sharing.check_code", lambda **identity: asked.append(identity))
    write(configs, train=BASE, overlay=overlay)
    for files, expected in ((["train"], ["begin", 3, "step"]), (["train", "overlay"], ["instead", "step"])):
        paths = [str(configs / f"{name}.json") for name in files]
        workflow = ConfigWorkflow(paths, workflow_type="train", logging_file=False, meta_file=None)
        workflow.initialize()
        workflow.run()
        import told

        assert told.said == expected
        told.said.clear()
        assert asked.pop() == {"bundle": "a_bundle", **IDENTITY} and not asked


@pytest.mark.parametrize("name", ["begin", "code"])
def test_ids_that_are_taken(name, tmp_path):
    with pytest.raises(ValueError, match=rf"configs/train\.json has an id {name}, which the vendored form needs"):
        write(tmp_path, train={**BASE, name: 1})
