"""Reconstruction by a dictionary of patches that is learned from the very image (Ravishankar and Bresler 2011)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.optional import require
from recon_monai.physics import LinearOperator, keyed_generator, keyed_seed
from recon_monai.solvers.arrays import EXTRA, to_numpy
from recon_monai.solvers.krylov import conjugate_gradient, conjugate_gradient_steps
from recon_monai.solvers.patches import PatchOperator
from recon_monai.solvers.solution import Solution, Step, check_number, energy, run

__all__ = ["DictionarySettings", "dictionary", "dictionary_steps"]

_MAX_TRAINING_PATCHES = 4000  # the dictionary, not the image, is made of these; more of them cost time only
_L1_WEIGHT = 1.0  # of the training, on patches whose samples have unit variance
_FLAT = 1e-6  # of the typical patch: shorter ones have no structure to code
_INNER = 10  # steps of conjugate gradients to the data, from an image that already lies close


class DictionarySettings:
    """Sizes of a dictionary.

    Args:
        patch: length of the sides of a patch.
        stride: distance of neighboring patches.
        atoms: number of atoms.
        sparsity: atoms that a patch is composed of, at most.
        seed: of the draws of patches and of scikit-learn.

    Raises:
        ValueError: if a size is out of range.
    """

    def __init__(self, patch: int = 6, stride: int = 2, atoms: int = 48, sparsity: int = 4, seed: int = 0) -> None:
        if min(patch, stride, atoms, sparsity) < 1 or sparsity > min(atoms, patch**2) or stride > patch:
            raise ValueError(
                f"patches of {patch} samples {stride} apart as sums of {sparsity} of {atoms} atoms were asked for, "
                "expected sizes of at least 1, a stride of at most the patch, and no more atoms in a sum than there "
                "are and than a patch has samples."
            )
        self.patch, self.stride, self.atoms, self.sparsity, self.seed = patch, stride, atoms, sparsity, seed


def dictionary(
    operator: LinearOperator,
    data: torch.Tensor,
    weight: float,
    *,
    settings: DictionarySettings | None = None,
    start: torch.Tensor | None = None,
    iterations: int = 5,
    tolerance: float = 0.0,
) -> Solution:
    """Alternate between sparse patches and data consistency (DLMRI).

    Approximates the minimum over the image, the dictionary and sparse codes of ``1/2 |A x - y|^2`` and ``weight/2``
    times the mean over each sample's patches of its squared distance from ``D c`` (Ravishankar and Bresler, "MR Image
    Reconstruction From Highly Undersampled k-Space Data by Dictionary Learning", IEEE Transactions on Medical Imaging
    2011, equation 5). Every iteration learns the dictionary further from patches of the image
    (scikit-learn's `MiniBatchDictionaryLearning`; the paper has K-SVD), composes all patches of few atoms (orthogonal
    matching pursuit), and solves for the image. Real and imaginary part are patches of their own, and the mean of a
    patch is kept. The problem is not convex and the codes are greedy, so the objective need not fall.

    Slow: seconds for an iteration at 320 x 320; see `DictionarySettings` for the distance of patches. No gradients.

    Args:
        operator: ``A`` whose domain is one image ``(1, H, W)`` or ``(H, W)``.
        data: ``y``, shape ``(..., *range_shape)``; each entry of the batch gets its own dictionary.
        weight: of the patches, at least 0.
        settings: sizes of the dictionary; None takes the defaults.
        start: image whose patches are learned first, shape ``(..., *domain_shape)``; None is the least-squares solution
            after 10 iterations. Where samples are missing in the image itself give a filled one: patches with gaps
            teach gaps, which take many iterations to fill.
        iterations: number of alternations.
        tolerance: see `run`.

    Returns:
        The solution. The objective takes the mean of each sample's patches for ``D c``, so it is a lower bound; at the
        start, before there are patches, it is that of the data alone.

    Raises:
        ImportError: if scikit-learn is missing (the message holds the pip line).
        ValueError: if a setting is out of range or a shape does not fit.
    """
    return run(dictionary_steps(operator, data, weight, settings=settings, start=start), iterations, tolerance)


@torch.no_grad()
def dictionary_steps(
    operator: LinearOperator,
    data: torch.Tensor,
    weight: float,
    *,
    settings: DictionarySettings | None = None,
    start: torch.Tensor | None = None,
) -> Iterator[Step]:
    """The iterates of `dictionary`, without end.

    Args:
        operator: see `dictionary`.
        data: see `dictionary`.
        weight: see `dictionary`.
        settings: see `dictionary`.
        start: see `dictionary`.

    Yields:
        The start, then each iterate.

    Raises:
        ImportError: see `dictionary`.
        ValueError: see `dictionary`.
    """
    check_number("weight", weight)
    sizes = settings or DictionarySettings()
    patches = PatchOperator(operator.domain_shape, sizes.patch, sizes.stride)
    image = conjugate_gradient(operator, data, iterations=_INNER).image if start is None else start
    yield Step(image, 0.5 * energy(operator(image) - data, len(operator.range_shape)))
    entries = image.reshape(-1, *operator.domain_shape)
    coders = [_Coder(sizes, patches) for _ in entries]
    while True:
        sparse = torch.stack(
            [code(one) for code, one in zip(coders, image.reshape(entries.shape), strict=True)]
        ).reshape(image.shape)
        steps = conjugate_gradient_steps(operator, data, weight=weight, reference=sparse, start=image)
        *_, last = islice(steps, _INNER + 1)
        image = last.image
        yield last


class _Coder:
    """The dictionary of one image, which learns with every call."""

    def __init__(self, sizes: DictionarySettings, patches: PatchOperator) -> None:
        self.sizes = sizes
        self.patches = patches
        self.atoms: npt.NDArray[Any] | None = None
        self._calls = 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The image as the mean of patches that are sparse in the dictionary."""
        cut = self.patches(image)
        parts = torch.stack([cut.real, cut.imag]) if cut.is_complex() else cut[None]
        means = parts.mean(dim=-1, keepdim=True)
        samples = to_numpy((parts - means).reshape(-1, cut.shape[-1])).astype(np.float64)
        coded = torch.from_numpy(self._code(samples)).to(parts).reshape(parts.shape) + means
        return self.patches.mean(torch.complex(coded[0], coded[1]) if cut.is_complex() else coded[0])

    def _code(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        lengths = np.linalg.norm(samples, axis=1)
        scale = lengths.max() / np.sqrt(samples.shape[1])
        structured = lengths > _FLAT * lengths.max()
        if scale == 0:
            return samples
        chosen = samples[structured] / scale
        self._learn(chosen)
        decomposition = require("sklearn.decomposition", extra=EXTRA)
        with warnings.catch_warnings():  # of patches that need fewer atoms
            warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended prematurely", RuntimeWarning)
            codes = decomposition.sparse_encode(
                chosen, self.atoms, algorithm="omp", n_nonzero_coefs=self.sizes.sparsity, check_input=False
            )
        coded = np.zeros_like(samples)
        coded[structured] = scale * (codes @ self.atoms)
        return coded

    def _learn(self, samples: npt.NDArray[Any]) -> None:
        """One pass over patches drawn anew, from the atoms that there are."""
        decomposition = require("sklearn.decomposition", extra=EXTRA)
        warning = require("sklearn.exceptions", extra=EXTRA).ConvergenceWarning
        key = ("dictionary", self.sizes.seed, self._calls)
        order = torch.randperm(len(samples), generator=keyed_generator(*key))[:_MAX_TRAINING_PATCHES].numpy()
        drawn = samples[order] / samples[order].std()
        learner = decomposition.MiniBatchDictionaryLearning(
            n_components=self.sizes.atoms,
            alpha=_L1_WEIGHT,
            max_iter=1,
            fit_algorithm="lars",  # coordinate descent is faster, and draws from NumPy's global random numbers
            dict_init=self._first_atoms(drawn) if self.atoms is None else self.atoms,
            random_state=keyed_seed(*key) % 2**32,
        )
        with warnings.catch_warnings():  # codes of a dictionary on its way need not have converged
            warnings.simplefilter("ignore", warning)
            self.atoms = learner.fit(drawn).components_
        self._calls += 1

    def _first_atoms(self, drawn: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Patches in their drawn order, over again where there are too few of them."""
        first = np.resize(drawn, (self.sizes.atoms, drawn.shape[1]))
        return first / np.linalg.norm(first, axis=1, keepdims=True)
