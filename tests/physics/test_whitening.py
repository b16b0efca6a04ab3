from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    correlated_noise,
    keyed_generator,
    noise_covariance,
    prewhiten,
    simulate_noise_covariance,
)


def noise_of(num_coils: int, shape: tuple[int, int] = (64, 64)) -> tuple[torch.Tensor, torch.Tensor]:
    covariance = simulate_noise_covariance(num_coils, keyed_generator("covariance", num_coils))
    return correlated_noise((num_coils, *shape), covariance, keyed_generator("noise", num_coils)), covariance


def test_covariance_is_estimated_with_the_error_of_its_number_of_samples() -> None:
    noise, covariance = noise_of(6, (200, 200))
    found = noise_covariance(noise)
    assert found.dtype == torch.complex128
    torch.testing.assert_close(found, found.mH, rtol=0, atol=0)
    # an estimated element has a variance of the product of the two variances over the number of samples
    error = (found - covariance).abs().square().sum().sqrt()
    assert error < 1.5 * covariance.diagonal().real.sum() / 200


@pytest.mark.parametrize("num_coils", [1, 5, 16])
def test_whitened_noise_has_identity_covariance(num_coils: int) -> None:
    noise, _ = noise_of(num_coils)
    own = noise_covariance(prewhiten(noise, noise_covariance(noise)))
    torch.testing.assert_close(own, torch.eye(num_coils, dtype=torch.complex128), rtol=0, atol=1e-5)


def test_whitening_is_linear_over_samples_and_invertible_by_the_cholesky_factor() -> None:
    kspace, covariance = noise_of(4, (6, 8))
    white = prewhiten(kspace[None], covariance)[0]
    factor = torch.linalg.cholesky(covariance).to(torch.complex64)
    torch.testing.assert_close(torch.einsum("ij,jhw->ihw", factor, white), kspace)
    assert white.dtype == torch.complex64
    zeroed = kspace.clone()
    zeroed[:, :, [1, 4]] = 0
    assert (prewhiten(zeroed, covariance)[:, :, [1, 4]] == 0).all()


def test_against_sigpy() -> None:
    util = pytest.importorskip("sigpy.mri.util")
    noise, _ = noise_of(5)
    centered = (noise - noise.mean(dim=(1, 2), keepdim=True)).to(torch.complex128)
    # sigpy's covariance is a sum over the samples, and the array that it is given is changed
    theirs = util.get_cov(centered.numpy().copy()) / centered[0].numel()
    np.testing.assert_allclose(noise_covariance(centered).numpy(), theirs, atol=1e-12)
    white = prewhiten(noise.to(torch.complex128), torch.from_numpy(theirs))
    np.testing.assert_allclose(white.numpy(), util.whiten(noise.to(torch.complex128).numpy(), theirs), atol=1e-10)


def test_bad_input() -> None:
    noise, covariance = noise_of(4, (6, 8))
    with pytest.raises(ValueError, match=r"complex samples \(coil, ...\), got torch.float32"):
        noise_covariance(noise.real)
    with pytest.raises(ValueError, match="3 samples cannot give the noise covariance of 4 coils"):
        noise_covariance(noise[:, 0, :3])
    with pytest.raises(ValueError, match="as many coils"):
        prewhiten(noise, covariance[:3, :3])
    with pytest.raises(ValueError, match=r"not positive definite \(at coil 2\)"):
        prewhiten(noise, torch.diag(torch.tensor([1.0, 1.0, 0.0, 1.0])))
