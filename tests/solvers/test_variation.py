"""Total variation against sigpy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import sigpy.mri.app
import torch
from skimage.restoration import denoise_tv_chambolle

from recon_monai.physics import GradientOperator, IdentityOperator, keyed_generator
from recon_monai.solvers import LeastSquares, TotalVariation, TotalVariationProx, total_variation


def test_image_and_objective_are_those_of_sigpy(make_problem) -> None:
    problem = make_problem(noise=0.05)
    weight = 0.02
    app = sigpy.mri.app.TotalVariationRecon(
        problem.kspace.numpy(),
        problem.maps.numpy(),
        weight,
        weights=problem.mask.expand(1, 32, 32)[0].double().numpy(),
        max_iter=1500,
        show_pbar=False,
    )
    theirs = torch.from_numpy(app.run())[None]
    ours = total_variation(
        problem.operator, problem.kspace, weight, isotropic=False, iterations=150, inner_iterations=20
    )
    torch.testing.assert_close(ours.image, theirs, rtol=0, atol=2e-3)
    differences = GradientOperator((1, 32, 32))(theirs).abs().sum()
    residual = (problem.operator(theirs) - problem.kspace).abs().square().sum()
    assert ours.objective[-1].item() == pytest.approx((0.5 * residual + weight * differences).item(), rel=1e-5)
    assert ours.objective[-1] < 0.2 * ours.objective[0]


@pytest.mark.parametrize("noise_seed", [0, 1])
def test_isotropic_denoising_against_scikit_image(noise_seed: int) -> None:
    """Both take differences of next neighbors; a border of zeros hides that one of them is periodic."""
    noise = torch.randn(20, 20, dtype=torch.float64, generator=keyed_generator("tv", noise_seed))
    noisy = torch.zeros(44, 44, dtype=torch.float64)
    noisy[12:32, 12:32] = 1 + 0.2 * noise
    expected = denoise_tv_chambolle(noisy.numpy(), weight=0.15, eps=1e-9, max_num_iter=3000)
    found = TotalVariationProx((44, 44), 0.15, iterations=600)(noisy)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert (found - noisy).abs().max() > 0.1


def test_a_phantom_is_recovered_from_too_few_noiseless_samples(make_problem) -> None:
    """With one coil least squares cannot fill k-space; edges that are few can (Candes, Romberg and Tao 2006)."""
    problem = make_problem(coils=1, phase=0.0)
    generator = keyed_generator("tv", "mask")
    mask = torch.rand(1, 32, 32, generator=generator) < 0.45
    mask[:, 12:20, 12:20] = True
    truth = problem.truth.abs() + 0j
    maps = torch.ones_like(problem.maps)
    kspace = type(problem.operator)(maps, mask)(truth)
    image = TotalVariation(1e-4, 400, maps)(kspace, mask)
    assert (image - truth.abs()).abs().max() < 1e-3
    assert (LeastSquares(30, maps)(kspace, mask) - truth.abs()).abs().max() > 0.1


@pytest.mark.parametrize("isotropic", [True, False])
def test_what_the_proximal_map_keeps(isotropic: bool) -> None:
    image = torch.randn(2, 1, 12, 12, dtype=torch.complex128, generator=keyed_generator("keep"))
    prox = TotalVariationProx((1, 12, 12), 0.3, isotropic=isotropic, iterations=100)
    found = prox(image)
    torch.testing.assert_close(found.mean(dim=(-2, -1)), image.mean(dim=(-2, -1)))  # differences see no constant
    assert (prox.penalty(found) < 0.6 * prox.penalty(image)).all()
    other = TotalVariationProx((1, 12, 12), 0.3, isotropic=isotropic, iterations=100)
    torch.testing.assert_close(other(image.mT).mT, found, rtol=0, atol=1e-2)  # no axis comes first
    alone = TotalVariationProx((1, 12, 12), 0.3, isotropic=isotropic, iterations=100)(image[1])
    torch.testing.assert_close(alone, found[1])
    none = TotalVariationProx((1, 12, 12), 0.0, isotropic=isotropic)
    torch.testing.assert_close(none(image), image)


def test_calls_go_on_where_the_last_one_ended() -> None:
    image = torch.randn(1, 12, 12, dtype=torch.float64, generator=keyed_generator("warm"))
    exact = TotalVariationProx((1, 12, 12), 0.3, iterations=3000)(image)
    prox = TotalVariationProx((1, 12, 12), 0.3, iterations=10)
    errors = [(prox(image) - exact).abs().max().item() for _ in range(8)]
    assert errors[-1] < 0.2 * errors[0]


def test_volumes_are_smoothed_along_all_axes() -> None:
    volume = torch.randn(1, 6, 8, 8, dtype=torch.float64, generator=keyed_generator("volume"))
    found = total_variation(IdentityOperator(volume.shape), volume, 0.5, step=1.0, iterations=10, inner_iterations=60)
    before, after = (
        GradientOperator(volume.shape, (-3, -2, -1))(x).square().sum(dim=(1, 2, 3, 4)) for x in (volume, found.image)
    )
    assert (after < 0.2 * before).all()
    with pytest.raises(ValueError, match="weight is nan"):
        TotalVariationProx((4, 4), float("nan"))
    with pytest.raises(ValueError, match="inner iterations is 0"):
        TotalVariationProx((4, 4), 1.0, iterations=0)
