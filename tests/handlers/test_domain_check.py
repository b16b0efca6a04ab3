"""Warnings where data are unlike what the weights were trained on."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from recon_monai.handlers import DomainCheck

TRAINED = {
    "anatomies": {"brain": 10},
    "acquisitions": {"AXT2": 10},
    "sources": {"simulated": 10},
    "coils": [4, 8],
    "accelerations": [4, 8],
    "center_fractions": [0.04, 0.08],
    "mask": "equispaced_fraction",
}
LIKE = {"kspace": torch.zeros(6, 20, 24, dtype=torch.complex64), "mask_kind": "equispaced_fraction"}


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(TRAINED))
    return tmp_path / "model.pt"


def test_what_was_trained_passes_silently(weights, make_volume, evaluate, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(make_volume("a.h5", **LIKE), [DomainCheck(weights)])
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"acceleration": 6}, "acceleration 6 was never trained (trained: 4, 8)"),
        ({"anatomy": "knee"}, "the anatomy knee was never trained (trained: brain)"),
        ({"acquisition": "AXFLAIR"}, "the contrast AXFLAIR was never trained (trained: AXT2)"),
        ({"kspace": torch.zeros(32, 4, 4, dtype=torch.complex64)}, "32 coils were never trained (trained: 4, 8)"),
        ({"mask_kind": "poisson"}, "masks of the kind poisson were never trained (trained: equispaced_fraction)"),
    ],
)
def test_each_difference_is_said_once(weights, make_volume, evaluate, caplog, fields, message):
    with caplog.at_level(logging.WARNING):
        evaluate(make_volume("a.h5", slices=3, **{**LIKE, **fields}), [DomainCheck(weights)])
    assert caplog.messages == [f"a.h5: {message}; judge the result with care"]


def test_irregular_columns_of_a_file_are_noticed(weights, make_volume, evaluate, caplog):
    regular, irregular = (torch.zeros(1, 1, 64, dtype=torch.bool) for _ in range(2))
    regular[..., 1::4] = True
    irregular[..., [0, 3, 11, 13, 20, 22, 41, 47, 50, 60, 63]] = True
    for mask in (regular, irregular):
        mask[..., 29:35] = True
    for mask, count in ((regular, 0), (irregular, 1)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            evaluate(make_volume("a.h5", **{**LIKE, "mask_kind": "columns", "mask": mask}), [DomainCheck(weights)])
        assert len(caplog.messages) == count
    assert "irregularly spaced columns were never trained" in caplog.text


def test_weights_without_a_record_say_so(tmp_path, make_volume, evaluate, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(make_volume("a.h5", **LIKE), [DomainCheck(tmp_path / "other.pt")])
    assert len(caplog.messages) == 1
    assert "has no record beside it (other.json)" in caplog.messages[0]


def test_the_state_of_a_run_shares_the_record_of_its_folder(weights, make_volume, evaluate, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(make_volume("a.h5", **{**LIKE, "acceleration": 3}), [DomainCheck(weights.with_name("last.pt"))])
    assert len(caplog.messages) == 1
    assert "acceleration 3 was never trained" in caplog.messages[0]


@pytest.mark.parametrize(
    ("trained", "kind", "warned"),
    [
        ("equispaced_fraction+poisson", "poisson", False),
        ("equispaced_fraction+poisson", "2-D", False),
        ("equispaced_fraction+poisson", "columns", False),
        ("equispaced_fraction+poisson", "gaussian", True),
        ("equispaced_fraction+gaussian", "2-D", True),
        ("poisson", "columns", True),
    ],
)
def test_a_mixture_of_masks_covers_its_kinds(weights, make_volume, evaluate, caplog, trained, kind, warned):
    record = weights.with_name("model.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "mask": trained}))
    with caplog.at_level(logging.WARNING):
        evaluate(make_volume("a.h5", **{**LIKE, "mask_kind": kind}), [DomainCheck(weights)])
    assert caplog.messages == (
        [f"a.h5: masks of the kind {kind} were never trained (trained: {trained}); judge the result with care"]
        if warned
        else []
    )
