from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pywt
import sigpy.mri.app
import torch

from recon_monai.evaluation import L1Wavelet, calibration_maps, espirit_maps, zero_filled
from recon_monai.physics import (
    CalibrationError,
    SenseOperator,
    keyed_generator,
    normalize_maps,
    simulate_coil_maps,
)

SIZE = (48, 40)


def nmse(image: torch.Tensor, target: torch.Tensor) -> float:
    return float((image - target).square().sum() / target.square().sum())


def haar_step(length: int) -> np.ndarray:
    """One orthogonal step: sums of neighbors, then differences."""
    half = np.eye(length // 2)
    return np.concatenate([np.kron(half, [1, 1]), np.kron(half, [1, -1])]) / np.sqrt(2)


@pytest.mark.parametrize("coils", [1, 3])
def test_with_all_samples_the_coefficients_are_soft_thresholded(coils: int) -> None:
    """SENSE is then an isometry and the Haar transform of this square orthogonal, so the minimum is known."""
    generator = keyed_generator("l1", coils)
    maps = normalize_maps(torch.randn(coils, 1, 8, dtype=torch.complex128, generator=generator)).expand(-1, 8, 8)
    image = torch.randn(8, 8, dtype=torch.complex128, generator=generator)
    kspace = SenseOperator(maps, torch.ones(1, 1, 8, dtype=torch.bool))(image[None])
    assert kspace.shape == (coils, 8, 8)
    threshold = 0.2 * float(zero_filled(kspace).max())
    found = L1Wavelet(maps, 0.2, 30, "haar")(kspace)[0].numpy()

    coefficients = image.numpy().copy()
    for length in (8, 4, 2):
        step = haar_step(length)
        coefficients[:length, :length] = step @ coefficients[:length, :length] @ step.T
    coefficients *= np.maximum(1 - threshold / np.abs(coefficients), 0)
    for length in (2, 4, 8):
        step = haar_step(length)
        coefficients[:length, :length] = step.T @ coefficients[:length, :length] @ step
    np.testing.assert_allclose(found, np.abs(coefficients), atol=1e-9)
    assert np.abs(found - np.abs(image.numpy())).max() > 0.1 * threshold


@pytest.mark.parametrize("size", [(48, 40), (47, 41)])
def test_objective_and_image_are_those_of_sigpys_own_app(acquire, size: tuple[int, int]) -> None:
    kspace, mask, _ = acquire(size=size)
    scale = float(zero_filled(kspace).max())
    maps = calibration_maps(kspace, mask)
    sampled = mask.expand(1, *size)[0].float().numpy()
    data = (kspace / scale).numpy()

    def their_app(**options: Any) -> Any:
        options = {"weights": sampled, "max_iter": 100, "show_pbar": False, **options}
        return sigpy.mri.app.L1WaveletRecon(data, maps.numpy(), 0.003, **options)

    theirs = their_app()  # with its own size of the step
    start = theirs.objective()
    solution = theirs.run()
    method = L1Wavelet(maps, 0.003, 100)
    np.testing.assert_allclose(method(kspace, mask)[0].numpy() / scale, np.abs(solution), atol=2e-3)
    ours = method._app(data, maps.numpy(), sampled, 100).run()
    assert their_app(x=ours, alpha=1.0).objective() == pytest.approx(theirs.objective(), rel=1e-4)
    assert theirs.objective() < 0.5 * start


def test_a_fully_sampled_noiseless_phantom_comes_back(acquire) -> None:
    _, _, target = acquire(noise_std=0.0)
    maps = normalize_maps(simulate_coil_maps(6, SIZE, keyed_generator("baseline", 0)))
    full = SenseOperator(maps)((target + 0j).to(torch.complex64))
    torch.testing.assert_close(L1Wavelet(maps, 0.0, 5)(full), target, rtol=0, atol=1e-4)
    torch.testing.assert_close(L1Wavelet(maps, 1e-5, 30)(full), target, rtol=0, atol=1e-3)
    assert nmse(L1Wavelet(weight=1e-5)(full), target) < 1e-3  # estimated maps; the mask is inferred


@pytest.mark.parametrize("maps", ["espirit", "calibration"])
@pytest.mark.parametrize("size", [(48, 40), (47, 41), (30, 64)])
def test_an_undersampled_phantom_comes_out_better_than_zero_filled(acquire, head, maps, size) -> None:
    kspace, mask, target = acquire(size=size)
    image = L1Wavelet(maps, 0.003, 60)(kspace, mask)
    assert image.dtype == torch.float32
    assert image.shape == (1, *size)
    assert nmse(image, target) < 0.4 * nmse(zero_filled(kspace), target)
    inside = head(*size) > 0
    assert (image[0, inside].mean() / target[0, inside].mean()).item() == pytest.approx(1, abs=0.03)


def test_sparsity_removes_incoherent_noise(acquire) -> None:
    """Of a noisy acquisition a weight makes a better image than none, against the noiseless truth."""
    kspace, mask, _ = acquire(noise_std=0.05)
    truth = acquire(noise_std=0.0)[2]
    with_weight, without = L1Wavelet("calibration", 0.02, 60), L1Wavelet("calibration", 0.0, 60)
    assert nmse(with_weight(kspace, mask), truth) < 0.7 * nmse(without(kspace, mask), truth)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e3])
