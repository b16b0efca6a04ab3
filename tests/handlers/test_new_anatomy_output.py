"""The end of a run that adds an anatomy: the classifier's output, the comparison, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from recon_monai.engines import AnatomyAddition, PrepareAnatomyBatch
from recon_monai.handlers import NewAnatomyOutput
from recon_monai.networks import UniversalVarNet
from recon_monai.physics import keyed_generator

NAMES = ("brain", "heart", "mouse")
# k-space of each anatomy has its energy elsewhere, so that images differ in texture
CENTERS = {"brain": (2, 2), "heart": (6, 3), "mouse": (3, 7)}


def slices(anatomy: str, count: int = 6) -> list[dict[str, Any]]:
    rows, columns = torch.meshgrid(torch.arange(24) - 12, torch.arange(24) - 12, indexing="ij")
    down, across = CENTERS[anatomy]
    width = torch.exp(-((rows.abs() - down) ** 2 + (columns.abs() - across) ** 2) / 4)
    batches = []
    for number in range(count):
        generator = keyed_generator("texture", anatomy, number)
        kspace = width * torch.randn(1, 2, 24, 24, generator=generator, dtype=torch.complex64)
        batches.append({"kspace": kspace, "file": ["a.h5"], "slice": torch.tensor([number]), "anatomy": [anatomy]})
    return batches


@pytest.fixture
def run(tmp_path: Path) -> tuple[UniversalVarNet, AnatomyAddition, Path]:
    """A network with a new anatomy, in training: the best weights are those in the folder."""
    torch.manual_seed(0)
    base = UniversalVarNet(["brain", "heart"], 1, 2, 2, 2).eval()
    features = [base.classifier.features(b["kspace"]) for name in NAMES[:2] for b in slices(name, 40)]
    base.classifier.set_feature_statistics(torch.cat(features), torch.arange(2).repeat_interleave(40))
    torch.save(base.state_dict(), tmp_path / "base.pt")
    addition = AnatomyAddition(str(tmp_path), str(tmp_path / "run"), "mouse", str(tmp_path / "base.pt"))
    addition.prepare(base)
    for parameter in base.anatomy_parameters("mouse"):
        parameter.data += 0.5
    (tmp_path / "run").mkdir()
    torch.save(base.state_dict(), tmp_path / "run" / "model.pt")
    for parameter in base.anatomy_parameters("mouse"):
        parameter.data += 9  # what came after the best epoch
    return base, addition, tmp_path / "run"


def finish(network: UniversalVarNet, addition: AnatomyAddition, folder: Path, evaluator: Any = None) -> Engine:
    engine = Engine(lambda engine, batch: None)
    engine.state.device = torch.device("cpu")  # type: ignore[attr-defined]
    loader = slices("mouse")
    NewAnatomyOutput(folder, network, addition, loader, PrepareAnatomyBatch(NAMES), evaluator).attach(engine)
    engine.run([0], max_epochs=2)
    return engine


def test_the_output_is_fitted_and_all_is_written(run: tuple[UniversalVarNet, AnatomyAddition, Path]) -> None:
    network, addition, folder = run
    best = torch.load(folder / "model.pt", weights_only=True)
    finish(network, addition, folder)
    written = torch.load(folder / "model.pt", weights_only=True)
    changed = {key for key in best if not torch.equal(best[key], written[key])}
    assert changed == {f"classifier.{name}" for name in ("head.weight", "head.bias", "feature_mean")} | {
        "classifier.feature_covariance",
        "classifier.feature_count",
    }
    assert written["classifier.feature_count"].tolist() == [40, 40, 6]
    assert all(torch.equal(value, written[key]) for key, value in network.state_dict().items())
    report = json.loads((folder / "new_anatomy.json").read_text())
    with torch.no_grad():
        decided = [int(network.classifier(batch["kspace"]).argmax()) for batch in slices("mouse")]
        old = [int(network.classifier(b["kspace"]).argmax()) for name in NAMES[:2] for b in slices(name, 40)]
    assert report["recognized"] == decided.count(2) > 3
    assert (report["anatomy"], report["positives"], report["negatives"]) == ("mouse", 6, 2000)
    assert 2 not in old
    assert json.loads((folder / "base.json").read_text())["weights"] == addition.weights


def test_nothing_is_written_if_something_old_changed(run: tuple[UniversalVarNet, AnatomyAddition, Path]) -> None:
    network, addition, folder = run
    weights = torch.load(folder / "model.pt", weights_only=True)
    weights["cascades.0.data_consistency_weight"] += 1e-7
    torch.save(weights, folder / "model.pt")
    before = (folder / "model.pt").read_bytes()
    with pytest.raises(RuntimeError, match="data_consistency_weight is not what it was"):
        finish(network, addition, folder)
    assert (folder / "model.pt").read_bytes() == before
    assert not (folder / "new_anatomy.json").exists()


def test_the_evaluator_runs_with_the_fitted_output(run: tuple[UniversalVarNet, AnatomyAddition, Path]) -> None:
    network, addition, folder = run
    seen: list[tuple[int, float]] = []

    class Evaluator:
        """Notes what it was run with."""

        def run(self, epoch: int) -> None:
            seen.append((epoch, float(network.classifier.head.bias[2])))

    finish(network, addition, folder, Evaluator())
    [(epoch, bias)] = seen
    assert epoch == 2
    assert bias > -1e4, "a row that was never fitted is never chosen"
