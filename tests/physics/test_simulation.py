from __future__ import annotations

import math

import pytest
import torch
from scipy.special import ellipe, ellipk

from recon_monai.physics import (
    center_crop_or_pad,
    correlated_noise,
    fft2c,
    ifft2c,
    keyed_generator,
    rss,
    simulate_coil_maps,
    simulate_kspace,
    simulate_noise_covariance,
    simulate_phase,
    truncate_kspace,
)
from recon_monai.physics.simulation import _elliptic_integrals, _loop_field


def head(height: int, width: int) -> torch.Tensor:
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1).float() * (1 + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.1))


def test_elliptic_integrals_against_scipy() -> None:
    complement = torch.linspace(1e-3, 1, 50, dtype=torch.float64)
    first, second = _elliptic_integrals(complement)
    torch.testing.assert_close(first, torch.from_numpy(ellipk(1 - complement.numpy())))
    torch.testing.assert_close(second, torch.from_numpy(ellipe(1 - complement.numpy())))


def test_field_of_a_loop_against_a_sum_over_wire_segments() -> None:
    angle = (torch.arange(2000, dtype=torch.float64) + 0.5) * 2 * torch.pi / 2000
    wire = 0.5 * torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)], dim=1)
    tangent = torch.stack([-torch.sin(angle), torch.cos(angle), torch.zeros_like(angle)], dim=1)
    axial = torch.tensor([0.4, 1.0, -0.7, 0.2], dtype=torch.float64)
    radial = torch.tensor([0.3, 0.9, 1e-4, 1.4], dtype=torch.float64)
    expected = []
    for z, r in zip(axial.tolist(), radial.tolist(), strict=True):
        way = torch.tensor([r, 0, z], dtype=torch.float64) - wire
        field = torch.linalg.cross(tangent, way) / torch.linalg.vector_norm(way, dim=1, keepdim=True) ** 3
        expected.append(field.sum(dim=0))
    along, slope = _loop_field(axial, radial, 0.5)
    scale = expected[0][2] / along[0]
    torch.testing.assert_close(along * scale, torch.stack(expected)[:, 2], rtol=1e-6, atol=0)
    torch.testing.assert_close(slope * radial * scale, torch.stack(expected)[:, 0], rtol=1e-5, atol=1e-8)
    assert torch.isfinite(_loop_field(axial, torch.zeros_like(axial), 0.5)[1]).all()


