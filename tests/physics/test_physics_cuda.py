from __future__ import annotations

import pytest
import torch

from recon_monai.physics import (
    EquispacedMask,
    SenseOperator,
    calibration_mask,
    decenter,
    decenter_mask,
    fft2c,
    ifft2c,
    infer_mask,
    keyed_generator,
    normalize_maps,
    recenter,
    rss,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("size", [(16, 20), (15, 21)])
def test_results_on_the_gpu_are_those_on_the_cpu(size: tuple[int, int]) -> None:
    kspace = torch.randn(2, 3, *size, dtype=torch.complex128, generator=keyed_generator("gpu"))
    mask = EquispacedMask([0.3], [2])(size[1], seed=0).mask[None].expand(2, 1, 1, size[1])
    box = mask.expand(2, 1, *size).clone()
    box[..., 0, :] = False
    maps = normalize_maps(kspace)

    def results(device: str) -> list[torch.Tensor]:
        k, m, b, s = (tensor.to(device) for tensor in (kspace, mask, box, maps))
        operator = SenseOperator(s, m)
        image = operator.adjoint(k)
        fourier = [fft2c(k), ifft2c(k), decenter(k), recenter(k), rss(k), normalize_maps(k)]
        masks = [decenter_mask(b), infer_mask(k * b), calibration_mask(m), calibration_mask(m, "run")]
        return [*fourier, *masks, calibration_mask(b), image, operator(image), operator.normal(image)]

    for on_cpu, on_gpu in zip(results("cpu"), results("cuda"), strict=True):
        assert on_gpu.is_cuda
        torch.testing.assert_close(on_gpu.cpu(), on_cpu)
