"""Examples in docstrings run, and the parts that are worth importing have one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import griffe
import pytest
import torch

ROOT = Path(__file__).parents[1]

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "recon_monai").rglob("*.py")
    if "    >>> " in path.read_text(encoding="utf-8")
)

WITH_EXAMPLE = {
    "recon_monai.inferers": ["SeamlessInferer"],
    "recon_monai.losses": [
        "AttentionDistillationLoss",
        "FocalSSIMLoss",
        "ReconstructionLoss",
        "SSIMLoss",
        "WassersteinGPLoss",
        "gradient_penalty",
    ],
    "recon_monai.metrics": ["VolumeSSIM", "ssim"],
    "recon_monai.networks": [
        "ASPIN",
        "DIRCN",
        "MDCSRN",
        "AnatomyClassifier",
        "SqueezeExcitation",
        "UniversalVarNet",
        "VarNet",
    ],
    "recon_monai.physics": [
        "EquispacedFractionMask",
        "SenseOperator",
        "calibration_mask",
        "center_crop_or_pad",
        "create_mask",
        "fft2c",
        "normalize_maps",
        "rss",
        "simulate_kspace",
        "simulate_low_resolution",
    ],
    "recon_monai.solvers": ["Tikhonov", "least_squares", "tikhonov", "total_variation"],
    "recon_monai.transforms": ["Undersampled"],
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    torch.manual_seed(0)
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed, "see what doctest printed"


@pytest.mark.parametrize("package", WITH_EXAMPLE)
def test_main_parts_have_an_example(package):
    parts = {name: getattr(importlib.import_module(package), name) for name in WITH_EXAMPLE[package]}
    without = [name for name, part in parts.items() if "\nExamples:\n    >>> " not in inspect.cleandoc(part.__doc__)]
    assert not without


def test_the_site_understands_every_docstring(caplog):
    """What its parser warns of ends the building of the site: arguments that are none, broken sections."""
    options = {"returns_multiple_items": False, "returns_named_value": False}
    package = griffe.load(
        "recon_monai",
        docstring_parser="google",
        docstring_options=options,
        search_paths=[ROOT],
        allow_inspection=False,
    )
    parsed = 0
    waiting = [package]
    while waiting:
        part = waiting.pop()
        if part.docstring:
            parsed += len(part.docstring.parsed)
        waiting += [member for member in part.members.values() if not member.is_alias]
    assert parsed > 1000
    assert not [record.getMessage() for record in caplog.records]
