from __future__ import annotations

import functools
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.handlers import MetricsSaver, TensorBoardStatsHandler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon_monai.handlers import VolumeMetrics
from recon_monai.metrics import foreground_ssim, nmse, psnr, ssim

METRICS = {"ssim": ssim, "psnr": psnr}


def expected(function, items, stack) -> float:
    return function(prediction=stack(items, "image"), target=stack(items, "label"))


def test_means_groups_and_details(evaluate, make_volume, stack, tmp_path: Path) -> None:
    volumes = [
        make_volume("a.h5"),
        make_volume("a.h5", acceleration=8),
        make_volume("b.h5", slices=5),
        make_volume("k.h5", anatomy="knee"),
    ]
    metrics = VolumeMetrics(metrics=METRICS, key="ssim", group_by=["anatomy", "acceleration"])
    tensorboard = TensorBoardStatsHandler(log_dir=str(tmp_path), iteration_log=False)
    items = [item for volume in volumes for item in volume]
    evaluator = evaluate(items, [tensorboard], key_val_metric={"val_ssim": metrics}, epoch=3)
    tensorboard.close()
    for name, function in METRICS.items():
        values = [expected(function, volume, stack) for volume in volumes]
        state = evaluator.state
        assert state.metrics[f"val_{name}"] == pytest.approx(np.mean(values))
        assert state.metrics[f"val_{name}/brain/4x"] == pytest.approx((values[0] + values[2]) / 2)
        assert state.metrics[f"val_{name}/brain/8x"] == pytest.approx(values[1])
        assert state.metrics[f"val_{name}/knee/4x"] == pytest.approx(values[3])
        assert state.metric_details[f"val_{name}"].flatten().tolist() == pytest.approx(values)
    assert evaluator.state.best_metric == evaluator.state.metrics["val_ssim"]
    assert [(row["file"], row["group"]) for row in metrics.rows] == [
        ("a.h5", "brain/4x"),
        ("a.h5", "brain/8x"),
        ("b.h5", "brain/4x"),
        ("k.h5", "knee/4x"),
    ]
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Scalars("val_psnr/knee/4x")
    assert event.step == 3
    assert event.value == pytest.approx(evaluator.state.metrics["val_psnr/knee/4x"], rel=1e-6)


def test_second_epoch_starts_afresh(evaluate, make_volume, stack) -> None:
    metrics = VolumeMetrics(metrics=METRICS, key="psnr", group_by=())
    evaluate(make_volume("a.h5"), key_val_metric={"psnr": metrics})
    second = make_volume("b.h5")
    evaluator = evaluate(second, key_val_metric={"psnr": metrics})
    assert evaluator.state.metrics == pytest.approx(
        {"psnr": expected(psnr, second, stack), "ssim": expected(ssim, second, stack)}
    )


def test_undefined_values_are_counted_and_left_out(evaluate, make_volume, stack, caplog) -> None:
    good, empty = make_volume("a.h5"), make_volume("b.h5")
    for item in empty:
        item["label"] = torch.zeros_like(item["label"])
    metrics = VolumeMetrics(metrics={"nmse": nmse}, key="nmse")
    with caplog.at_level(logging.WARNING, "recon_monai"):
        evaluator = evaluate(good + empty, key_val_metric={"val_nmse": metrics})
    assert evaluator.state.metrics["val_nmse"] == pytest.approx(expected(nmse, good, stack))
    assert "val_nmse: 1 of 2 volumes have no defined value" in caplog.text
    evaluator = evaluate(empty, key_val_metric={"val_nmse": metrics})
    assert math.isnan(evaluator.state.metrics["val_nmse"])


def test_volumes_without_target_are_skipped_with_a_line(evaluate, make_volume, stack, caplog) -> None:
    good, without = make_volume("a.h5"), make_volume("b.h5", target=False)
    metrics = VolumeMetrics(metrics=METRICS, key="ssim")
    evaluator = evaluate(good + without, key_val_metric={"val_ssim": metrics})
    assert evaluator.state.metrics["val_ssim"] == pytest.approx(expected(ssim, good, stack))
    assert "1 volumes have no target and are left out: b.h5 (4x)" in caplog.text
    with pytest.raises(ValueError, match="no complete volume with a target"):
        evaluate(without, key_val_metric={"val_ssim": metrics})


def test_functions_that_ask_for_the_anatomy_get_it(evaluate, make_volume) -> None:
    seen = []

    def spy(*, prediction, target, anatomy) -> float:
        seen.append(anatomy)
        return 1.0

    snu = functools.partial(foreground_ssim, preset="snu")
    bound = functools.partial(spy, anatomy="fixed")
    knee = make_volume("k.h5", anatomy="knee")
    metrics = VolumeMetrics(metrics={"spy": spy, "bound": bound, "foreground_ssim": snu}, key="spy")
    evaluator = evaluate(knee, key_val_metric={"val_spy": metrics})
    assert seen == ["knee", "fixed"]
    volume = {"prediction": np.stack([i["image"][0] for i in knee]), "target": np.stack([i["label"][0] for i in knee])}
    assert evaluator.state.metrics["val_foreground_ssim"] == pytest.approx(foreground_ssim(**volume, threshold=2e-5))


def test_details_are_what_monais_metrics_saver_takes(evaluate, make_volume, tmp_path: Path) -> None:
    metrics = VolumeMetrics(metrics={"psnr": psnr}, key="psnr")
    items = make_volume("a.h5") + make_volume("b.h5")
    evaluate(items, [MetricsSaver(save_dir=str(tmp_path), metric_details="*")], key_val_metric={"val_psnr": metrics})
    lines = (tmp_path / "val_psnr_raw.csv").read_text().splitlines()
    assert float(lines[2].split(",")[1]) == pytest.approx(metrics.rows[1]["psnr"], abs=1e-3)


def test_errors_name_the_file(evaluate, make_volume) -> None:
    items = make_volume("a.h5")
    for item in items:
        item["label"] = item["label"][:, :-1]
    with pytest.raises(ValueError, match=r"a\.h5 \(4x\): ssim cannot be computed: .*differ in shape"):
        evaluate(items, key_val_metric={"val_ssim": VolumeMetrics(metrics=METRICS, key="ssim")})


def test_wrong_names_are_refused(evaluate, make_volume) -> None:
    with pytest.raises(ValueError, match="'nmse' is not one of the metrics"):
        VolumeMetrics(metrics=METRICS, key="nmse")
    with pytest.raises(ValueError, match="the name must end with it"):
        evaluate(make_volume("a.h5"), key_val_metric={"quality": VolumeMetrics(metrics=METRICS, key="ssim")})
