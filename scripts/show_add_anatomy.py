"""What adding an anatomy by few slices brings: a measured mouse and simulated knees, against two alternatives.

    python scripts/show_add_anatomy.py --mouse prepared/raw_test/mouse_ksp_1ch_15slices.h5
    python scripts/show_add_anatomy.py --only knee --weights model.pt --epochs 20

For each anatomy it makes a small data set, runs the bundle's `add_anatomy.json` on it, trains a network of the same
size from nothing on the same slices for the same number of steps, and reconstructs the same test slices with

* the network as it was, each old anatomy forced, and as its classifier decides,
* the network with the new anatomy, given, and as its classifier decides,
* the network trained from nothing, and zero-filled.

It also counts the old test slices that are decided otherwise than before. Runs and scores are kept in `--work`, and the
same command goes on where it was stopped. The table is written to `add_anatomy.csv` and `add_anatomy.md` in `--output`.

The mouse is one volume of 15 slices (`scripts/prepare_real_data.sh` prepares it): slices 0 to 4 train, 5 and 6
validate, 9 to 14 test. Neighboring slices are alike, so this says what one gains on the rest of a volume, not on
another animal. The knees are the built-in ones: three slices each of two training knees, three of the validation knee,
and both test knees whole.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import torch

from recon_monai.data import FastMRISliceDataset, atomic_path, built_in_dataset, read_split
from recon_monai.engines import ReconstructionInferer
from recon_monai.metrics import nmse, psnr, ssim
from recon_monai.networks import (
    NormUNet,
    SensitivityNetwork,
    UniversalVarNet,
    VarNet,
    adopt_anatomies,
    load_weights,
)
from recon_monai.physics import EquispacedFractionMask
from recon_monai.transforms import Undersampled, ZeroFilledd

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundles" / "universal_varnet"
ACCELERATIONS, CENTER_FRACTIONS = (4, 8), (0.08, 0.04)
METRICS: dict[str, Callable[..., float]] = {"ssim": ssim, "psnr": psnr, "nmse": nmse}
SIZES: dict[str, dict[str, int]] = {
    "standard": {"cascades": 8, "channels": 9, "pools": 4, "sensitivity_channels": 4, "sensitivity_pools": 4},
    "small": {"cascades": 4, "channels": 6, "pools": 3, "sensitivity_channels": 3, "sensitivity_pools": 3},
    "tiny": {"cascades": 1, "channels": 2, "pools": 2, "sensitivity_channels": 2, "sensitivity_pools": 2},
}
SIZE_IDS = {
    "cascades": "num_cascades",
    "channels": "refinement::channels",
    "pools": "refinement::pools",
    "sensitivity_channels": "sensitivity_network::channels",
    "sensitivity_pools": "sensitivity_network::pools",
}
ATTRIBUTES = ("acquisition", "anatomy", "source", "origin")
# part of the split, file, first and last slice
MOUSE = [("train", "{}", 0, 4), ("val", "{}", 5, 6), ("test", "{}", 9, 14)]
KNEES = [
    ("train", "knee-01_CORPD_FBK.h5", 4, 6),
    ("train", "knee-02_CORPDFS_FBK.h5", 4, 6),
    ("val", "knee-05_CORPD_FBK.h5", 4, 6),
    ("test", "knee-06_CORPDFS_FBK.h5", 0, 10),
    ("test", "knee-07_CORPD_FBK.h5", 0, 10),
]

Reconstruct = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


class Decision(NamedTuple):
    """What a classifier says of one slice."""

    file: str
    acceleration: int
    logits: torch.Tensor
    probability: float


def main() -> None:
    """Run what is missing, write the table."""
    arguments = _arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    _check_settings(arguments)
    rows, notes = [], []
    for anatomy in arguments.only:
        data = _make_data(anatomy, arguments)
        folder = arguments.work / anatomy
        added = folder / "added"
        _train("add_anatomy", added, data, arguments, ["--new_anatomy", anatomy, "--base", str(arguments.weights)])
        _train("train_teacher", folder / "scratch", data, arguments, ["--teacher_of", anatomy])
        rows += _cached(folder / "scores.json", partial(_scores, anatomy, data, folder, arguments))
        notes.append(_cached(folder / "decisions.json", partial(_compare_decisions, anatomy, added, arguments)))
    _write(rows, notes, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, default=BUNDLE / "models" / "model.pt", help="a trained universal network"
    )
    parser.add_argument("--size", choices=SIZES, default="standard", help="of these weights: standard as in train.json")
    parser.add_argument("--mouse", type=Path, help="the prepared mouse volume")
    parser.add_argument("--knees", type=Path, default=None, help="a folder like the built-in set (default)")
    parser.add_argument(
        "--old", type=Path, nargs="*", default=[], help="more data sets whose test files show old anatomies"
    )
    parser.add_argument("--only", nargs="+", choices=["mouse", "knee"], help="default: both, without --mouse the knee")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--work", type=Path, default=Path("add_anatomy_work"), help="folder of data sets and runs")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    arguments = parser.parse_args()
    arguments.only = arguments.only or (["mouse", "knee"] if arguments.mouse else ["knee"])
    if "mouse" in arguments.only and not (arguments.mouse and arguments.mouse.is_file()):
        parser.error("--mouse: name the prepared volume of the mouse, or give --only knee")
    if not arguments.weights.is_file():
        parser.error(f"--weights {arguments.weights}: there is no such file")
    return arguments


def _check_settings(arguments: argparse.Namespace) -> None:
    """Refuse a folder whose runs were made with other settings."""
    file = arguments.work / "settings.json"
    weights = hashlib.sha256(arguments.weights.read_bytes()).hexdigest()
    settings = {"weights": weights, "size": arguments.size, "epochs": arguments.epochs}
    if file.is_file() and json.loads(file.read_text()) != settings:
        sys.exit(f"{arguments.work} holds runs with other weights, size or epochs; name another folder by --work")
    file.write_text(json.dumps(settings, indent=2) + "\n")


def _cached(file: Path, make: Callable[[], Any]) -> Any:
    if not file.is_file():
        file.write_text(json.dumps(make(), indent=2) + "\n")
    return json.loads(file.read_text())


def _make_data(anatomy: str, arguments: argparse.Namespace) -> Path:
    """A data set of few slices of the new anatomy, with its split."""
    folder = arguments.work / anatomy / "data"
    if (folder / "split.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    source = arguments.mouse.parent if anatomy == "mouse" else arguments.knees or Path(built_in_dataset())
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for part, name, first, last in MOUSE if anatomy == "mouse" else KNEES:
        path = source / name.format(arguments.mouse.name if arguments.mouse else "")
        target = folder / f"{path.stem}_{first}-{last}.h5"
        _cut(path, target, anatomy, range(first, last + 1))
        split[part].append(target.name)
    # no subjects: those of the mouse's parts are one
    (folder / "split.json").write_text(json.dumps(split, indent=2) + "\n")
    return folder


def _cut(source: Path, target: Path, anatomy: str, slices: range) -> None:
    """Write some slices of a file as a file of their own."""
    with h5py.File(source) as file, atomic_path(target) as temporary, h5py.File(temporary, "w") as part:
        for name in (name for name in ATTRIBUTES if name in file.attrs):
            part.attrs[name] = file.attrs[name]
        if "ismrmrd_header" in file:
            file.copy("ismrmrd_header", part)
        for name in ("kspace", "reconstruction_rss"):
            part[name] = file[name][slices.start : slices.stop]
        part.attrs["max"] = float(part["reconstruction_rss"][()].max())
        part.attrs["anatomy"] = anatomy


def _train(overlay: str, folder: Path, data: Path, arguments: argparse.Namespace, options: Sequence[str]) -> None:
    """One run of the bundle, gone on with if it was stopped."""
    if (folder / "finished.json").is_file():
        return
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in ("train", overlay)]
    settings: dict[str, Any] = {
        **{f"network_def::{SIZE_IDS[name]}": value for name, value in SIZES[arguments.size].items()},
        "dataset_dir": data,
        "output_dir": folder,
        "run_name": folder.name,
        "max_epochs": arguments.epochs,
        "val_interval": 5,
        "num_workers": 0,
        "resume": (folder / "last.pt").is_file(),
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(files), *words, *options]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def _scores(anatomy: str, data: Path, folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Metrics of every method, for each test volume and acceleration."""
    base = _universal(arguments.weights, arguments.size)
    added = _universal(folder / "added" / "model.pt", arguments.size)
    scratch = load_weights(_plain(arguments.size), folder / "scratch" / "model.pt").eval()
    methods: dict[str, Reconstruct | None] = {"zero-filled": None}
    for name in base.anatomies:
        methods[f"before, {name} forced"] = partial(_forced, base, name)
    methods["before, classifier decides"] = base
    methods["from nothing, same slices and steps"] = scratch
    methods[f"after, {anatomy} given"] = partial(_forced, added, anatomy)
    methods["after, classifier decides"] = added
    steps = json.loads((folder / "added" / "finished.json").read_text())["epochs"] * len(
        FastMRISliceDataset(read_split(data, "train"))
    )
    rows = []
    for file, acceleration, source, items in _volumes(read_split(data, "test")):
        target = torch.cat([item["target"] for item in items])
        for method, network in methods.items():
            prediction = torch.cat([_image(item, network) for item in items])
            values = {name: metric(prediction=prediction, target=target) for name, metric in METRICS.items()}
            rows.append(
                {
                    "anatomy": anatomy,
                    "source": source,
                    "file": file,
                    "slices": len(items),
                    "acceleration": acceleration,
                    "method": method,
                    **values,
                    "steps": steps,
                }
            )
    return rows


