"""The methods of a gallery that reconstruct k-space, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import torch

from recon_monai.evaluation.classical_methods import CLASSICAL_METHODS, classical_method
from recon_monai.evaluation.gallery.bench import Bench
from recon_monai.evaluation.gallery.problems import Problem
from recon_monai.evaluation.gallery.shipped import NOTE, shipped_network
from recon_monai.evaluation.gallery.workshop import LATENT
from recon_monai.solvers import DeepImagePrior, ManifoldSearch, PlugAndPlay, ZeroFilled

__all__ = ["METHODS", "Call", "Made", "Method", "find_methods"]

Call = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``method(kspace, mask)``, one slice ``(coil, H, W)`` with its mask to ``(1, H, W)`` or ``(1, 1, H, W)``."""


class Made(NamedTuple):
    """A method that is ready to run.

    Attributes:
        call: the method.
        note: what a reader has to know.
        key: what the result depends on, besides the problem.
    """

    call: Call
    note: str
    key: str


@dataclass(frozen=True)
class Method:
    """An entry of `METHODS`.

    Args:
        label: in words.
        make: makes it ready for a problem: reads its tuning, trains or loads its network.
        slow: runs on one stated sample only, with the time limit.
    """

    label: str
    make: Callable[[Bench, Problem], Made]
    slow: bool = False


def _zero_filled(_bench: Bench, _problem: Problem) -> Made:
    return Made(ZeroFilled(), "", "zero-filled")


def _classical(name: str, bench: Bench, _problem: Problem) -> Made:
    settings = bench.tuned(name)
    method = classical_method(name, **settings)
    weight = f"weight {settings['weight']:g}, " if settings["weight"] else ""
    return Made(method, f"{weight}{settings['iterations']} iterations, {settings['maps']} maps", repr(method))


def _plug_and_play(bench: Bench, _problem: Problem) -> Made:
    trained, best = bench.plug_and_play()
    method = PlugAndPlay(trained.network, **best, time_limit=bench.settings.time_limit)
    chosen = f"strength {best['weight']:g}, at most {best['iterations']} iterations, {best['maps']} maps"
    note = f"denoiser {trained.note}; {chosen}"
    return Made(method, note, f"{method!r} {trained.key}")


def _deep_image_prior(bench: Bench, _problem: Problem) -> Made:
    method = DeepImagePrior(time_limit=bench.settings.time_limit, seed=bench.settings.seed)
    return Made(method, "fitted to this slice alone, stopped by held-out samples", f"{method!r} {bench.settings.seed}")


def _manifold(bench: Bench, problem: Problem) -> Made:
    trained = bench.workshop.generator(*problem.kspace.shape[-2:])
    limit, seed = bench.settings.time_limit, bench.settings.seed
    method = ManifoldSearch(trained.network, (LATENT,), time_limit=limit, seed=seed)
    return Made(method, f"generator {trained.note}", f"{method!r} {seed} {trained.key}")


def _trained(name: str, bench: Bench, _problem: Problem) -> Made:
    trained = bench.workshop.reconstruction(name)
    return Made(_as_call(trained.network), trained.note, trained.key)


def _shipped(name: str, _bench: Bench, _problem: Problem) -> Made:
    return Made(_as_call(shipped_network(name)), NOTE, f"shipped {name}")


def _as_call(network: torch.nn.Module) -> Call:
    """Networks are given data of a maximum of about 1, as in `fit_reconstruction`; their result follows the scale."""

    @torch.no_grad()
    def call(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scale = ZeroFilled()(kspace).max().clamp(min=torch.finfo(torch.float32).tiny)
        return network(kspace[None] / scale, mask[None]) * scale

    return call


_LABELS = {
    "least_squares": "least squares",
    "cg_sense": "CG-SENSE",
    "tikhonov": "Tikhonov, image",
    "tikhonov_gradient": "Tikhonov, gradient",
    "total_variation": "total variation",
    "l1_wavelet": "L1-wavelet",
    "dictionary": "dictionary",
}
assert set(_LABELS) == set(CLASSICAL_METHODS)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "zero_filled": Method("zero-filled", _zero_filled),
        **{name: Method(label, partial(_classical, name)) for name, label in _LABELS.items()},
        "plug_and_play": Method("plug-and-play", _plug_and_play, slow=True),
        "unrolled": Method("unrolled descent", partial(_trained, "unrolled")),
        "deep_image_prior": Method("deep image prior", _deep_image_prior, slow=True),
        "manifold": Method("manifold search", _manifold, slow=True),
        "image_unet": Method("image U-Net", partial(_trained, "image_unet")),
        "kspace_network": Method("k-space network", partial(_trained, "kspace_network")),
        "universal_varnet": Method("universal_varnet", partial(_shipped, "universal_varnet")),
        "weighted_dircn": Method("weighted_dircn", partial(_shipped, "weighted_dircn")),
    }
)
"""Name to method, in the order of tables and figures."""


def find_methods(names: list[str] | None, known: list[str]) -> list[str]:
    """The methods asked for, in the order of the tables.

    Args:
        names: some of those known; None takes all.
        known: all names.

    Returns:
        Names.

    Raises:
        ValueError: if one is unknown, or none is given.
    """
    if names is None:
        return known
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"methods hold {json.dumps(unknown)}, expected some of {', '.join(known)}")
    return [name for name in known if name in names]
