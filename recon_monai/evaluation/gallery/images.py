"""Inverse problems beside MRI on the same slice: denoising, in-painting, deblurring, downsampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch

from recon_monai.data import read_split
from recon_monai.evaluation.gallery.bench import Bench
from recon_monai.evaluation.gallery.problems import Problem, central_slices, fingerprint
from recon_monai.evaluation.gallery.store import result_key
from recon_monai.evaluation.gallery.tuned import best_weight
from recon_monai.evaluation.gallery.workshop import LATENT
from recon_monai.physics import (
    BlockDownsampling,
    BlurOperator,
    IdentityOperator,
    LinearOperator,
    MaskOperator,
    keyed_generator,
)
from recon_monai.solvers import (
    DeepImagePrior,
    ManifoldSearch,
    dictionary,
    l1_wavelet,
    least_squares,
    plug_and_play,
    tikhonov,
    total_variation,
)

__all__ = [
    "IMAGE_METHODS",
    "IMAGE_PROBLEMS",
    "ImageMethod",
    "ImageProblem",
    "choose_weight",
    "image_problems",
    "make_image_problem",
]


@dataclass(frozen=True, eq=False)
class ImageProblem:
    """``y = A x + n`` for a real image.

    Args:
        name: a key of `IMAGE_PROBLEMS`.
        title: in words.
        operator: ``A``.
        data: ``y``, shape ``(1, *range_shape)``.
        target: ``x``, shape ``(1, h, w)``, maximum 1.
    """

    name: str
    title: str
    operator: LinearOperator
    data: torch.Tensor
    target: torch.Tensor

    @property
    def key(self) -> str:
        """Hash of what a solution depends on."""
        return fingerprint([self.data, self.target])


class ImageKind(NamedTuple):
    """What is done to an image.

    Attributes:
        title: in words.
        operator: makes ``A`` from the shape of the image and a generator.
        noise: standard deviation of ``n``.
    """

    title: str
    operator: Callable[[tuple[int, ...], torch.Generator], LinearOperator]
    noise: float


def _missing(shape: tuple[int, ...], random: torch.Generator) -> LinearOperator:
    return MaskOperator(torch.rand(shape, generator=random) < 0.5)


IMAGE_PROBLEMS: Mapping[str, ImageKind] = MappingProxyType(
    {
        "denoising": ImageKind("denoising: A = I, noise 0.1", lambda s, _: IdentityOperator(s), 0.1),
        "inpainting": ImageKind("in-painting: half of the pixels, noise 0.02", _missing, 0.02),
        "deblurring": ImageKind(
            "deblurring: Gaussian of 1.5 pixels, noise 0.02", lambda s, _: BlurOperator.gaussian(1.5, s), 0.02
        ),
        "downsampling": ImageKind(
            "downsampling: means of 2 x 2 blocks, noise 0.02", lambda s, _: BlockDownsampling((2, 2), s), 0.02
        ),
    }
)
"""Name to problem; noise is relative to the maximum of the image."""


@dataclass(frozen=True)
class ImageMethod:
    """An entry of `IMAGE_METHODS`.

    Args:
        label: in words.
        make: gives ``solve(problem, weight) -> image (1, h, w)`` and what a reader has to know of it.
        weights: to try on validation slices; none where there is nothing to choose.
        weight_name: what the weight is, for the note.
        slow: runs with the time limit, and is marked.
    """

    label: str
    make: Callable[[Bench, ImageProblem], tuple[Callable[[ImageProblem, float], torch.Tensor], str, str]]
    weights: Sequence[float] = ()
    weight_name: str = "weight"
    slow: bool = False


def make_image_problem(name: str, target: torch.Tensor, seed: int, key: str) -> ImageProblem:
    """Apply an operator and noise to an image.

    Args:
        name: of `IMAGE_PROBLEMS`.
        target: real ``(1, h, w)``; divided by its maximum, odd rows and columns at the end are cut off.
        seed: of noise and missing pixels.
        key: of the image, which gives it noise of its own.

    Returns:
        The problem.
    """
    kind = IMAGE_PROBLEMS[name]
    height, width = (size - size % 2 for size in target.shape[-2:])
    image = target[..., :height, :width] / target.max()
    random = keyed_generator("gallery", name, key, seed)
    operator = kind.operator((1, height, width), random)
    clean = operator.forward(image[None])
    noise = kind.noise * torch.randn(clean.shape, generator=random)
    if isinstance(operator, MaskOperator):
        noise = operator.forward(noise)  # missing pixels are zero
    return ImageProblem(name, kind.title, operator, clean + noise, image)


def choose_weight(bench: Bench, name: str, method: str) -> float:
    """The weight with the lowest mean squared error on the middle slices of the validation brains.

    Args:
        bench: data and settings.
        name: of `IMAGE_PROBLEMS`.
        method: of `IMAGE_METHODS`.

    Returns:
        The weight; NaN where the method has none.

    Raises:
        ValueError: if there is no validation slice.
    """
    chosen = IMAGE_METHODS[method]
    if not chosen.weights:
        return math.nan
    slices = central_slices(read_split(bench.dataset_dir, "val"), bench.settings)
    brains = [item for item in slices if item["anatomy"] == "brain"] or slices
    problems = [make_image_problem(name, item["target"], bench.settings.seed, item["file"]) for item in brains]
    solvers = [chosen.make(bench, problem) for problem in problems]
    key = result_key(*(problem.key for problem in problems), repr(chosen.weights), solvers[0][2])

    def error(weight: float) -> float:
        pairs = zip(problems, solvers, strict=True)
        return sum(float((solve(problem, weight) - problem.target).square().mean()) for problem, (solve, _, _) in pairs)

    path = bench.output / "tuning" / f"{name}_{method}.json"
    return best_weight(path, key, chosen.weights, lambda weight: error(weight) / len(problems))


def _solver(
    solve: Callable[[LinearOperator, torch.Tensor, float], torch.Tensor],
) -> Callable[[Bench, ImageProblem], tuple[Callable[[ImageProblem, float], torch.Tensor], str, str]]:
    def made(problem: ImageProblem, weight: float) -> torch.Tensor:
        return solve(problem.operator, problem.data, weight)[0]

    return lambda _bench, _problem: (made, "", "")


def _filled(operator: LinearOperator, data: torch.Tensor) -> torch.Tensor | None:
    """Where pixels are missing a smooth image without gaps for the dictionary to begin with."""
    return tikhonov(operator, data, 0.001, on="gradient").image if isinstance(operator, MaskOperator) else None


def _denoised(bench: Bench, _problem: ImageProblem) -> tuple[Callable[[ImageProblem, float], torch.Tensor], str, str]:
    trained = bench.workshop.denoiser()

    def denoise(image: torch.Tensor) -> torch.Tensor:
        return trained.network(image.to(torch.complex64)).real

    def solve(problem: ImageProblem, strength: float) -> torch.Tensor:
        limit = bench.settings.time_limit
        found = plug_and_play(
            problem.operator, problem.data, denoise, strength=strength, iterations=50, tolerance=1e-4, time_limit=limit
        )
        return found.image[0]

    return solve, f"denoiser {trained.note}", trained.key


def _prior(bench: Bench, _problem: ImageProblem) -> tuple[Callable[[ImageProblem, float], torch.Tensor], str, str]:
    prior = DeepImagePrior(time_limit=bench.settings.time_limit, seed=bench.settings.seed)

    def solve(problem: ImageProblem, _weight: float) -> torch.Tensor:
        return prior.solve(problem.operator, problem.data).image[0]

    return solve, "fitted to this image alone, stopped by held-out samples", f"{prior!r} {bench.settings.seed}"


def _manifold(bench: Bench, problem: ImageProblem) -> tuple[Callable[[ImageProblem, float], torch.Tensor], str, str]:
    trained = bench.workshop.generator(*problem.target.shape[-2:])
    limit, seed = bench.settings.time_limit, bench.settings.seed
    search = ManifoldSearch(trained.network, (LATENT,), time_limit=limit, seed=seed)

    def solve(problem: ImageProblem, _weight: float) -> torch.Tensor:
        return search.solve(problem.operator, problem.data).image[0]

    return solve, f"generator {trained.note}", f"{search!r} {seed} {trained.key}"


_WEIGHTS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_SPARSE = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

IMAGE_METHODS: Mapping[str, ImageMethod] = MappingProxyType(
    {
        "adjoint": ImageMethod("data (A^H y)", _solver(lambda a, y, _: a.adjoint(y))),
        "least_squares": ImageMethod(
            "least squares",
            _solver(lambda a, y, n: least_squares(a, y, iterations=int(n)).image),
            (1, 2, 5, 10, 20, 50),
            "iterations",
        ),
        "tikhonov": ImageMethod("Tikhonov, image", _solver(lambda a, y, w: tikhonov(a, y, w).image), _WEIGHTS),
        "tikhonov_gradient": ImageMethod(
            "Tikhonov, gradient", _solver(lambda a, y, w: tikhonov(a, y, w, on="gradient").image), _WEIGHTS
        ),
        "total_variation": ImageMethod(
            "total variation", _solver(lambda a, y, w: total_variation(a, y, w, iterations=80).image), _SPARSE
        ),
        "l1_wavelet": ImageMethod(
            "L1-wavelet", _solver(lambda a, y, w: l1_wavelet(a, y, w, iterations=80).image), _SPARSE
        ),
        "dictionary": ImageMethod(
            "dictionary",
            _solver(lambda a, y, w: dictionary(a, y, w, start=_filled(a, y), iterations=3).image),
            (0.1, 1.0, 10.0, 100.0),
        ),
        "plug_and_play": ImageMethod(
            "plug-and-play", _denoised, (0.02, 0.05, 0.1, 0.25, 0.5, 1.0), "strength", slow=True
        ),
        "deep_image_prior": ImageMethod("deep image prior", _prior, slow=True),
        "manifold": ImageMethod("manifold search", _manifold, slow=True),
    }
)
"""Name to method, in the order of tables and figures; names are those of ``METHODS``, and ``adjoint``."""


def image_problems(problem: Problem, seed: int) -> list[ImageProblem]:
    """All problems on the target of a slice."""
    return [make_image_problem(name, problem.target, seed, problem.file) for name in IMAGE_PROBLEMS]
