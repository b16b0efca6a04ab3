"""Batches of the anatomy classifier, its trainer, and a small training from k-space to tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Accuracy, ConfusionMatrix
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader, Dataset

from recon_monai.data import SliceBatchSampler
from recon_monai.engines import ClassificationInferer, ClassificationTrainer, PrepareAnatomyBatch
from recon_monai.handlers import ClassificationMetrics, ConfusionReport, FeatureStatistics, TrainingCheckpoint
from recon_monai.networks import AnatomyClassifier, load_weights
from recon_monai.physics import fft2c, keyed_generator, simulate_coil_maps

NAMES = ("ring", "bars")
SIZE = 32
COILS = 3


class Shapes(Dataset):
    """Undersampled k-space of rings and bars of random size, one file per object with two slices."""

    def __init__(self, files: int, part: str) -> None:
        self.data: list[dict[str, Any]] = [
            {"path": f"{part}{file}.h5", "file": f"{part}{file}.h5", "slice": number, "anatomy": NAMES[file % 2]}
            for file in range(files)
            for number in range(2)
        ]
        self.items = [self._draw(entry) for entry in self.data]

    def __len__(self) -> int:
        return len(self.data)

    def shape_key(self, index: int) -> int:
        return 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]

    def _draw(self, entry: dict[str, Any]) -> dict[str, Any]:
        generator = keyed_generator(entry["file"], entry["slice"])
        draw = torch.rand(4, generator=generator)
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
        radius = (rows - 0.2 * draw[0]).hypot(columns + 0.2 * draw[1])
        if entry["anatomy"] == "ring":
            image = ((radius - 0.5).abs() < 0.08 + 0.1 * draw[2]).float()
        else:
            image = (radius < 0.7) * (torch.sin(rows * (12 + 6 * draw[2])) > 0)
        turned = torch.polar(image.float(), columns * 3 * draw[3] + 6 * draw[0])
        maps = simulate_coil_maps(COILS, (SIZE, SIZE), generator)
        mask = torch.zeros(1, 1, SIZE, dtype=torch.bool)
        mask[..., int(4 * draw[1]) :: 4] = True
        mask[..., 12:20] = True
        scale = 10 ** float(-8 * draw[2])
        return {**entry, "kspace": fft2c(turned * maps) * mask * scale, "mask": mask, "acceleration": 4}


def make(folder: Path, *, epochs: int = 3) -> tuple[ClassificationTrainer, SupervisedEvaluator]:
    """A training run of the parts that the bundle puts together."""
    torch.manual_seed(0)
    network = AnatomyClassifier(size=24)
    train, validation = Shapes(40, "train"), Shapes(16, "val")
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    sampler = SliceBatchSampler(train, 8)
    shared: dict[str, Any] = {
        "device": torch.device("cpu"),
        "network": network,
        "prepare_batch": PrepareAnatomyBatch(NAMES),
        "inferer": ClassificationInferer(),
        "decollate": False,
    }

    def decision(output: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return output["pred"], output["label"]

    evaluator = SupervisedEvaluator(
        val_data_loader=DataLoader(validation, batch_size=5),
        key_val_metric={"val_log_likelihood": ClassificationMetrics()},
        additional_metrics={
            "ignite_accuracy": Accuracy(output_transform=decision),
            "ignite_confusion": ConfusionMatrix(2, output_transform=decision),
        },
        val_handlers=[ConfusionReport(folder, NAMES)],
        **shared,
    )
    trainer = ClassificationTrainer(
        max_epochs=epochs,
        train_data_loader=DataLoader(train, batch_sampler=sampler),
        optimizer=optimizer,
        loss_function=torch.nn.CrossEntropyLoss(),
        train_handlers=[
            FeatureStatistics(folder, network, DataLoader(train, batch_size=7), PrepareAnatomyBatch(NAMES)),
            TrainingCheckpoint(
                folder,
                network,
                optimizer,
                torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
                sampler,
                evaluator,
            ),
        ],
        **shared,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(engine.state.epoch))
    return trainer, evaluator


@pytest.mark.slow
def test_a_small_training_tells_unseen_shapes_apart(tmp_path: Path) -> None:
    trainer, evaluator = make(tmp_path)
    seen: list[dict[str, Any]] = []
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: seen.append(dict(engine.state.metrics)))
    trainer.run()
    last = seen[-1]
    assert last["val_accuracy"] == last["val_accuracy/4x"] == last["val_file_accuracy"] == 1.0
    assert last["ignite_accuracy"] == 1.0
    assert last["ignite_confusion"].tolist() == [[16, 0], [0, 16]]
    likelihoods = [metrics["val_log_likelihood"] for metrics in seen]
    assert evaluator.state.best_metric == max(likelihoods)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["epoch"] == 1 + likelihoods.index(max(likelihoods))

    best = load_weights(AnatomyClassifier(size=24), tmp_path / "model.pt").eval()
    assert best.feature_count.tolist() == [40, 40]
    assert not bool(trainer.network.feature_count.any()), "the network in training stays as it was"
    slices = Shapes(40, "train")
    batch = next(iter(DataLoader(slices, batch_size=len(slices))))
    with torch.no_grad():
        features = best.features(batch["kspace"], batch["mask"])
    rings = features[[name == "ring" for name in batch["anatomy"]]]
    torch.testing.assert_close(best.feature_mean[0], rings.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(best.feature_covariance[0], torch.cov(rings.T), atol=1e-5, rtol=1e-3)

    with (tmp_path / "confusion.csv").open() as file:
        rows = {(row["counted"], row["truth"]): (row["ring"], row["bars"]) for row in csv.DictReader(file)}
    assert rows == {
        ("slices", "ring"): ("16", "0"),
        ("slices", "bars"): ("0", "16"),
        ("files", "ring"): ("8", "0"),
        ("files", "bars"): ("0", "8"),
    }


def test_statistics_need_the_best_weights(tmp_path: Path) -> None:
    handler = FeatureStatistics(tmp_path, AnatomyClassifier(), [], PrepareAnatomyBatch(NAMES))
    trainer, _ = make(tmp_path / "run", epochs=1)
    with pytest.raises(OSError, match=r"model\.pt"):
        handler(trainer)


def batch(**changes: Any) -> dict[str, Any]:
    two = next(iter(DataLoader(Shapes(2, "a"), batch_size=4)))
    return {**two, **changes}


def test_a_batch_gives_kspace_labels_and_mask() -> None:
    items = batch()
    kspace, labels, args, kwargs = PrepareAnatomyBatch(("bars", "heart", "ring"))(items)
    assert kspace.shape == (4, COILS, SIZE, SIZE)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [2, 2, 0, 0]
    assert args == ()
    assert torch.equal(kwargs["mask"], items["mask"])
    assert kwargs["where"] == "a0.h5 slice 0, a0.h5 slice 1, a1.h5 slice 0, a1.h5 slice 1"
    del items["mask"]
    assert PrepareAnatomyBatch(NAMES)(items, "cpu")[3]["mask"] is None


def test_an_unknown_anatomy_is_an_error_that_names_file_and_known_names() -> None:
    with pytest.raises(ValueError, match=r"a0\.h5 slice 1: its anatomy is 'foot', expected one of ring, bars"):
        PrepareAnatomyBatch(NAMES)(batch(anatomy=["ring", "foot", "bars", "bars"]))
    with pytest.raises(ValueError, match="no 'kspace'"):
        PrepareAnatomyBatch(NAMES)({"file": []})


@pytest.mark.parametrize("names", [[], ["knee", "knee"], "knee"])
def test_names_must_differ(names: Any) -> None:
    with pytest.raises(ValueError, match="one or more different names"):
        PrepareAnatomyBatch(names)


def _bad(inputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    raise ValueError("no calibration lines")


@pytest.mark.parametrize(
    "kspace, network, error, words",
    [
        (torch.zeros(1, 1, 4, 4), _bad, ValueError, r"a\.h5 slice 3: no calibration lines"),
        (torch.full((1, 1, 4, 4), float("nan")), lambda k, m: k.sum((1, 2, 3))[:, None], ValueError, "repair"),
        (torch.zeros(1, 1, 4, 4), lambda k, m: k[:, 0, 0] / 0, FloatingPointError, "lower the learning rate"),
    ],
)
def test_failures_name_file_and_slice(
    kspace: torch.Tensor, network: Callable[..., torch.Tensor], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        ClassificationInferer()(kspace, network, where="a.h5 slice 3")
    assert "a.h5 slice 3" in str(raised.value)
