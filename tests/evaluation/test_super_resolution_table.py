"""Through a real MONAI evaluator; the generator is the identity, so that its quality is that of its input."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

from recon_monai import RESEARCH_NOTICE
from recon_monai.evaluation import InterpolationBaselinesd, SuperResolutionTable, paired_gain
from recon_monai.handlers import SuperResolutionMetrics
from recon_monai.inferers import SeamlessInferer
from recon_monai.metrics import quality_3d


def make_item(subject: str, recipe: str = "isotropic2", seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(1, 12, 10, 8, generator=generator)
    image = (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    fields = {"file": f"{subject}_{recipe}.nii.gz", "subject": subject, "recipe": recipe}
    return {**fields, "factor": torch.tensor([2.0, 2.0, 1.0]), "image": image, "label": target}


ITEMS = [make_item(subject, seed=index) for index, subject in enumerate("abc")] + [
    make_item("a", "thick3mm", 7),
    make_item("b", "thick3mm", 8),
]


def evaluate(items: list[dict[str, Any]], handlers: list[Any], **settings: Any) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(items, batch_size=1),
        network=torch.nn.Identity(),
        inferer=SeamlessInferer(8),
        postprocessing=InterpolationBaselinesd(),
        val_handlers=handlers,
        **settings,
    )
    evaluator.logger.disabled = True
    evaluator.run()
    return evaluator


def measured(item: dict[str, Any], image: torch.Tensor | None = None) -> dict[str, float]:
    shown = item["image"] if image is None else image
    return quality_3d(prediction=shown[0], target=item["label"][0])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_of_the_engine() -> None:
    key = {"val_psnr": SuperResolutionMetrics()}
    evaluator = evaluate(ITEMS, [], key_val_metric=key)
    values = [measured(item) for item in ITEMS]
    state = evaluator.state
    for name in ("ssim", "psnr", "nrmse", "sharpness"):
        assert state.metrics[f"val_{name}"] == pytest.approx(np.mean([value[name] for value in values]))
        thick = np.mean([value[name] for value in values[3:]])
        assert state.metrics[f"val_{name}/thick3mm"] == pytest.approx(thick)
        details = state.metric_details[f"val_{name}"].flatten().tolist()
        assert details == pytest.approx([value[name] for value in values])
    assert state.best_metric == state.metrics["val_psnr"]


def test_tables(tmp_path: Path) -> None:
    evaluate(ITEMS, [SuperResolutionTable(tmp_path, resamples=500)])
    volumes = read(tmp_path / "volumes.csv")
    assert len(volumes) == 4 * len(ITEMS)
    made = [InterpolationBaselinesd()(item) for item in ITEMS]
    for row in volumes:
        (item,) = [one for one in made if one["file"] == row["file"]]
        image = item["image" if row["method"] == "super-resolution" else row["method"]]
        assert float(row["psnr"]) == pytest.approx(measured(item, image)["psnr"], rel=1e-6)
    ours = {item["file"]: measured(item)["psnr"] for item in ITEMS}
    cubic = {item["file"]: measured(item, item["cubic"])["psnr"] for item in made}
    summary = {(row["recipe"], row["method"]): row for row in read(tmp_path / "summary.csv")}
    some = [ours[f"{subject}_isotropic2.nii.gz"] for subject in "abc"]
    row = summary["isotropic2", "super-resolution"]
    assert (row["subjects"], row["volumes"]) == ("3", "3")
    assert float(row["psnr"]) == pytest.approx(np.mean(some))
    assert float(row["psnr_sd"]) == pytest.approx(np.std(some, ddof=1))
    assert "7x7x7" in row["convention"] and row["notice"] == RESEARCH_NOTICE

    def subjects(values: dict[str, float]) -> list[float]:
        """A subject with two volumes counts once."""
        return [np.mean([value for file, value in values.items() if file.startswith(s)]) for s in "abc"]

    assert float(summary["all", "super-resolution"]["psnr"]) == pytest.approx(np.mean(subjects(ours)))
    assert summary["all", "super-resolution"]["volumes"] == "5"
    compared = {(r["recipe"], r["baseline"], r["metric"]): r for r in read(tmp_path / "gains.csv")}
    wanted = paired_gain(subjects(ours), subjects(cubic), resamples=500)
    row = compared["all", "cubic", "psnr"]
    assert [float(row[name]) for name in ("gain", "low", "high")] == pytest.approx(list(wanted[:3]), abs=1e-4)
    assert row["certain"] == str(wanted.is_certain)
    # less error is a gain
    error = {file: measured(item)["nrmse"] for file, item in zip(ours, ITEMS, strict=True)}
    theirs = {item["file"]: measured(item, item["sinc"])["nrmse"] for item in made}
    gain = np.mean(subjects(theirs)) - np.mean(subjects(error))
    assert float(compared["all", "sinc", "nrmse"]["gain"]) == pytest.approx(gain, abs=1e-5)
    page = (tmp_path / "summary.md").read_text()
    for words in (RESEARCH_NOTICE, "## thick3mm", "## all", "95% bootstrap interval", "| trilinear", "sharpness"):
        assert words in page


def test_one_subject_has_no_spread_and_no_interval(tmp_path: Path) -> None:
    evaluate(ITEMS[:1], [SuperResolutionTable(tmp_path, {"sinc": "sinc", "net": "pred"}, ["sinc"])])
    (row,) = [row for row in read(tmp_path / "summary.csv") if row["method"] == "net"]
    assert math.isnan(float(row["psnr_sd"]))
    assert all(math.isnan(float(row["low"])) and row["certain"] == "False" for row in read(tmp_path / "gains.csv"))
    assert "## all" not in (tmp_path / "summary.md").read_text()


def test_errors_name_the_file(tmp_path: Path) -> None:
    broken = {**ITEMS[0], "image": torch.full((1, 12, 10, 8), float("nan"))}
    with pytest.raises(ValueError, match=r"a_isotropic2\.nii\.gz: pred cannot be measured: .*NaN"):
        evaluate([broken], [SuperResolutionTable(tmp_path, {"net": "pred"}, [])])
    with pytest.raises(KeyError, match=r"a_isotropic2\.nii\.gz has no image 'other'"):
        evaluate(ITEMS[:1], [SuperResolutionTable(tmp_path, {"net": "other"}, [])])
    with pytest.raises(ValueError, match="'sinc' is not one of the methods"):
        SuperResolutionTable(tmp_path, {"net": "pred"}, ["sinc"])
    with pytest.raises(ValueError, match="'mse' is not one of the metrics"):
        SuperResolutionMetrics("mse")
