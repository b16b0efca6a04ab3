from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon_monai.losses import SSIMLoss
from recon_monai.metrics import ssim

FIXTURE = Path(__file__).parents[1] / "fixtures" / "metrics.npz"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_equal_to_fastmri(dtype: torch.dtype, tolerance: float) -> None:
    golden = np.load(FIXTURE)
    prediction, target = (torch.from_numpy(golden[name]).to(dtype)[:, None] for name in ("prediction", "target"))
    data_range = target.max().expand(len(target))
    loss = SSIMLoss()(prediction, target, data_range)
    assert loss.dtype == dtype
    assert float(loss) == pytest.approx(float(golden["ssim_loss_uniform7_volume_max"]), abs=tolerance)


def test_each_sample_has_its_own_data_range() -> None:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand((2, 1, 12, 15), generator=generator, dtype=torch.float64)
    prediction = target + 0.1 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    ranges = (0.8, 3.0)
    expected = [
        1 - ssim(prediction=p, target=t, data_range=r) for p, t, r in zip(prediction, target, ranges, strict=True)
    ]
    loss = SSIMLoss()(prediction, target, torch.tensor(ranges, dtype=torch.float64))
    assert float(loss) == pytest.approx(np.mean(expected), abs=1e-12)
