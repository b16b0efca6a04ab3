"""Solvers of inverse problems ``y = A x + n``, over any linear operator and as reconstructions of k-space."""

from __future__ import annotations

from recon_monai.solvers.deep_image_prior import (
    DeepImagePrior,
    DeepImagePriorSolution,
    deep_image_prior,
    held_out_samples,
)
from recon_monai.solvers.fitting import fit_denoiser, fit_generator
from recon_monai.solvers.manifold import ManifoldSearch, ManifoldSolution, manifold_search
from recon_monai.solvers.plug_and_play import Denoiser, PlugAndPlay, plug_and_play
from recon_monai.solvers.slices import MapEstimator, SliceReconstruction
from recon_monai.solvers.solution import Solution

__all__ = [
    "DeepImagePrior",
    "DeepImagePriorSolution",
    "Denoiser",
    "ManifoldSearch",
    "ManifoldSolution",
    "MapEstimator",
    "PlugAndPlay",
    "SliceReconstruction",
    "Solution",
    "deep_image_prior",
    "fit_denoiser",
    "fit_generator",
    "held_out_samples",
    "manifold_search",
    "plug_and_play",
]
