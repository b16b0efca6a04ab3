from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from recon_monai import RESEARCH_NOTICE
from recon_monai.evaluation import EvaluationTable
from recon_monai.metrics import nmse, nrmse, psnr, ssim

FUNCTIONS = {"ssim": ssim, "psnr": psnr, "nmse": nmse, "nrmse": nrmse}
IMAGES = {"reconstruction": "image", "zero_filled": "zero_filled"}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_hold_what_direct_computation_gives(evaluate, make_volume, stack, tmp_path: Path, caplog) -> None:
    volumes = {
        ("a.h5", "4"): make_volume("a.h5"),
        ("a.h5", "8"): make_volume("a.h5", acceleration=8),
        ("m.h5", "4"): make_volume("m.h5", slices=4, source="measured", anatomy="heart"),
    }
    with caplog.at_level(logging.INFO, "recon_monai"):
        evaluate([item for items in volumes.values() for item in items], [EvaluationTable(output_dir=tmp_path / "out")])

    rows = read(tmp_path / "out" / "volumes.csv")
    assert len(rows) == 6
    for row in rows:
        items = volumes[row["file"], row["acceleration"]]
        pair = {"prediction": stack(items, IMAGES[row["method"]]), "target": stack(items, "label")}
        assert {name: float(row[name]) for name in FUNCTIONS} == pytest.approx(
            {n: f(**pair) for n, f in FUNCTIONS.items()}
        )
        assert int(row["slices"]) == len(items)
        assert float(row["effective_acceleration"]) == pytest.approx(float(row["acceleration"]) * 0.9)
        assert row["notice"] == RESEARCH_NOTICE

    rows = read(tmp_path / "out" / "slices.csv")
    assert len(rows) == 20
    for row in rows:
        items = volumes[row["file"], row["acceleration"]]
        item = items[int(row["slice"])]
        pair = {"prediction": item[IMAGES[row["method"]]], "target": item["label"]}
        peak = float(stack(items, "label").max())
        assert {name: float(row[name]) for name in FUNCTIONS} == pytest.approx(
            {name: function(**pair, data_range=peak) for name, function in FUNCTIONS.items()}
        )

    (row,) = [
        row
        for row in read(tmp_path / "out" / "summary.csv")
        if (row["source"], row["acceleration"], row["method"]) == ("measured", "4", "reconstruction")
    ]
    heart = volumes["m.h5", "4"]
    target = stack(heart, "label")
    margin = psnr(prediction=stack(heart, "image"), target=target) - psnr(
        prediction=stack(heart, "zero_filled"), target=target
    )
    assert float(row["psnr_margin"]) == pytest.approx(margin)
    assert (float(row["ssim_better"]), float(row["nmse_better"])) == (1.0, 1.0)

    page = (tmp_path / "out" / "summary.md").read_text()
    assert page.index("## Measured k-space") < page.index("## Simulated k-space")
    assert f"{margin:+.2f}" in page
    assert "uniform 7x7" in page
    assert RESEARCH_NOTICE in page
    assert page in caplog.text
    assert str(tmp_path / "out") in caplog.text


def test_share_of_slices_counts_lost_ones(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5", slices=4)
    items[1]["image"] = items[1]["label"] + 3 * (items[1]["zero_filled"] - items[1]["label"])
    evaluate(items, [EvaluationTable(output_dir=tmp_path)])
    row = next(row for row in read(tmp_path / "summary.csv") if row["method"] == "reconstruction")
    assert (float(row["ssim_better"]), float(row["nmse_better"])) == (0.75, 0.75)


def test_more_methods_and_no_baseline(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5")
    for item in items:
        item["perfect"] = item["label"].clone()
    methods = {"reconstruction": "pred", "other": "perfect"}
    evaluate(items, [EvaluationTable(output_dir=tmp_path, methods=methods, baseline=None, title="Trial")])
    rows = {row["method"]: row for row in read(tmp_path / "summary.csv")}
    assert list(rows) == ["other", "reconstruction"]  # the network comes last
    assert float(rows["other"]["nmse"]) == 0
    assert float(rows["other"]["psnr"]) == np.inf
    page = (tmp_path / "summary.md").read_text()
    assert page.startswith("# Trial")
    assert "better" not in page
    with pytest.raises(ValueError, match="'zero_filled' is not one of the methods"):
        EvaluationTable(output_dir=tmp_path, methods=methods)


def test_volumes_without_target_and_incomplete_volumes(evaluate, make_volume, tmp_path: Path, caplog) -> None:
    without = make_volume("b.h5", target=False)
    evaluate(without, [EvaluationTable(output_dir=tmp_path / "none")])
    assert "no table is written" in caplog.text
    assert not (tmp_path / "none").exists()
    items = make_volume("a.h5") + without + make_volume("c.h5")[1:]
    with pytest.raises(RuntimeError, match=r"c\.h5 \(4x\) has slices 1, 2 only, of 3"):
        evaluate(items, [EvaluationTable(output_dir=tmp_path)])
    assert {row["file"] for row in read(tmp_path / "volumes.csv")} == {"a.h5"}
    assert "1 volumes have no target and are left out: b.h5 (4x)" in caplog.text


def test_undefined_values_are_written_as_such(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5")
    items[0]["label"] = torch.zeros_like(items[0]["label"])
    evaluate(items, [EvaluationTable(output_dir=tmp_path)])
    first = read(tmp_path / "slices.csv")[0]
    assert (first["slice"], first["nmse"]) == ("0", "nan")
    assert np.isfinite(float(first["ssim"]))


def test_further_metrics_of_volumes_are_in_the_tables(evaluate, make_volume, tmp_path: Path) -> None:
    seen = []

    def foreground_ssim(*, prediction, target, anatomy):
        seen.append(anatomy)
        return float(np.abs(np.asarray(prediction) - np.asarray(target)).max())

    items = make_volume("a.h5", anatomy="heart")
    table = EvaluationTable(output_dir=tmp_path, methods=IMAGES, volume_metrics={"foreground_ssim": foreground_ssim})
    evaluate(items, [table])
    target = np.stack([item["label"][0].numpy() for item in items])
    image = np.stack([item["image"][0].numpy() for item in items])
    row = next(row for row in read(tmp_path / "volumes.csv") if row["method"] == "reconstruction")
    assert float(row["foreground_ssim"]) == pytest.approx(np.abs(image - target).max(), rel=1e-6)
    assert seen == ["heart", "heart"]
    page = (tmp_path / "summary.md").read_text()
    assert "| foreground SSIM |" in page
    assert "masked by the target's foreground" in page
    assert "foreground_ssim" not in read(tmp_path / "slices.csv")[0]
