"""Exported bundles that bring their code, run where there is no recon_monai but theirs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_tools import ROOT, TINY

from recon_monai.sharing import export_bundle

pytestmark = pytest.mark.slow

# Python imports sitecustomize before anything else: this one hides an installed recon_monai.
_ALONE = """
import sys
from importlib.machinery import PathFinder

class Alone:
    def find_spec(self, name, path=None, target=None):
        if name != "recon_monai":
            return None
        spec = PathFinder.find_spec(name, [place for place in sys.path if "site-packages" not in place])
        if spec is None:
            raise ModuleNotFoundError("No module named 'recon_monai'", name=name)
        return spec

sys.meta_path.insert(0, Alone())
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """Two bundles that bring their code."""
    output = tmp_path_factory.mktemp("exported")
    for name in ("universal_varnet", "weighted_dircn"):
        export_bundle(ROOT / "bundles" / name, output, "vendored")
    return output


@pytest.fixture
def python(tmp_path):
    """Runs Python in an empty folder, with only what is given on its path."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    site.mkdir()
    empty.mkdir()
    (site / "sitecustomize.py").write_text(_ALONE)

    def run(*arguments: str, path: str | Path = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=empty,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, [str(site), str(path)])),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def run_id(name: str, bundle: Path, options: dict) -> list[str]:
    config = {"training": "train", "evaluation": "evaluate", "inference": "inference"}[name]
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return ["-m", "monai.bundle", "run", name, "--config_file", str(bundle / "configs" / f"{config}.json"), *words]


def test_training_evaluation_and_inference_from_any_folder(exported, python, tiny_data, student, tmp_path):
    """By the path of the configuration alone: MONAI finds the code when it runs, and results go to the bundle."""
    bundle = exported / "universal_varnet"
    options = {**TINY, "dataset_dir": tiny_data}
    training = {**options, **student, "anatomies": "['brain']", "max_epochs": 1, "run_name": "tiny"}
    done = python(*run_id("training", bundle, training))
    assert done.returncode == 0, done.stdout[-4000:]
    weights = bundle / "eval" / "tiny" / "model.pt"
    assert weights.is_file()
    for name in ("evaluation", "inference"):
        done = python(*run_id(name, bundle, {**options, "ckpt": weights, "output_dir": tmp_path / name}))
        assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "evaluation" / "summary.md").is_file() and list((tmp_path / "inference").glob("*.h5"))


def test_other_commands_of_monai_need_the_bundle_on_the_path(exported, python, tmp_path):
    bundle = exported / "weighted_dircn"
    meta, config = (str(bundle / "configs" / name) for name in ("metadata.json", "inference.json"))
    files = ("--meta_file", meta, "--config_file", config)
    verify = ("-m", "monai.bundle", "verify_net_in_out", "network_def", "--device", "cpu", *files)
    without = python(*verify)
    assert without.returncode and "recon_monai" in without.stdout
    with_path = python(*verify, path=bundle)
    assert with_path.returncode == 0, with_path.stdout[-3000:]
    export = ("-m", "monai.bundle", "ckpt_export", "network_def", "--filepath", str(tmp_path / "model.ts"), *files)
    without = python(*export, "--ckpt_file", str(bundle / "models" / "model.pt"))
    assert without.returncode and "recon_monai" in without.stdout


def test_load_needs_the_bundle_on_the_path(exported, python):
    code = (
        "from monai.bundle import load\n"
        f"network = load('weighted_dircn', bundle_dir={str(exported)!r})\n"
        "print('loaded', type(network).__module__)\n"
    )
    without = python("-c", code)
    assert without.returncode and "recon_monai" in without.stdout
    found = python("-c", code, path=exported / "weighted_dircn")
    assert re.search(r"loaded recon_monai\.networks", found.stdout), found.stdout[-3000:]


def test_a_second_bundle_in_one_process_is_refused(exported, python):
    """By workflows and by `monai.bundle.load`; the message is one sentence."""
    code = (
        "from monai.bundle import ConfigParser, load\n"
        f"root = {str(exported)!r}\n"
        "parser = ConfigParser()\n"
        "parser.read_config(f'{root}/universal_varnet/configs/inference.json')\n"
        "print('first', type(parser.get_parsed_content('network_def')).__name__)\n"
        "try:\n"
        "    load('weighted_dircn', bundle_dir=root)\n"
        "except RuntimeError as error:\n"
        "    while error.__cause__ is not None:\n"
        "        error = error.__cause__\n"
        "    print('refused:', error)\n"
        "parser = ConfigParser()\n"
        "parser.read_config(f'{root}/weighted_dircn/configs/evaluate.json')\n"
        "try:\n"
        "    parser.get_parsed_content('bundle_root')\n"
        "except RuntimeError as error:\n"
        "    print('refused, too')\n"
    )
    done = python("-c", code, path=exported / "universal_varnet")
    assert "first UniversalVarNet" in done.stdout, done.stdout[-3000:]
    refused = re.search(r"^refused: (.*)$", done.stdout, flags=re.MULTILINE)
    assert refused, done.stdout[-3000:]
    assert refused.group(1).startswith("weighted_dircn brings its own recon_monai")
    assert "the copy that universal_varnet brings" in refused.group(1)
    assert "refused, too" in done.stdout