def _universal(weights: Path, size: str) -> UniversalVarNet:
    part = SIZES[size]
    network = UniversalVarNet(
        ["any"],
        part["cascades"],
        part["channels"],
        pools=part["pools"],
        sensitivity_network=SensitivityNetwork(part["sensitivity_channels"], part["sensitivity_pools"]),
    )
    return load_weights(adopt_anatomies(network, weights), weights).eval()


def _plain(size: str) -> VarNet:
    part = SIZES[size]
    return VarNet(
        part["cascades"],
        refinement=partial(NormUNet, part["channels"], part["pools"]),
        sensitivity_network=SensitivityNetwork(part["sensitivity_channels"], part["sensitivity_pools"]),
    )


def _forced(network: UniversalVarNet, anatomy: str, kspace: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return network(kspace, mask, anatomy)


@torch.no_grad()
def _image(item: dict[str, Any], network: Reconstruct | None) -> torch.Tensor:
    """The image of one slice ``(1, h, w)``; zero-filled without a network."""
    if network is None:
        return ZeroFilledd()(dict(item.items()))["zero_filled"]
    height, width = (int(side) for side in item["output_size"])
    kspace, mask = item["kspace"][None], item["mask"][None]
    return ReconstructionInferer()(kspace, network, mask=mask, output_size=(height, width))[0]


def _volumes(files: Sequence[Path]) -> Iterator[tuple[str, int, str, list[dict[str, Any]]]]:
    """Undersampled volumes: file, acceleration, source, slices."""
    mask = EquispacedFractionMask(CENTER_FRACTIONS, ACCELERATIONS)
    transform = Undersampled(mask=mask, random=False)
    dataset = FastMRISliceDataset(files, transform, accelerations=ACCELERATIONS, require_target=True)
    groups: dict[tuple[str, int, str], list[int]] = {}
    for index, entry in enumerate(dataset.data):
        groups.setdefault((entry["file"], int(entry["acceleration"]), entry["source"]), []).append(index)
    for key, indices in groups.items():
        yield *key, [dataset[index] for index in indices]


def _compare_decisions(anatomy: str, added: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the old test slices, and the new ones, are taken for before and after."""
    base = _universal(arguments.weights, arguments.size)
    after = _universal(added / "model.pt", arguments.size)
    sets = [Path(built_in_dataset()), *arguments.old]
    files = [file for folder in sets for file in read_split(folder, "test")]
    files = [file for file, name in zip(files, _anatomies(files), strict=True) if name in base.anatomies]
    old, new = (_decisions(network, files) for network in (base, after))
    names = list(base.anatomies)
    own = _decisions(after, read_split(added.parent / "data", "test"))
    shares = list(zip(old, new, strict=True))
    sure = base.certainty
    return {
        "anatomy": anatomy,
        "old_test_files": len(files),
        "old_slices": len(old),
        "logits_with_other_bits": sum(not torch.equal(a.logits, b.logits[: len(names)]) for a, b in shares),
        "slices_decided_otherwise": sum(int(a.logits.argmax()) != int(b.logits.argmax()) for a, b in shares),
        "files_decided_otherwise": sum(a != b for a, b in zip(_of_files(old), _of_files(new), strict=True)),
        "slices_no_longer_sure": sum(a.probability >= sure > b.probability for a, b in shares),
        "new_slices": len(own),
        "new_slices_recognized": sum(int(one.logits.argmax()) == len(names) for one in own),
        **{f"training_{key}": value for key, value in json.loads((added / "new_anatomy.json").read_text()).items()},
    }


def _anatomies(files: Sequence[Path]) -> list[str]:
    found = {entry["path"]: entry["anatomy"] for entry in FastMRISliceDataset(files).data}
    return [found[str(file)] for file in files]


@torch.no_grad()
def _decisions(network: UniversalVarNet, files: Sequence[Path]) -> list[Decision]:
    decisions = []
    for file, acceleration, _, items in _volumes(files):
        for item in items:
            logits = network.classifier(item["kspace"][None], item["mask"][None])[0]
            decisions.append(Decision(file, acceleration, logits, float(logits.softmax(dim=0).max())))
    return decisions


def _of_files(decisions: Sequence[Decision]) -> list[int]:
    """The decision for each file and acceleration, by the mean log-probability."""
    groups: dict[tuple[str, int], list[torch.Tensor]] = {}
    for one in decisions:
        groups.setdefault((one.file, one.acceleration), []).append(one.logits.double().log_softmax(dim=0))
    return [int(torch.stack(values).mean(dim=0).argmax()) for values in groups.values()]


def _write(rows: list[dict[str, Any]], notes: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "add_anatomy.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = ["# Adding an anatomy by few slices", "", "Research use only, not for diagnosis."]
    for note in notes:
        own = [row for row in rows if row["anatomy"] == note["anatomy"]]
        lines += ["", *_section(own, note)]
    text = "\n".join(lines) + "\n"
    (arguments.output / "add_anatomy.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _section(rows: list[dict[str, Any]], note: dict[str, Any]) -> list[str]:
    """Table and sentences of one anatomy."""
    volumes = len({row["file"] for row in rows})
    lines = [f"## {note['anatomy'].capitalize()}: {rows[0]['source']} k-space", ""]
    lines += [
        f"{volumes} test volume(s), {sum(row['slices'] for row in rows) // len(rows) * volumes} slices; "
        f"{rows[0]['steps']} steps of one slice. Means over volumes.",
        "",
        "| R | method | SSIM | PSNR [dB] | NMSE |",
        "|---|---|---|---|---|",
    ]
    for acceleration in ACCELERATIONS:
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [row for row in rows if (row["method"], row["acceleration"]) == (method, acceleration)]
            mean = {name: sum(row[name] for row in own) / len(own) for name in METRICS}
            lines.append(
                f"| {acceleration}x | {method} | {mean['ssim']:.4f} | {mean['psnr']:.2f} | {mean['nmse']:.5f} |"
            )
    return [
        *lines,
        "",
        f"The classifier takes {note['training_recognized']} of {note['training_positives']} training slices and "
        f"{note['new_slices_recognized']} of {note['new_slices']} test slices (both at each acceleration) for the new "
        f"anatomy. Old test files ({note['old_test_files']}, {note['old_slices']} slices over the accelerations): "
        f"{note['logits_with_other_bits']} slices with other logits of the old anatomies, "
        f"{note['slices_decided_otherwise']} slices and {note['files_decided_otherwise']} files decided otherwise, "
        f"{note['slices_no_longer_sure']} slices decided as before but no longer surely.",
    ]


if __name__ == "__main__":
    main()
