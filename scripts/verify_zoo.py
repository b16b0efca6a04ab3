"""Repeat the Model Zoo's checks of exported bundles offline.

    python scripts/verify_zoo.py EXPORTED_BUNDLE [...]

What the zoo's own continuous integration does (ci/verify_bundle.py and runtests.sh of Project-MONAI/model-zoo), without
its downloads and pull requests:

structure     LICENSE, docs/README.md, configs with metadata and inference, weights (or an entry in large_files.yml),
              no file over 25 MB, no path of this machine
metadata      keys, version and changelog, tensor formats; against the schema itself, too, where --schema gives its file
properties    the ids that MONAI requires of training and inference
network       `monai.bundle verify_net_in_out`
torchscript   `monai.bundle ckpt_export`, by script as the zoo does it; if that fails, MONAI's reason
style         black, isort and flake8 with the zoo's settings where they are installed, and ruff's equivalents

Each check runs in a process of its own, in an empty folder, with the bundle on PYTHONPATH as in the zoo. The exit
status is 1 if any fails. A network that cannot be made TorchScript by script fails, although the zoo would take it with
a sentence in the data sheet and an entry in its list of exemptions: no bundle here needs one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.utils import ID_SEP_KEY

from recon_monai.sharing import FILE_LIMIT, machine_paths, metadata_faults

LARGE = ("large_files.yml", "large_files.yaml", "large_files.json")
NETWORK = "network_def"
FLAKE8 = ("--isolated", "--select", "B,C,E,F,N,P,T4,W,B9", "--max-line-length", "120")
FLAKE8_IGNORED = ("--ignore", "E203,E501,E741,W503,W504,C408,N812,B023", "--per-file-ignores", "__init__.py:F401")
TOOLS = {
    "black": ("--check", "--quiet", "--skip-magic-trailing-comma", "--line-length", "120"),
    "isort": ("--check", "--quiet", "--settings-path", os.devnull, "--profile", "black", "--line-length", "120"),
    "flake8": (*FLAKE8, *FLAKE8_IGNORED),
}
RUFF = (
    ("format", "--check", "--config", "format.skip-magic-trailing-comma=true"),
    ("check", "--select", "E,W,F,B,C4,N", "--ignore", "E203,E501,E741,C408,N812,N818,B023"),
)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        passed: whether the zoo would go on.
        text: one line for each thing to know.
    """

    passed: bool
    text: str


def structure(bundle: Path) -> Finding:
    """Files, their sizes, and that they hold no path of this machine."""
    listed = _listed(bundle)
    needed = ["LICENSE", "docs/README.md", "docs/data_license.txt", "configs/metadata.json", "configs/inference.json"]
    faults = [f"{name} is missing" for name in needed if not (bundle / name).is_file()]
    if not (bundle / "models" / "model.pt").is_file() and "models/model.pt" not in listed:
        faults.append("models/model.pt is missing, and large_files.yml does not list it")
    files = [file for file in bundle.rglob("*") if file.is_file() and "eval" not in file.relative_to(bundle).parts]
    faults += [
        f"{file.name} has {file.stat().st_size / 1e6:.1f} MB" for file in files if file.stat().st_size > FILE_LIMIT
    ]
    faults += [f"{file.relative_to(bundle)}:{line}: {path}" for file in files for line, path in machine_paths(file)]
    return Finding(not faults, "; ".join(faults) or f"{len(files)} files")


def _listed(bundle: Path) -> set[str]:
    """Files that large_files.yml says where to get."""
    found = next((bundle / name for name in LARGE if (bundle / name).is_file()), None)
    return {entry["path"] for entry in ConfigParser.load_config_file(str(found))["large_files"]} if found else set()


def metadata(bundle: Path, schema: Path | None) -> Finding:
    """The rules that this project knows, and the schema's if it is at hand."""
    content = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    faults = metadata_faults(content)
    if schema is None:
        return Finding(
            not faults, "; ".join(faults) or f"version {content['version']}; the schema's file was not given"
        )
    import jsonschema

    rules = json.loads(schema.read_text(encoding="utf-8"))
    found = jsonschema.validators.validator_for(rules)(rules).iter_errors(content)
    faults += [f"{'/'.join(map(str, error.path))}: {error.message}" for error in found]
    return Finding(not faults, "; ".join(faults) or f"version {content['version']}; valid by {schema.name}")


def properties(bundle: Path) -> Finding:
    """Ids of both workflows that MONAI requires."""
    faults = []
    for name, wanted in (("train", TrainProperties), ("inference", InferProperties)):
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs" / f"{name}.json"))
        ids = [entry["id"].replace("#", ID_SEP_KEY) for entry in wanted.values() if entry["required"]]
        faults += [f"{name}.json has no {one}" for one in ids if one not in parser]
    return Finding(not faults, "; ".join(faults) or "training and inference have all that are required")


