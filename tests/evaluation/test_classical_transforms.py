"""The baselines in an evaluation: the same image as called directly."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from recon_monai.evaluation import CGSense, CGSensed, Classicald, L1Wavelet, L1Waveletd
from recon_monai.physics import center_crop_or_pad
from recon_monai.solvers import Tikhonov


@pytest.mark.parametrize(
    ("transform", "settings", "method", "key", "name"),
    [
        (CGSensed, {"weight": 0.1, "iterations": 3}, CGSense(0.1, 3), "cg_sense", "CG-SENSE"),
        (
            L1Waveletd,
            {"weight": 0.01, "iterations": 3, "wavelet": "haar"},
            L1Wavelet("espirit", 0.01, 3, "haar"),
            "l1_wavelet",
            "L1-wavelet",
        ),
        (
            partial(Classicald, "tikhonov_gradient"),
            {"weight": 0.01, "iterations": 3},
            Tikhonov(0.01, 3, on="gradient"),
            "tikhonov_gradient",
            "tikhonov_gradient",
        ),
    ],
)
def test_transform_gives_the_cropped_image_of_the_setting(acquire, transform, settings, method, key, name):
    kspace, mask, _ = acquire()
    item = {"kspace": kspace, "mask": mask, "acceleration": 2, "output_size": torch.tensor([20, 44]), "file": "a.h5"}
    settings = {"2": settings, "4": {"maps": "calibration", "weight": 0.01}}
    result = transform(settings)(item)
    assert result.keys() - item.keys() == {key}
    torch.testing.assert_close(result[key], center_crop_or_pad(method(kspace, mask), (20, 44)))
    other = transform(settings, "measured", "out", "size")({**item, "measured": kspace, "size": (20, 44)})
    assert torch.equal(other["out"], result[key])
    with pytest.raises(ValueError, match=rf"a\.h5 is undersampled 8x and {name} has settings for \[2, 4\]"):
        transform(settings)({**item, "acceleration": 8})
