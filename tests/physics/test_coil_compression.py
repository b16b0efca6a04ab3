from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    compress_coils,
    correlated_noise,
    fft2c,
    geometric_compression,
    ifft2c,
    keyed_generator,
    noise_covariance,
    rss,
    simulate_coil_maps,
    svd_compression,
)

METHODS = [svd_compression, geometric_compression]


def object_kspace(num_coils: int = 8, shape: tuple[int, int] = (32, 24), slices: int = 2) -> torch.Tensor:
    """Multi-coil k-space of two slices of blobs."""
    maps = simulate_coil_maps(num_coils, shape, keyed_generator("maps"))
    y, x = torch.linspace(-1, 1, shape[0])[:, None], torch.linspace(-1, 1, shape[1])
    images = [
        ((y / 0.7) ** 2 + ((x - 0.1 * s) / 0.6) ** 2 < 1) * (1 + 0.5 * torch.cos(4 * x + s)) for s in range(slices)
    ]
    return fft2c(torch.stack(images)[:, None] * maps)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_coils", [1, 3, 8])
def test_rows_are_orthonormal_so_that_white_noise_stays_white(method, num_coils: int) -> None:
    kspace = object_kspace()
    matrix, _ = method(kspace, num_coils)
    identity = torch.eye(num_coils, dtype=torch.complex128)
    torch.testing.assert_close(matrix @ matrix.mH, identity.expand_as(matrix @ matrix.mH))
    white = correlated_noise((8, 32, 24 * 20), torch.eye(8), keyed_generator("noise"))
    found = noise_covariance(compress_coils(white, matrix))
    torch.testing.assert_close(found, identity, rtol=0, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_as_many_coils_as_before_keep_the_root_sum_of_squares(method) -> None:
    kspace = object_kspace()
    matrix, kept = method(kspace, 8)
    assert kept == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(rss(ifft2c(compress_coils(kspace, matrix))), rss(ifft2c(kspace)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_coils", [1, 3, 5])
def test_kept_energy_of_svd_is_that_of_the_leading_singular_values(num_coils: int) -> None:
    kspace = object_kspace()
    values = np.linalg.svd(kspace.movedim(1, 0).reshape(8, -1).numpy(), compute_uv=False) ** 2
    matrix, kept = svd_compression(kspace, num_coils)
    assert kept == pytest.approx(values[:num_coils].sum() / values.sum(), rel=1e-5)
    energy = compress_coils(kspace, matrix).abs().square().sum() / kspace.abs().square().sum()
    assert energy.item() == pytest.approx(kept, rel=1e-5)


@pytest.mark.parametrize("num_coils", [1, 3, 5])
def test_kept_energy_of_gcc_is_that_of_the_leading_singular_values_of_each_position(num_coils: int) -> None:
    kspace = object_kspace()
    # any transform along the columns keeps the energy, so the images serve as well as the hybrid space
    rows = ifft2c(kspace).permute(2, 1, 0, 3).flatten(2).numpy()
    values = np.linalg.svd(rows, compute_uv=False) ** 2
    matrix, kept = geometric_compression(kspace, num_coils)
    assert kept == pytest.approx(values[:, :num_coils].sum() / values.sum(), rel=1e-5)
    assert kept > svd_compression(kspace, num_coils).kept_energy
    energy = compress_coils(kspace, matrix).abs().square().sum() / kspace.abs().square().sum()
    assert energy.item() == pytest.approx(kept, rel=1e-5)


def test_gcc_combines_the_coil_images_row_by_row() -> None:
    kspace = object_kspace(slices=1)[0]
    matrix, _ = geometric_compression(kspace, 3)
    expected = torch.einsum("hvc,chw->vhw", matrix, ifft2c(kspace).to(torch.complex128))
    found = ifft2c(compress_coils(kspace, matrix))
    torch.testing.assert_close(found, expected.to(torch.complex64), rtol=1e-4, atol=1e-5)


def test_virtual_coils_of_gcc_vary_smoothly() -> None:
    matrix, _ = geometric_compression(object_kspace(shape=(64, 24)), 3)
    inside = matrix[16:48]
    steps = (inside[1:] - inside[:-1]).abs().square().sum(dim=(1, 2)).sqrt()
    assert steps.max() < 0.3  # without alignment rows of unit length change by up to 2


def test_columns_that_were_not_acquired_stay_zero_and_have_no_influence() -> None:
    kspace = object_kspace()
    sampled = torch.zeros(24, dtype=torch.bool)
    sampled[[3, 8, 11, 12, 13, 20]] = True
    masked = kspace * sampled
    for method in METHODS:
        matrix, _ = method(masked, 3)
        compressed = compress_coils(masked, matrix)
        assert (compressed[..., ~sampled] == 0).all()
        assert (compressed[..., sampled].abs().amax(dim=(0, 1, 2)) > 0).all()
    torch.testing.assert_close(
        svd_compression(masked, 3).matrix, svd_compression(kspace[..., sampled], 3).matrix, rtol=1e-6, atol=1e-8
    )


def test_bad_input() -> None:
    kspace = object_kspace()
    for method in METHODS:
        with pytest.raises(ValueError, match="cannot compress 8 coils to 9"):
            method(kspace, 9)
        with pytest.raises(ValueError, match="cannot compress 8 coils to 0"):
            method(kspace, 0)
        with pytest.raises(ValueError, match="expected complex"):
            method(kspace.real, 2)
        with pytest.raises(ValueError, match="zero everywhere"):
            method(torch.zeros_like(kspace), 2)
    with pytest.raises(ValueError, match="does not fit"):
        compress_coils(kspace[:, :7], svd_compression(kspace, 2).matrix)
    with pytest.raises(ValueError, match="does not fit"):
        compress_coils(kspace[..., :30, :], geometric_compression(kspace, 2).matrix)