def network(bundle: Path) -> Finding:
    """MONAI's check of what the network takes and returns, as the zoo calls it."""
    failed = _monai(bundle, "verify_net_in_out", NETWORK, "--device", "cpu")
    return Finding(failed is None, failed or "takes and returns what the metadata say")


def torchscript(bundle: Path) -> Finding:
    """The zoo's export, which is by script; whether a trace would work is told only to help."""
    if not (bundle / "models" / "model.pt").is_file():
        return Finding(True, "not tried, since there are no weights")
    with tempfile.TemporaryDirectory() as folder:
        options = (NETWORK, "--filepath", f"{folder}/model.ts", "--ckpt_file", str(bundle / "models" / "model.pt"))
        scripted = _monai(bundle, "ckpt_export", *options)
        if scripted is None:
            return Finding(True, "by script")
        traced = _monai(bundle, "ckpt_export", *options, "--use_trace", "True", "--input_shape", _shape(bundle))
    if traced is None:
        return Finding(False, f"by trace alone, and not by script, as the zoo does it: {scripted}")
    return Finding(False, f"cannot be made: by script: {scripted}; by trace: {traced}")


def _shape(bundle: Path) -> str:
    """The input that the metadata state, at the size that `verify_net_in_out` feeds."""
    content = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    (image,) = content["network_data_format"]["inputs"].values()
    sizes = [int(str(size).replace("*n", "")) for size in image["spatial_shape"]]
    return str([1, image["num_channels"], *sizes])


def _monai(bundle: Path, command: str, *options: str) -> str | None:
    """Run a command of MONAI in an empty folder; the reason if it fails."""
    files = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]
    files = [str(bundle / word) if word.startswith("configs/") else word for word in files]
    inherited = [] if (bundle / "recon_monai").is_dir() else [os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "monai.bundle", command, *options, *files, "--bundle_root", str(bundle)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(bundle), *filter(None, inherited)])},
            capture_output=True,
            text=True,
            check=False,
        )
    if not done.returncode:
        return None
    return _reason(done.stderr)


def _reason(said: str) -> str:
    """The message at the end of a traceback, in one line."""
    lines = [line for line in said.splitlines() if line.strip()]
    last = max((place for place, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), default=-1)
    return " ".join(line.strip() for line in lines[last:][:3])[:300] or "it said nothing"


def style(bundle: Path) -> Finding:
    """Format, order of imports and lint of the bundle's Python."""
    if not list(bundle.rglob("*.py")):
        return Finding(True, "no Python in the bundle")
    said, failed = [], []
    for name, options in TOOLS.items():
        if find_spec(name):
            output = _tool((sys.executable, "-m", name, *options, bundle.name), bundle.parent)
            failed += output
            said.append(name)
    for command, *options in RUFF:
        place = ("--isolated", "--no-cache", "--line-length", "120", bundle.name)
        failed += _tool((sys.executable, "-m", "ruff", command, *options, "--quiet", *place), bundle.parent)
    text = "; ".join(failed[:20]) or f"{', '.join([*said, 'ruff'])} have nothing to say"
    return Finding(not failed, text)


def _tool(command: Sequence[str], folder: Path) -> list[str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return (lines or [f"{command[2]} failed"]) if done.returncode else []


def verify(bundle: Path, schema: Path | None = None) -> dict[str, Finding]:
    """Run all checks of one bundle.

    Args:
        bundle: the exported folder.
        schema: file of the metadata schema.

    Returns:
        Finding by name of the check.
    """
    checks: dict[str, Callable[[Path], Finding]] = {
        "structure": structure,
        "metadata": lambda folder: metadata(folder, schema),
        "properties": properties,
        "network": network,
        "torchscript": torchscript,
        "style": style,
    }
    with tempfile.TemporaryDirectory() as folder:  # the checks leave files behind
        copy = Path(
            shutil.copytree(bundle, Path(folder) / bundle.name, ignore=shutil.ignore_patterns("eval", "__pycache__"))
        )
        return {name: check(copy) for name, check in checks.items()}


def main() -> None:
    """Print what was found; exit with 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", help="exported bundles")
    parser.add_argument("--schema", type=Path, help="meta_schema_20240725.json, where it is at hand")
    given = parser.parse_args()
    failed = False
    for bundle in given.bundles:
        for name, finding in verify(bundle.resolve(), given.schema).items():
            failed |= not finding.passed
            print(
                f"{bundle.name:18s} {name:12s} {'passed' if finding.passed else 'FAILED'}  {finding.text}", flush=True
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
