"""Reconstructions by solvers: the inverse problem ``y = A x + n`` with one regularization or another."""

from __future__ import annotations

from recon_monai.solvers.base import OperatorReconstruction, Reconstruction
from recon_monai.solvers.classical import DictionaryLearning, LeastSquares, ProximalGradient, Tikhonov, TotalVariation
from recon_monai.solvers.coil_maps import MapEstimator, calibration_maps, espirit_maps
from recon_monai.solvers.deep_image_prior import (
    DeepImagePrior,
    DeepImagePriorSolution,
    PriorNetwork,
    deep_image_prior,
    held_out_samples,
)
from recon_monai.solvers.dictionary_learning import DictionarySettings, dictionary
from recon_monai.solvers.fitting import fit_denoiser, fit_generator
from recon_monai.solvers.krylov import conjugate_gradient, least_squares, tikhonov
from recon_monai.solvers.limited import LimitedReconstruction
from recon_monai.solvers.manifold import ManifoldSearch, ManifoldSolution, manifold_search
from recon_monai.solvers.patches import PatchOperator
from recon_monai.solvers.plug_and_play import Denoiser, PlugAndPlay, plug_and_play
from recon_monai.solvers.proximal import proximal_gradient, soft_threshold
from recon_monai.solvers.sigpy_cg_sense import CGSense
from recon_monai.solvers.sigpy_l1_wavelet import L1Wavelet
from recon_monai.solvers.solution import Solution
from recon_monai.solvers.variation import TotalVariationProx, total_variation
from recon_monai.solvers.wavelet import WaveletOperator, l1_wavelet
from recon_monai.solvers.zero_filled import ZeroFilled, zero_filled

__all__ = [
    "CGSense",
    "DeepImagePrior",
    "DeepImagePriorSolution",
    "Denoiser",
    "DictionaryLearning",
    "DictionarySettings",
    "L1Wavelet",
    "LeastSquares",
    "LimitedReconstruction",
    "ManifoldSearch",
    "ManifoldSolution",
    "MapEstimator",
    "OperatorReconstruction",
    "PatchOperator",
    "PlugAndPlay",
    "PriorNetwork",
    "ProximalGradient",
    "Reconstruction",
    "Solution",
    "Tikhonov",
    "TotalVariation",
    "TotalVariationProx",
    "WaveletOperator",
    "ZeroFilled",
    "calibration_maps",
    "conjugate_gradient",
    "deep_image_prior",
    "dictionary",
    "espirit_maps",
    "fit_denoiser",
    "fit_generator",
    "held_out_samples",
    "l1_wavelet",
    "least_squares",
    "manifold_search",
    "plug_and_play",
    "proximal_gradient",
    "soft_threshold",
    "tikhonov",
    "total_variation",
    "zero_filled",
]
