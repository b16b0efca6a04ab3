from __future__ import annotations

import logging

import pytest
import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler, from_engine

from recon_monai.metrics import (
    ForegroundSSIM,
    VolumeNMSE,
    VolumeNRMSE,
    VolumePSNR,
    VolumeSSIM,
    foreground_ssim,
    nmse,
    nrmse,
    psnr,
    ssim,
)

PAIRS = [
    (VolumeSSIM, ssim),
    (VolumePSNR, psnr),
    (VolumeNMSE, nmse),
    (VolumeNRMSE, nrmse),
    (ForegroundSSIM, foreground_ssim),
]


def volumes(*sizes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(2)
    pairs = []
    for size in sizes:
        target = torch.rand((1, 7, size, 12), generator=generator) + 0.1
        pairs.append((target + 0.05 * torch.randn(target.shape, generator=generator), target))
    return pairs


@pytest.mark.parametrize(("metric_class", "function"), PAIRS)
def test_batches_and_lists_equal_the_functions(metric_class, function) -> None:
    pairs = volumes(16, 16)
    expected = [function(prediction=p[0], target=t[0]) for p, t in pairs]
    metric = metric_class()
    values = metric(torch.stack([p for p, _ in pairs]), torch.stack([t for _, t in pairs]))
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64)[:, None])
    (p, t), *_ = volumes(20)
    metric([p], [t])
    expected.append(function(prediction=p[0], target=t[0]))
    assert float(metric.aggregate()) == pytest.approx(sum(expected) / 3)
    metric.reset()
    with pytest.raises(ValueError, match="seen no volume"):
        metric.aggregate()


def test_data_ranges_belong_to_their_volumes() -> None:
    pairs = volumes(16, 18)
    metric = VolumePSNR()
    values = metric([p for p, _ in pairs], [t for _, t in pairs], data_range=[2.0, 3.0])
    expected = [psnr(prediction=p[0], target=t[0], data_range=r) for (p, t), r in zip(pairs, (2.0, 3.0), strict=True)]
    assert values.flatten().tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"one value per volume \(1\), got 2"):
        metric(pairs[0][0][None], pairs[0][1][None], data_range=[1.0, 2.0])


def test_three_dimensional_ssim() -> None:
    (p, t), *_ = volumes(16)
    assert VolumeSSIM(spatial_dims=3)(p[None], t[None]).item() == ssim(prediction=p[0], target=t[0], spatial_dims=3)


def test_undefined_values_are_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    (p, t), *_ = volumes(16)
    metric = VolumeNMSE()
    metric([p, p], [t, torch.zeros_like(t)])
    with caplog.at_level(logging.WARNING, "recon_monai"):
        assert float(metric.aggregate()) == pytest.approx(nmse(prediction=p[0], target=t[0]))
    assert "1 of 2 volumes have no defined value" in caplog.text
    metric.reset()
    metric([p], [torch.zeros_like(t)])
    assert metric.aggregate().isnan()


def test_foreground_keeps_threshold_and_empty_masks() -> None:
    (p, t), *_ = volumes(16)
    metric = ForegroundSSIM(threshold=50.0)
    metric(p[None], t[None])
    assert metric.aggregate().isnan()
    assert [(result.threshold, result.num_empty) for result in metric.results] == [(50.0, 7)]
    metric.reset()
    assert metric.results == []


def test_works_with_monais_ignite_handler() -> None:
    pairs = volumes(16, 18)
    engine = Engine(lambda _, pair: [{"pred": pair[0], "label": pair[1]}])
    handler = IgniteMetricHandler(metric_fn=VolumeSSIM(), output_transform=from_engine(["pred", "label"]))
    handler.attach(engine, "val_ssim")
    state = engine.run(pairs)
    expected = [ssim(prediction=p[0], target=t[0]) for p, t in pairs]
    assert state.metrics["val_ssim"] == pytest.approx(sum(expected) / 2)
    assert state.metric_details["val_ssim"].flatten().tolist() == pytest.approx(expected)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"volumes \(B, 1, D, H, W\), got \(1, 1, 8, 8\)"):
        VolumeSSIM()(torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="differ in shape"):
        VolumeSSIM()(torch.ones(1, 1, 2, 8, 8), torch.ones(1, 1, 2, 8, 9))
    with pytest.raises(ValueError, match="got none"):
        VolumeSSIM()(torch.ones(1, 1, 2, 8, 8))
