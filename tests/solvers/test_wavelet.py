"""The wavelet transform against PyWavelets, the reconstruction against sigpy and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import sigpy.mri.app
import torch

from recon_monai.physics import IdentityOperator, keyed_generator
from recon_monai.solvers import WaveletOperator, l1_wavelet, soft_threshold


def random(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=keyed_generator("wavelet", *shape))


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym3"])
@pytest.mark.parametrize("shape", [(1, 32, 48), (16, 16, 32)])
def test_coefficients_are_those_of_pywavelets(wavelet: str, shape: tuple[int, ...]) -> None:
    image = random(*shape)
    operator = WaveletOperator(shape, wavelet, 1 if wavelet == "sym3" else 2 if min(shape) == 1 else 1)
    axes = tuple(axis for axis in range(3) if shape[axis] > 1)
    parts = pywt.wavedecn(image.numpy(), wavelet, mode="periodization", level=operator.levels, axes=axes)
    expected, _ = pywt.coeffs_to_array(parts, axes=axes)
    np.testing.assert_allclose(operator(image), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
@pytest.mark.parametrize(("shape", "levels"), [((1, 32, 32), 2), ((1, 31, 41), 2), ((9, 17, 23), 0), ((1, 5, 1), 0)])
def test_adjoint_inverse_and_unitary(shape: tuple[int, ...], levels: int, dtype: torch.dtype) -> None:
    operator = WaveletOperator(shape, "db4")
    assert operator.levels == levels
    x, y = random(2, *shape, dtype=dtype), random(2, *operator.range_shape, dtype=dtype)
    left = torch.vdot(operator(x).flatten(), y.flatten())
    torch.testing.assert_close(left, torch.vdot(x.flatten(), operator.adjoint(y).flatten()))
    torch.testing.assert_close(operator.adjoint(operator(x)), x)
    if operator.range_shape == shape:
        torch.testing.assert_close(operator(operator.adjoint(y)), y)
    assert all(size % 2**levels == 0 for size in operator.range_shape if size > 1)


def test_denoising_is_a_threshold_of_coefficients() -> None:
    image = random(1, 24, 20)
    transform = WaveletOperator(image.shape, "db4", 2)
    found = l1_wavelet(IdentityOperator(image.shape), image, 0.8, levels=2, step=1.0, iterations=1)
    torch.testing.assert_close(found.image, transform.adjoint(soft_threshold(transform(image), 0.8)))
    assert (transform(found.image).abs() < 1e-12).double().mean() > 0.3


def test_image_and_objective_are_those_of_sigpy(make_problem) -> None:
    """Haar's is the one wavelet whose transform in sigpy is unitary, so that both solve the same problem."""
    problem = make_problem(noise=0.05)
    weight = 0.02
    app = sigpy.mri.app.L1WaveletRecon(
        problem.kspace.numpy(),
        problem.maps.numpy(),
        weight,
        weights=problem.mask.expand(1, 32, 32)[0].double().numpy(),
        wave_name="haar",
        alpha=1.0,
        max_iter=500,
        show_pbar=False,
    )
    theirs = torch.from_numpy(app.run())[None]
    ours = l1_wavelet(problem.operator, problem.kspace, weight, wavelet="haar", step=1.0, iterations=500)
    torch.testing.assert_close(ours.image, theirs, rtol=0, atol=1e-5)
    assert ours.objective[-1].item() == pytest.approx(app.objective(), rel=1e-6)
    assert ours.objective[-1] < 0.3 * ours.objective[0]


@pytest.mark.parametrize("wavelet", ["db4", "haar"])
def test_ista_on_coefficients_falls_and_a_noiseless_phantom_is_recovered(make_problem, wavelet: str) -> None:
    problem = make_problem(size=31)  # padded to 32
    plain = l1_wavelet(problem.operator, problem.kspace, 0.01, wavelet=wavelet, accelerated=False, iterations=60)
    assert (plain.objective.diff() <= 1e-12).all()
    found = l1_wavelet(problem.operator, problem.kspace, 1e-6, wavelet=wavelet, step=1.0, iterations=300)
    assert (found.image - problem.truth).abs().max() < 1e-3


def test_what_cannot_be_used_is_refused() -> None:
    for name in ("daubechies", "bior2.2"):
        with pytest.raises(ValueError, match=f"wavelet is '{name}', expected an orthogonal one"):
            WaveletOperator((8, 8), name)
    with pytest.raises(ValueError, match="levels is -1"):
        WaveletOperator((8, 8), levels=-1)
    with pytest.raises(ValueError, match="weight is -1"):
        l1_wavelet(IdentityOperator((8, 8)), torch.zeros(8, 8), -1.0)
