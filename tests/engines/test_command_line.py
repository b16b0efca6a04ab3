"""Reading the bundle's command line."""

from __future__ import annotations

import json

import pytest

from recon_monai.engines.command_line import configuration_files, locate_bundle, merged_configuration


@pytest.fixture
def bundle(tmp_path):
    configs = tmp_path / "bundles" / "some_bundle" / "configs"
    configs.mkdir(parents=True)
    (configs / "metadata.json").write_text("{}")
    (configs / "train.json").write_text(json.dumps({"rate": 1, "net": {"size": 2, "depth": 5}}))
    (configs / "small.json").write_text(json.dumps({"net::size": 1}))
    return configs.parent


@pytest.mark.parametrize("form", ["two words", "equals sign"])
def test_files_of_the_command_line(bundle, form):
    files = f"['{bundle}/configs/train.json', '{bundle}/configs/small.json']"
    words = ["--config_file", files] if form == "two words" else [f"--config_file={files}"]
    found = configuration_files(["prog", "run", *words, "--rate", "3"])
    assert [file.name for file in found] == ["train.json", "small.json"]


def test_merged_configuration_holds_overlays_and_overrides(bundle):
    files = f"['{bundle}/configs/train.json', '{bundle}/configs/small.json']"
    words = ["prog", "run", "training", "--config_file", files, "--rate", "3", "--net#depth", "7", "--name", "a b"]
    assert merged_configuration(words) == {"rate": 3, "net": {"size": 1, "depth": 7}, "name": "a b"}


def test_without_a_command_line_nothing_is_claimed():
    assert configuration_files(["pytest"]) == []
    assert merged_configuration(["pytest"]) == {}


def test_the_bundle_is_found_from_three_places(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_bundle("some_bundle") == "bundles/some_bundle"
    monkeypatch.chdir(bundle)
    assert locate_bundle("some_bundle") == "."
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert locate_bundle("some_bundle") == "."
    monkeypatch.setattr("sys.argv", ["prog", "--config_file", str(bundle / "configs" / "train.json")])
    assert locate_bundle("some_bundle") == str(bundle)
    monkeypatch.chdir(bundle / "configs")
    monkeypatch.setattr("sys.argv", ["prog", "--config_file", "train.json"])
    assert locate_bundle("some_bundle") == ".."
    monkeypatch.setattr("sys.argv", ["prog", "--config_file", str(bundle / "configs" / "train.json")])
    other = tmp_path / "other" / "configs"
    other.mkdir(parents=True)
    (other / "metadata.json").write_text("{}")
    monkeypatch.chdir(other.parent)
    assert locate_bundle("some_bundle") == str(bundle), "not the bundle the command happens to be given in"
