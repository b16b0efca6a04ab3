from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from recon_monai.evaluation import CGSense, L1Wavelet, coil_maps, tune_cg_sense, tune_l1_wavelet

TUNERS = pytest.mark.parametrize("tune", [tune_cg_sense, tune_l1_wavelet])


def nmse(image: torch.Tensor, target: torch.Tensor) -> float:
    return float((image - target).square().sum() / target.square().sum())


@pytest.fixture(name="items")
def items_fixture(acquire) -> Callable[..., Iterator[dict[str, Any]]]:
    """A function that yields validation items."""

    def items(count: int = 2) -> Iterator[dict[str, Any]]:
        for number in range(count):
            kspace, mask, target = acquire(number, noise_std=0.03)
            item = {"kspace": kspace, "target": target[:, 4:-4, 5:-5], "file": "a.h5", "slice": number}
            yield item | ({"mask": mask} if number else {})

    return items


@pytest.mark.parametrize(
    ("tune", "weights", "method_of"),
    [
        (tune_cg_sense, [0.3, 0.0003, 0.01], lambda row: CGSense(row.weight, row.iterations, row.maps)),
        (tune_l1_wavelet, [0.1, 0.0003, 0.01], lambda row: L1Wavelet(row.maps, row.weight, row.iterations)),
    ],
)
def test_tuning_tries_every_setting_as_the_method_itself_would(
    items, tune, weights, method_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = coil_maps.espirit_maps
    monkeypatch.setitem(coil_maps.MAPS, "espirit", lambda *args: calls.append(1) or original(*args))
    iterations = [12, 2, 6]
    outcome = tune(items(), weights, iterations)
    assert len(calls) == outcome.num_slices == 2  # maps once per slice
    monkeypatch.undo()
    assert [row[:3] for row in outcome.table] == [
        (maps, w, n) for maps in ("espirit", "calibration") for w in sorted(weights) for n in sorted(iterations)
    ]
    for row in outcome.table:
        method = method_of(row)
        expected = [nmse(method(item["kspace"])[:, 4:-4, 5:-5], item["target"]) for item in items()]
        assert row.nmse == pytest.approx(np.mean(expected), rel=1e-3)
    assert outcome.best == min(outcome.table, key=lambda row: row.nmse)
    worst = max(outcome.table, key=lambda row: row.nmse)
    assert outcome.best.nmse < 0.8 * worst.nmse


def test_the_wavelet_is_handed_on(items) -> None:
    (item,) = items(1)
    row = tune_l1_wavelet([item], [0.01], [6], ["calibration"], wavelet="haar").best
    image = L1Wavelet("calibration", 0.01, 6, "haar")(item["kspace"])
    assert row.nmse == pytest.approx(nmse(image[:, 4:-4, 5:-5], item["target"]), rel=1e-4)


@TUNERS
def test_a_best_weight_at_the_end_of_the_grid_is_reported(items, tune, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tune(items(1), [1.0, 10.0], [5])
    assert "the best weight 1 lies at the end of the grid [1.0, 10.0]" in caplog.text


def test_an_error_that_still_falls_at_the_end_of_the_grid_is_reported(items, caplog: pytest.LogCaptureFixture) -> None:
    weights = [0.0003, 0.003, 0.3]
    with caplog.at_level(logging.WARNING):
        tune_l1_wavelet(items(1), weights, [1, 2])
    assert "still falling after 2 iterations, the end of the grid [1, 2]" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        tune_cg_sense(items(1), [0.0001, 0.03, 1.0], [40, 41])  # converged
    assert not caplog.text


@TUNERS
def test_unusable_input_is_refused(items, acquire, tune) -> None:
    kspace, _, target = acquire()
    with pytest.raises(ValueError, match="no slices"):
        tune([])
    with pytest.raises(ValueError, match="at least one weight"):
        tune(items(), [], [5])
    with pytest.raises(ValueError, match="at least 1, got"):
        tune(items(), [0.1], [0])
    with pytest.raises(ValueError, match="unknown maps"):
        tune(items(), maps=["walsh"])
    with pytest.raises(ValueError, match=r"b\.h5, slice 3 is zero"):
        tune([{"kspace": kspace, "target": torch.zeros_like(target), "file": "b.h5", "slice": 3}])
