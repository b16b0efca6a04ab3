"""Patches and the dictionary learned of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import IdentityOperator, MaskOperator, keyed_generator
from recon_monai.solvers import (
    DictionaryLearning,
    DictionarySettings,
    LeastSquares,
    PatchOperator,
    dictionary,
    tikhonov,
)
from recon_monai.solvers.dictionary_learning import _Coder, dictionary_steps

SMALL = DictionarySettings(patch=4, stride=2, atoms=16, sparsity=3)


def error(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float((image - truth).abs().square().sum() / truth.abs().square().sum())


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 3), (2, 2)])
def test_patches_wrap_around_have_an_adjoint_and_come_back(size: int, stride: int) -> None:
    generator = keyed_generator("patches", size)
    x = torch.randn(2, 1, 7, 8, dtype=torch.complex128, generator=generator)
    operator = PatchOperator((1, 7, 8), size, stride)
    patches = operator(x)
    y = torch.randn(patches.shape, dtype=torch.complex128, generator=generator)
    left = torch.vdot(patches.flatten(), y.flatten())
    torch.testing.assert_close(left, torch.vdot(x.flatten(), operator.adjoint(y).flatten()))
    torch.testing.assert_close(operator.mean(patches), x)
    wrapped = np.pad(x[1, 0].numpy(), ((0, size), (0, size)), mode="wrap")
    rows, columns = range(0, 7, stride), range(0, 8, stride)
    expected = [wrapped[r : r + size, c : c + size].ravel() for r in rows for c in columns]
    np.testing.assert_array_equal(patches[1], expected)
    assert operator.counts.min() >= 1


def test_patches_of_few_atoms_are_coded_as_such(make_problem) -> None:
    image = make_problem(noise=0.0).truth
    patches = PatchOperator(image.shape, 4, 2)
    coder = _Coder(SMALL, patches)
    for _ in range(3):
        found = coder(image)
    assert coder.atoms.shape == (16, 16)
    assert error(found, image) < 0.01
    samples = np.random.default_rng(0).normal(size=(50, 16))
    coded = coder._code(samples)
    expected = [greedy(coder.atoms, one, 3) for one in samples]
    np.testing.assert_allclose(coded, expected, atol=1e-9)


def greedy(atoms: np.ndarray, sample: np.ndarray, count: int) -> np.ndarray:
    """Orthogonal matching pursuit, written out."""
    chosen: list[int] = []
    approximation = np.zeros_like(sample)
    for _ in range(count):
        chosen.append(int(np.abs(atoms @ (sample - approximation)).argmax()))
        codes = np.linalg.lstsq(atoms[chosen].T, sample, rcond=None)[0]
        approximation = codes @ atoms[chosen]
    return approximation


def test_a_noiseless_phantom_is_recovered(make_problem) -> None:
    problem = make_problem()
    found = dictionary(problem.operator, problem.kspace, 1e-4, settings=SMALL, iterations=4)
    assert (found.image - problem.truth).abs().max() < 1e-3
    assert found.objective.shape == (5,)


def test_an_iteration_is_the_closed_form_for_its_sparse_patches(make_problem) -> None:
    """With A = I: x = (y + w s) / (1 + w), where s is the image of the coded patches."""
    start = make_problem().truth
    data = start + 0.1 * torch.randn(start.shape, dtype=start.dtype, generator=keyed_generator("closed form"))
    sparse = _Coder(SMALL, PatchOperator(start.shape, 4, 2))(start)
    found = dictionary(IdentityOperator(start.shape), data, 0.7, settings=SMALL, start=start, iterations=1)
    expected = (data + 0.7 * sparse) / 1.7
    torch.testing.assert_close(found.image, expected, rtol=0, atol=1e-9)
    objective = 0.5 * (expected - data).abs().square().sum() + 0.35 * (expected - sparse).abs().square().sum()
    torch.testing.assert_close(found.objective[-1], objective)


def test_gaps_of_an_image_are_filled_from_a_filled_start(make_problem) -> None:
    truth = make_problem(dtype=torch.complex128).truth.abs()
    operator = MaskOperator(torch.rand(1, 32, 32, generator=keyed_generator("gaps")) < 0.5)
    data = operator(truth[None])
    filled = tikhonov(operator, data, 1e-3, on="gradient").image
    from_gaps, from_filled = (
        dictionary(operator, data, 0.1, settings=SMALL, start=start, iterations=2).image[0] for start in (None, filled)
    )
    assert error(from_filled, truth) < 0.3 * error(from_gaps, truth)
    first = next(dictionary_steps(operator, data, 0.1, settings=SMALL, start=filled))
    assert torch.equal(first.image, filled)


def test_noise_goes_and_structure_stays(make_problem) -> None:
    problem = make_problem(noise=0.1)
    truth = problem.truth.abs()
    image = DictionaryLearning(0.5, 4, problem.maps, patch=4, atoms=24, sparsity=2)(problem.kspace, problem.mask)
    best = min(
        error(LeastSquares(number, problem.maps)(problem.kspace, problem.mask), truth) for number in (2, 4, 8, 16)
    )
    assert error(image, truth) < 0.7 * best


def test_the_same_every_time_alone_or_in_a_batch(make_problem) -> None:
    image = make_problem(noise=0.0).truth
    noisy = image + 0.1 * torch.randn(2, 1, 32, 32, dtype=torch.complex128, generator=keyed_generator("noise"))
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is tested
    identity = IdentityOperator((1, 32, 32))
    both = dictionary(identity, noisy, 1.0, settings=SMALL, iterations=2)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    alone = dictionary(identity, noisy[1], 1.0, settings=SMALL, iterations=2)
    torch.testing.assert_close(alone.image, both.image[1])
    torch.testing.assert_close(alone.objective, both.objective[:, 1])
    assert both.objective.shape == (3, 2)


def test_flat_real_and_small_images_work() -> None:
    flat = torch.full((1, 8, 8), 2.0)
    settings = DictionarySettings(patch=4, stride=2, atoms=8, sparsity=2)
    torch.testing.assert_close(dictionary(IdentityOperator(flat.shape), flat, 1.0, settings=settings).image, flat)
    nothing = torch.zeros(1, 8, 8, dtype=torch.complex64)
    assert torch.equal(dictionary(IdentityOperator(flat.shape), nothing, 1.0, settings=settings).image, nothing)
    spot = flat.clone()
    spot[0, 3, 3] = 5.0  # fewer patches with structure than atoms
    found = dictionary(IdentityOperator(flat.shape), spot, 1.0, settings=settings).image
    assert (found - spot).abs().max() < 0.3


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="patches of 4 samples 5 apart as sums"):
        DictionarySettings(patch=4, stride=5)
    with pytest.raises(ValueError, match="sums of 9 of 8 atoms"):
        DictionarySettings(atoms=8, sparsity=9)
    for shape in ((1, 3, 8), (2, 8, 8), (8,)):
        with pytest.raises(ValueError, match="patches of 4 samples 2 apart do not cover an image of shape"):
            PatchOperator(shape, 4, 2)
