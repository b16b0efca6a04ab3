"""Warnings where volumes are unlike what super-resolution weights were trained on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from recon_monai.engines import super_resolution_domain
from recon_monai.handlers import VolumeDomainCheck

NAN = float("nan")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    described = super_resolution_domain(
        spacings=[(1.0, 1.0, 1.2)], factors=[(2, 2, 1), (1, 1, 4)], contrasts=["T1"], interpolation="fourier"
    )
    (tmp_path / "model.json").write_text(json.dumps(described))
    return tmp_path / "model.pt"


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Items of a data set, whose contrast is in the name of the file that they come from."""

    def item(name: str = "sub-1_T1w.nii", spacing: Any = (1.0, 1.0, 1.2), factor: Any = (2, 2, 1)) -> dict[str, Any]:
        path = tmp_path / name
        nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.float32), np.diag([*spacing, 1.0])), path)
        numbers = {"spacing": torch.tensor(spacing), "factor": torch.tensor([float(one) for one in factor])}
        return {"file": name, "path": str(path), "image": torch.zeros(1, 2, 2, 2), **numbers}

    return item


def warnings(evaluate: Any, caplog: pytest.LogCaptureFixture, check: VolumeDomainCheck, *items: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        evaluate(items, [check])
    return caplog.messages


def test_what_was_trained_passes_silently(weights, make, evaluate, caplog):
    check = VolumeDomainCheck(weights, "fourier")
    items = [make(), make(factor=(1, 3.7, 1)), make(factor=(NAN, NAN, NAN))]
    assert warnings(evaluate, caplog, check, *items) == []


def test_contrasts_that_cannot_be_compared_are_said_once(weights, make, evaluate, caplog):
    check = VolumeDomainCheck(weights, "fourier")
    (message,) = warnings(evaluate, caplog, check, make(), make("sub-2.nii"), make("sub-3.nii"))
    assert message.startswith("sub-2.nii: neither names nor headers say the contrast (trained: T1)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spacing": (0.5, 0.5, 1)},
            "voxels of 0.5 x 0.5 x 1 mm were never trained (trained: sides of 1 to 1.2 mm)",
        ),
        ({"factor": (1, 1, 6)}, "an input 6 times coarser than the output was never trained (trained: up to 4)"),
        (
            {"factor": (2, 2, 2)},
            "an input that is coarser along 3 axes (2 x 2 x 2) was never trained (trained: 1 or 2)",
        ),
        ({"name": "sub-1_T2w.nii"}, "the contrast T2 was never trained (trained: T1)"),
    ],
)
def test_each_difference_is_said_once_a_run(weights, make, evaluate, caplog, changes, message):
    item, check = make(**changes), VolumeDomainCheck(weights)
    expected = [f"{item['file']}: {message}; judge the result with care"]
    for _ in range(2):
        assert warnings(evaluate, caplog, check, item, {**item, "file": "again.nii"}) == expected


def test_a_record_without_factors_is_said_once(weights, make, evaluate, caplog):
    record = json.loads((weights.parent / "model.json").read_text())
    (weights.parent / "model.json").write_text(json.dumps({**record, "factors": []}))
    (message,) = warnings(evaluate, caplog, VolumeDomainCheck(weights), make(factor=(6, 6, 6)), make())
    assert "resolutions cannot be compared" in message


def test_another_interpolation_is_said(weights, make, evaluate, caplog):
    (message,) = warnings(evaluate, caplog, VolumeDomainCheck(weights, "cubic"), make())
    assert message == (
        f"{weights}: low resolution is interpolated by cubic, and the weights were trained with fourier; give "
        "--interpolation fourier, or judge the results with care"
    )


def test_another_scale_is_said(weights, make, evaluate, caplog):
    def said(*scale: object) -> list[str]:
        return warnings(evaluate, caplog, VolumeDomainCheck(weights, "fourier", *scale), make())

    assert said("percentile", 99.9) == said() == []
    (message,) = said("maximum")
    assert message == (
        f"{weights}: intensities are divided by the maximum, and the weights were trained with the percentile 99.9; "
        "give --scale percentile --percentile 99.9, or judge the results with care"
    )
    assert "divided by the percentile 99," in said("percentile", 99.0)[0]
    assert "divided by 4095," in said(4095)[0]
    record = json.loads(weights.with_name("model.json").read_text())
    del record["scale"], record["percentile"]  # as it was written before
    weights.with_name("model.json").write_text(json.dumps(record))
    assert said("maximum") == []


def test_weights_without_a_record_say_so(weights, make, evaluate, caplog):
    record = weights.with_suffix(".json")
    record.rename(record.with_name("pretrained.json"))
    assert warnings(evaluate, caplog, VolumeDomainCheck(weights.with_name("pretrained.pt"), "fourier"), make()) == []
    (message,) = warnings(evaluate, caplog, VolumeDomainCheck(weights, "fourier"), make())
    assert "has no record beside it (model.json)" in message