@pytest.mark.parametrize(("num_coils", "shape"), [(2, (64, 48)), (8, (96, 80)), (15, (63, 50))])
def test_maps_are_smooth_distinct_and_scaled(num_coils: int, shape: tuple[int, int]) -> None:
    maps = simulate_coil_maps(num_coils, shape, keyed_generator("maps", num_coils))
    assert maps.dtype == torch.complex64
    assert maps.shape == (num_coils, *shape)
    height, width = shape
    y = (torch.arange(height) - height // 2)[:, None] / (height / 2)
    x = (torch.arange(width) - width // 2) / (width / 2)
    inside = x**2 + y**2 <= 1
    assert rss(maps)[0, inside].mean().item() == pytest.approx(1, rel=1e-5)
    # Smooth: within the ellipse nearly all energy of each map lies at the lowest resolution.
    energy = (maps * inside).abs().square().sum(dim=(1, 2))
    steps = (maps[:, 1:] - maps[:, :-1]).abs().square() * (inside[1:] & inside[:-1])
    assert (steps.sum(dim=(1, 2)) < 0.02 * energy).all()
    # Distinct: no coil is nearly a multiple of another one, and the peaks lie at different sides.
    flat = (maps * inside).flatten(1)
    unit = flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    overlap = (unit @ unit.mH).abs() - torch.eye(num_coils)
    assert overlap.max() < 0.97
    if num_coils > 2:
        assert flat.sum(dim=1).sgn().mean().abs() < 0.8  # the phases differ


def test_each_coil_is_most_sensitive_at_its_own_side() -> None:
    maps = simulate_coil_maps(8, (64, 64), keyed_generator(0)).abs()
    place = torch.linspace(-1, 1, 64)
    mass = maps**2 / (maps**2).sum(dim=(1, 2), keepdim=True)
    angle = torch.atan2((mass * place[:, None]).sum(dim=(1, 2)), (mass * place).sum(dim=(1, 2)))
    gaps = torch.diff(angle.sort().values)
    assert gaps.min() > 0.2
    assert gaps.max() < 1.6


def test_one_coil_is_a_volume_coil() -> None:
    assert torch.equal(simulate_coil_maps(1, (5, 4), keyed_generator(0)), torch.ones(1, 5, 4, dtype=torch.complex64))


def test_draws_depend_on_the_generator_alone() -> None:
    for draw in (
        lambda generator: simulate_coil_maps(4, (12, 10), generator),
        lambda generator: simulate_phase((12, 10), generator),
        lambda generator: simulate_noise_covariance(4, generator),
        lambda generator: correlated_noise((4, 3, 3), torch.eye(4), generator),
    ):
        assert torch.equal(draw(keyed_generator(1)), draw(keyed_generator(1)))
        assert not torch.equal(draw(keyed_generator(1)), draw(keyed_generator(2)))


def test_phase_is_smooth_and_bounded() -> None:
    phase = simulate_phase((60, 50), keyed_generator(3), max_phase=2.0)
    assert phase.dtype == torch.float32
    assert phase.abs().max().item() == pytest.approx(2)
    # A cosine series of order 2 changes by at most order * pi / N of its amplitudes per pixel.
    assert phase.diff(dim=0).abs().max() < 2 * math.pi / 60 * 4
    assert phase.diff(dim=1).abs().max() < 2 * math.pi / 50 * 4


@pytest.mark.parametrize("num_coils", [1, 2, 8, 32])
def test_covariance_is_hermitian_and_positive(num_coils: int) -> None:
    covariance = simulate_noise_covariance(num_coils, keyed_generator("cov"))
    assert torch.equal(covariance, covariance.mH)
    values = torch.linalg.eigvalsh(covariance)
    assert values[0] > 0.02
    assert values[-1] / values[0] < 1000
    assert covariance.diagonal().real.mean().item() == pytest.approx(1)
    if num_coils > 2:
        correlation = (covariance - torch.diag(covariance.diagonal())).abs()
        assert 0.02 < correlation.max() < 0.9
        assert covariance.diagonal().real.std() > 0.01


def test_noise_has_the_given_covariance() -> None:
    covariance = 3 * simulate_noise_covariance(4, keyed_generator("cov"))
    noise = correlated_noise((4, 300, 200), covariance, keyed_generator("noise"))
    assert noise.dtype == torch.complex64
    flat = noise.flatten(1).to(torch.complex128)
    count = flat.shape[1]
    torch.testing.assert_close(flat @ flat.mH / count, covariance, rtol=0, atol=0.06)
    # Circular: no correlation without the conjugate, and none between samples.
    assert (flat @ flat.T / count).abs().max() < 0.06
    assert (noise[:, 1:] * noise[:, :-1].conj()).mean(dim=(1, 2)).abs().max() < 0.06
    assert noise.mean(dim=(1, 2)).abs().max() < 0.03


@pytest.mark.parametrize("oversampling", [1, 2])
def test_noise_std_is_in_units_of_the_image(oversampling: int) -> None:
    covariance = simulate_noise_covariance(4, keyed_generator("cov"))
    maps = torch.ones(4, 128, 128, dtype=torch.complex64)
    kspace = simulate_kspace(
        torch.zeros(128, 128),
        maps,
        noise_std=0.05,
        covariance=covariance,
        readout_oversampling=oversampling,
        generator=keyed_generator("noise"),
    )
    images = ifft2c(kspace)
    for part in (images.real, images.imag):
        assert part.square().mean().sqrt().item() == pytest.approx(0.05, rel=0.02)
    variance = images.abs().square().mean(dim=(1, 2)) / (2 * 0.05**2)
    torch.testing.assert_close(variance.double(), covariance.diagonal().real, rtol=0.04, atol=0)


def test_rss_of_a_noiseless_acquisition_is_the_weighted_image() -> None:
    image, maps = head(48, 40), simulate_coil_maps(6, (48, 40), keyed_generator(1))
    phase = simulate_phase((48, 40), keyed_generator(2))
    kspace = simulate_kspace(image, maps, phase=phase)
    assert kspace.dtype == torch.complex64
    assert kspace.shape == (6, 48, 40)
    torch.testing.assert_close(rss(ifft2c(kspace))[0], image * rss(maps)[0], rtol=0, atol=1e-5)
    expected = image * torch.exp(1j * phase) * maps
    torch.testing.assert_close(ifft2c(kspace), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("height", [48, 47])
def test_oversampled_data_cropped_give_the_same_image(height: int) -> None:
    image, maps = head(height, 40), simulate_coil_maps(6, (height, 40), keyed_generator(1))
    single = simulate_kspace(image, maps)
    double = simulate_kspace(image, maps, readout_oversampling=2)
    assert double.shape == (6, 2 * height, 40)
    images = ifft2c(double)
    torch.testing.assert_close(center_crop_or_pad(images, (height, 40)), ifft2c(single), rtol=0, atol=1e-5)
    outside = torch.linalg.vector_norm(images) ** 2 - torch.linalg.vector_norm(ifft2c(single)) ** 2
    assert abs(outside) < 1e-3


def test_oversampling_interpolates_kspace() -> None:
    """Doubling the field of view halves the step in k-space: every second sample is the old one."""
    image, maps = head(48, 40), simulate_coil_maps(3, (48, 40), keyed_generator(1))
    single = simulate_kspace(image, maps)
    double = simulate_kspace(image, maps, readout_oversampling=2)
    torch.testing.assert_close(double[:, ::2] * math.sqrt(2), single, rtol=0, atol=1e-5)


def test_truncation_of_an_acquisition_keeps_intensities() -> None:
    image, maps = head(64, 64), torch.ones(1, 64, 64, dtype=torch.complex64)
    small = ifft2c(truncate_kspace(simulate_kspace(image, maps), (32, 32)))[0]
    assert small.mean().real.item() == pytest.approx(image.mean().item(), rel=1e-5)
    assert small.abs()[16, 16].item() == pytest.approx(image[32, 32].item(), rel=0.05)


def test_complex_and_double_images_are_accepted() -> None:
    maps = simulate_coil_maps(3, (12, 10), keyed_generator(1))
    image = torch.randn(12, 10, dtype=torch.complex128, generator=keyed_generator(5))
    expected = fft2c(image.to(torch.complex64) * maps)
    torch.testing.assert_close(simulate_kspace(image, maps.to(torch.complex128)), expected)


def test_simulation_is_differentiable() -> None:
    maps = simulate_coil_maps(3, (12, 10), keyed_generator(1))
    image = torch.rand(12, 10, generator=keyed_generator(1)).requires_grad_()
    simulate_kspace(image, maps).abs().square().sum().backward()
    torch.testing.assert_close(image.grad, 2 * image.detach() * rss(maps)[0] ** 2, rtol=1e-4, atol=1e-5)


def test_impossible_settings_are_refused() -> None:
    image, maps, generator = torch.zeros(4, 4), torch.ones(2, 4, 4, dtype=torch.complex64), keyed_generator(0)
    with pytest.raises(ValueError, match="generator is needed"):
        simulate_kspace(image, maps, noise_std=1.0)
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(2, 4, 5\)"):
        simulate_kspace(image, torch.ones(2, 4, 5))
    with pytest.raises(ValueError, match="phase"):
        simulate_kspace(image, maps, phase=torch.zeros(3, 4))
    with pytest.raises(ValueError, match="noise_std"):
        simulate_kspace(image, maps, noise_std=-1.0, generator=generator)
    with pytest.raises(ValueError, match="readout_oversampling"):
        simulate_kspace(image, maps, readout_oversampling=0)
    with pytest.raises(ValueError, match=r"covariance of shape \(3, 3\)"):
        correlated_noise((3, 2, 2), torch.eye(2), generator)
    with pytest.raises(ValueError, match="positive definite"):
        correlated_noise((2, 2, 2), -torch.eye(2), generator)
    with pytest.raises(ValueError, match="num_coils"):
        simulate_coil_maps(0, (4, 4), generator)
    with pytest.raises(ValueError, match="num_coils"):
        simulate_noise_covariance(0, generator)
    with pytest.raises(ValueError, match="shape"):
        simulate_coil_maps(2, (4, 0), generator)
    with pytest.raises(ValueError, match="order"):
        simulate_phase((4, 4), generator, order=0)
