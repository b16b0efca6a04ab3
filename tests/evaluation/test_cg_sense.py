"""CG-SENSE in an evaluation: tuned on validation files only, and the same image as called directly."""

from __future__ import annotations

import json

import pytest
import torch

from recon_monai.data import write_fastmri_h5
from recon_monai.evaluation import CGSense, CGSensed, tune_on_validation
from recon_monai.metrics import nmse
from recon_monai.physics import (
    EquispacedFractionMask,
    center_crop_or_pad,
    ifft2c,
    keyed_generator,
    normalize_maps,
    rss,
    seed_from_name,
    simulate_coil_maps,
    simulate_kspace,
)


def slice_of(subject: int, size: int = 40) -> torch.Tensor:
    generator = keyed_generator("cg-sense", subject)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    image = (x**2 + y**2 < 0.7).float() + ((x - 0.2) ** 2 + (y + 0.3) ** 2 < 0.05)
    maps = normalize_maps(simulate_coil_maps(6, (size, size), generator))
    return simulate_kspace(image, maps, noise_std=0.02, generator=generator)


@pytest.fixture
def dataset(tmp_path):
    for subject, name in enumerate(("val.h5", "test.h5")):
        kspace = slice_of(subject)
        write_fastmri_h5(tmp_path / name, kspace=[kspace], target=[rss(ifft2c(kspace))[0]])
    content = {"train": [], "val": ["val.h5"], "test": ["test.h5"], "subjects": {"val.h5": "a", "test.h5": "b"}}
    (tmp_path / "split.json").write_text(json.dumps(content))
    return tmp_path


def test_tuning_reads_validation_files_and_finds_the_best_of_its_table(dataset):
    (dataset / "test.h5").write_bytes(b"reading this would fail")
    tuned = tune_on_validation(str(dataset), str(dataset / "out.json"), [2], [0.3])
    written = json.loads((dataset / "out.json").read_text())
    best = tuned["2"].best
    assert written["cg_sense"] == {"2": {"maps": best.maps, "weight": best.weight, "iterations": best.iterations}}
    assert best.nmse == min(row["nmse"] for row in written["table"]["2"])
    assert written["slices"] == {"2": 1}

    mask = EquispacedFractionMask([0.3], [2])(40, seed=seed_from_name("val.h5"), acceleration=2).mask
    kspace = slice_of(0)
    image = CGSense(best.weight, best.iterations, best.maps)(kspace * mask, mask)
    assert best.nmse == pytest.approx(nmse(prediction=image, target=rss(ifft2c(kspace))), rel=1e-4)


def test_transform_gives_the_cropped_image_of_the_setting():
    mask = EquispacedFractionMask([0.3], [2])(40, seed=1).mask
    kspace = slice_of(0) * mask
    item = {"kspace": kspace, "mask": mask, "acceleration": 2, "output_size": torch.tensor([20, 44]), "file": "a.h5"}
    settings = {"2": {"weight": 0.1, "iterations": 3}, "4": {"maps": "calibration", "weight": 0.01}}
    result = CGSensed(settings)(item)
    expected = center_crop_or_pad(CGSense(0.1, 3)(kspace, mask), (20, 44))
    torch.testing.assert_close(result["cg_sense"], expected)
    with pytest.raises(ValueError, match=r"a\.h5 is undersampled 8x .* \[2, 4\]"):
        CGSensed(settings)({**item, "acceleration": 8})
