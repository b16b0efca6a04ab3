"""An anatomy is added to a trained network by the bundle's overlay; the old ones stay what they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_tools import TINY, run_bundle, start_bundle

from recon_monai.data import FastMRISliceDataset, built_in_dataset, read_split
from recon_monai.losses import ReconstructionLoss
from recon_monai.networks import UniversalVarNet, adopt_anatomies, load_weights
from recon_monai.physics import EquispacedFractionMask, center_crop_or_pad
from recon_monai.transforms import Undersampled

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"
# two anatomies among the built-in brains
RULES = [{"look_at": "acquisition", "pattern": "^AXT1", "anatomy": "head"}]
OLD = ["brain", "head"]
FEW = {f"{part}::dataset::max_slices": 3 for part in ("train", "validate")}
OPTIONS = {**TINY, **FEW, "anatomy_rules": RULES, "warmup_epochs": 0}
ADD = {**OPTIONS, "new_anatomy": "knee", "max_epochs": 3, "aug_delay": 0, "train::dataset::max_files": 2}


def files(*names: str) -> str:
    return str([f"{CONFIGS}/{name}.json" for name in names])


@pytest.fixture(scope="module")
def runs(checkout: Path) -> Path:
    """The folder of runs, with a universal network that knows the old anatomies."""
    options = {"max_epochs": 1, "classifier_epochs": 2, "train::dataset::max_files": 4, "filters::anatomy": OLD}
    run_bundle("training", files("train", "no_distillation"), checkout, {**OPTIONS, **options, "run_name": "base"})
    return checkout / "bundles" / "universal_varnet" / "eval"


@pytest.fixture(scope="module")
def added(runs: Path, checkout: Path) -> Path:
    """The run that adds the knee, to the newest finished one."""
    printed = run_bundle("training", files("train", "add_anatomy"), checkout, {**ADD, "run_name": "added"})
    assert "eval/base/model.pt, of the newest finished run" in printed
    assert "knee is added to brain, head" in printed
    return runs / "added"


def network_of(weights: Path) -> UniversalVarNet:
    network = UniversalVarNet(["any"], 1, 2, 2, 2)
    return load_weights(adopt_anatomies(network, weights), weights).eval()


def items(split: str, anatomies: list[str]) -> list[dict[str, Any]]:
    """Undersampled slices of the built-in set, those of a file one after the other."""
    mask = EquispacedFractionMask([0.08, 0.04], [4, 8])
    dataset = FastMRISliceDataset(
        read_split(built_in_dataset(), split),
        Undersampled(mask=mask, random=False),
        accelerations=[4, 8],
        anatomy_rules=RULES,
        filters={"anatomy": anatomies},
        max_slices=3,
    )
    return [dataset[index] for index in range(len(dataset))]


def each(slices: list[dict[str, Any]], call: Callable[..., torch.Tensor], *arguments: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        return [call(item["kspace"][None], item["mask"][None], *arguments) for item in slices]


def loss(network: UniversalVarNet, slices: list[dict[str, Any]], anatomy: str) -> float:
    total = 0.0
    for item, image in zip(slices, each(slices, network, anatomy), strict=True):
        size = tuple(item["target"].shape[-2:])
        prediction, maximum = center_crop_or_pad(image, size), torch.tensor([item["maximum"]])
        total += float(ReconstructionLoss()(prediction, item["target"][None], maximum))
    return total / len(slices)


def test_the_old_anatomies_are_bit_for_bit_what_they_were(runs: Path, added: Path) -> None:
    before, after = network_of(runs / "base" / "model.pt"), network_of(added / "model.pt")
    assert after.anatomies == ("brain", "head", "knee")
    slices = items("test", OLD)
    assert len(slices) == 18
    for name in OLD:
        pairs = zip(each(slices, before, name), each(slices, after, name), strict=True)
        assert all(torch.equal(first, second) for first, second in pairs)
    logits = each(slices, before.classifier), each(slices, after.classifier)
    for first, second in zip(*logits, strict=True):
        assert torch.equal(first, second[:, :2])
    decided = [
        torch.cat(values).log_softmax(dim=1).reshape(-1, 3, values[0].shape[1]).mean(dim=1).argmax(dim=1)
        for values in logits
    ]
    assert torch.equal(*decided), "a file at an acceleration is three slices"


def test_the_new_anatomy_is_another_and_its_loss_fell(runs: Path, added: Path) -> None:
    start, after = network_of(runs / "base" / "model.pt"), network_of(added / "model.pt")
    start.set_anatomies(["brain", "head", "knee"])
    slices = items("train", ["knee"])[:12]
    for old in OLD:
        pairs = zip(each(slices, after, "knee"), each(slices, after, old), strict=True)
        assert not any(torch.allclose(first, second, rtol=1e-3) for first, second in pairs)
    assert loss(after, slices, "knee") < 0.99 * loss(start, slices, "knee")


def test_the_run_says_what_it_did(added: Path) -> None:
    report = json.loads((added / "new_anatomy.json").read_text())
    assert report["anatomy"] == "knee"
    assert report["base"].endswith("eval/base/model.pt")
    assert report["positives"] == 4 * 11 * 2, "all slices of the training files at both accelerations"
    domain = json.loads((added / "model.json").read_text())
    assert set(domain["anatomies"]) == {"brain", "head", "knee"}
    assert domain["anatomies"]["knee"] == 6
    assert {"AXT2", "CORPD_FBK"} <= set(domain["acquisitions"])
    with (added / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["counted", "truth", "brain", "head", "knee"]
    assert sum(int(count) for row in rows if row[:2] == ["slices", "knee"] for count in row[2:]) == 6
    state = torch.load(added / "last.pt", weights_only=True)["optimizer"]
    per_layer = 2  # gamma and beta
    layers = sum(key.endswith("gamma.0") for key in torch.load(added / "model.pt", weights_only=True))
    assert len(state["state"]) == per_layer * layers
    assert state["param_groups"][0]["weight_decay"] == 0


def test_evaluation_takes_the_result(added: Path, checkout: Path, tmp_path: Path) -> None:
    options = {**TINY, "anatomy_rules": RULES, "filters::anatomy": "knee", "dataset::max_slices": 2}
    options |= {"ckpt": added / "model.pt", "anatomy": "stated", "output_dir": tmp_path}
    printed = run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    assert "was never trained" not in printed
    with (tmp_path / "summary.csv").open() as file:
        assert {row["anatomy"] for row in csv.DictReader(file)} == {"knee"}


def test_an_anatomy_that_is_known_is_refused(added: Path, checkout: Path) -> None:
    again = start_bundle("training", files("train", "add_anatomy"), checkout, {**ADD, "run_name": "again"})
    assert again.returncode == 1
    assert "eval/added/model.pt knows the anatomy 'knee' already (brain, head, knee)" in again.stdout
    assert "Traceback" not in again.stdout


def test_a_run_that_was_stopped_goes_on_with_its_base(added: Path, checkout: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "signal.json"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": 8}
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    configs = f"{files('train', 'add_anatomy')[:-1]}, '{overlay}']"
    options = {**ADD, "run_name": "cut", "base": added.parent / "base" / "model.pt"}
    cut = start_bundle("training", configs, checkout, options)
    assert cut.returncode == 143, cut.stdout[-3000:]
    options = {**ADD, "resume": "cut"}
    run_bundle("training", files("train", "add_anatomy"), checkout, options)
    whole, resumed = (torch.load(added.parent / name / "model.pt", weights_only=True) for name in ("added", "cut"))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