def test_the_image_follows_the_scale_of_the_data(acquire, scale: float) -> None:
    kspace, mask, _ = acquire()
    expected = L1Wavelet("espirit", 0.01, 20)(kspace, mask)
    assert expected.max() > 0.1
    found = L1Wavelet("espirit", 0.01, 20)(kspace * scale, mask) / scale
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_global_random_numbers_are_neither_used_nor_changed(acquire) -> None:
    kspace, mask, _ = acquire()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is tested
    first = L1Wavelet()(kspace, mask)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert torch.equal(first, L1Wavelet()(kspace, mask))


def test_an_empty_slice_and_empty_maps_give_an_empty_image(acquire) -> None:
    kspace, mask, _ = acquire()
    nothing = torch.zeros(1, *SIZE)
    assert torch.equal(L1Wavelet()(torch.zeros_like(kspace), mask), nothing)
    assert torch.equal(L1Wavelet()(torch.zeros_like(kspace)), nothing)
    assert torch.equal(L1Wavelet(torch.zeros_like(kspace))(kspace, mask), nothing)


def test_a_single_coil_without_weight_is_zero_filled(acquire) -> None:
    kspace, mask, _ = acquire(coils=1)
    torch.testing.assert_close(L1Wavelet("espirit", 0.0, 3)(kspace, mask), zero_filled(kspace), rtol=0, atol=1e-4)
    assert not torch.allclose(L1Wavelet("espirit", 0.05, 20)(kspace, mask), zero_filled(kspace), rtol=0, atol=1e-2)


@pytest.mark.parametrize("size", [(1, 9), (5, 6), (9, 8)])
def test_images_smaller_than_the_wavelet_work(size: tuple[int, int]) -> None:
    kspace = torch.randn(2, *size, dtype=torch.complex64, generator=keyed_generator("small", *size))
    assert pywt.Wavelet("db4").dec_len == 8
    image = L1Wavelet(normalize_maps(kspace), 0.0, 5)(kspace)
    assert image.shape == (1, *size)
    assert torch.isfinite(image).all()


def test_maps_of_any_size_do_not_diverge(acquire) -> None:
    kspace, mask, _ = acquire()
    maps = espirit_maps(kspace, mask)
    one, ten = L1Wavelet(maps, 0.0, 20)(kspace, mask), L1Wavelet(10 * maps, 0.0, 20)(kspace, mask)
    torch.testing.assert_close(10 * ten, one, rtol=1e-3, atol=1e-3)


def test_a_batch_is_reconstructed_slice_by_slice(acquire) -> None:
    first, second = acquire(0), acquire(1)
    method = L1Wavelet("calibration", 0.01, 5)
    together = method(torch.stack([first[0], second[0]]), torch.stack([first[1], second[1]]))
    assert together.shape == (2, 1, *SIZE)
    for image, (kspace, mask, _) in zip(together, (first, second), strict=True):
        assert torch.equal(image, method(kspace, mask))


def test_unusable_input_is_refused(acquire) -> None:
    kspace, mask, _ = acquire()
    hole = mask.clone()
    hole[..., 20] = False
    with pytest.raises(CalibrationError, match="column 20 of 40"):
        L1Wavelet()(kspace * hole, hole)
    with pytest.raises(ValueError, match="not finite"):
        L1Wavelet()(kspace * float("nan"), mask)
    with pytest.raises(ValueError, match="one complex slice"):
        L1Wavelet()(kspace.real, mask)
    with pytest.raises(ValueError, match=r"maps \(2, 48, 40\)"):
        L1Wavelet(torch.ones(2, *SIZE, dtype=torch.complex64))(kspace, mask)
    with pytest.raises(ValueError, match=r"unknown maps \['walsh'\]"):
        L1Wavelet("walsh")
    with pytest.raises(ValueError, match="at least 0, got"):
        L1Wavelet(weight=-1.0)
    with pytest.raises(ValueError, match="at least 1, got"):
        L1Wavelet(iterations=0)
    for name in ("daubechies", "bior2.2", "mexh"):
        with pytest.raises(ValueError, match=f"wavelet is '{name}', expected an orthogonal one"):
            L1Wavelet(wavelet=name)


def test_repr_names_the_setting() -> None:
    assert repr(L1Wavelet("calibration", 0.001, 20, "haar")) == (
        "L1Wavelet(weight=0.001, iterations=20, maps='calibration', wavelet='haar')"
    )
