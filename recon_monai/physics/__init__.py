"""The acquisition model: Fourier transforms, coils, sampling masks, operators and simulation."""

from __future__ import annotations

from recon_monai.physics.calibration import CalibrationError, CalibrationRule, calibration_mask, infer_mask
from recon_monai.physics.coil_compression import (
    CoilCompression,
    compress_coils,
    geometric_compression,
    svd_compression,
)
from recon_monai.physics.coil_map_fit import CoilMapFit, fit_coil_maps
from recon_monai.physics.coils import expand, normalize_maps, reduce, rss
from recon_monai.physics.fourier import decenter, decenter_mask, fft2c, ifft2c, recenter
from recon_monai.physics.grid import Grid, resample_to_grid
from recon_monai.physics.interpolation import InterpolationMethod, interpolate_axis, interpolation_matrix
from recon_monai.physics.linear import (
    BlockDownsampling,
    BlurOperator,
    GradientOperator,
    IdentityOperator,
    KspaceTruncation,
    LinearOperator,
    MaskOperator,
    SenseOperator,
    SliceProfileOperator,
    spectral_norm,
)
from recon_monai.physics.low_resolution import (
    LOW_RESOLUTION_RECIPES,
    LowResolution,
    LowResolutionRecipe,
    simulate_low_resolution,
)
from recon_monai.physics.low_resolution_maps import low_resolution_maps
from recon_monai.physics.masks import (
    EquispacedFractionMask,
    EquispacedMask,
    GaussianMask,
    MagicFractionMask,
    MagicMask,
    MaskKind,
    MixedMask,
    PoissonMask,
    RandomMask,
    SampledMask,
    SamplingMask,
    create_mask,
    seed_from_name,
)
from recon_monai.physics.recording import is_recorded, smaller_size
from recon_monai.physics.seeding import keyed_generator, keyed_seed
from recon_monai.physics.shapes import center_crop_or_pad, crop_readout, truncate_kspace
from recon_monai.physics.simulation import (
    correlated_noise,
    simulate_coil_maps,
    simulate_kspace,
    simulate_noise_covariance,
    simulate_phase,
)
from recon_monai.physics.slices import SliceProfile, ThickSlices, thick_slices
from recon_monai.physics.spectrum import SpectrumOutput, gaussian_apodization, mixed_spectrum, truncate_spectrum
from recon_monai.physics.support import kspace_support
from recon_monai.physics.whitening import noise_covariance, prewhiten

__all__ = [
    "LOW_RESOLUTION_RECIPES",
    "BlockDownsampling",
    "BlurOperator",
    "CalibrationError",
    "CalibrationRule",
    "CoilCompression",
    "CoilMapFit",
    "EquispacedFractionMask",
    "EquispacedMask",
    "GaussianMask",
    "GradientOperator",
    "Grid",
    "IdentityOperator",
    "InterpolationMethod",
    "KspaceTruncation",
    "LinearOperator",
    "LowResolution",
    "LowResolutionRecipe",
    "MagicFractionMask",
    "MagicMask",
    "MaskKind",
    "MaskOperator",
    "MixedMask",
    "PoissonMask",
    "RandomMask",
    "SampledMask",
    "SamplingMask",
    "SenseOperator",
    "SliceProfile",
    "SliceProfileOperator",
    "SpectrumOutput",
    "ThickSlices",
    "calibration_mask",
    "center_crop_or_pad",
    "compress_coils",
    "correlated_noise",
    "create_mask",
    "crop_readout",
    "decenter",
    "decenter_mask",
    "expand",
    "fft2c",
    "fit_coil_maps",
    "gaussian_apodization",
    "geometric_compression",
    "ifft2c",
    "infer_mask",
    "interpolate_axis",
    "interpolation_matrix",
    "is_recorded",
    "keyed_generator",
    "keyed_seed",
    "kspace_support",
    "low_resolution_maps",
    "mixed_spectrum",
    "noise_covariance",
    "normalize_maps",
    "prewhiten",
    "recenter",
    "reduce",
    "resample_to_grid",
    "rss",
    "seed_from_name",
    "simulate_coil_maps",
    "simulate_kspace",
    "simulate_low_resolution",
    "simulate_noise_covariance",
    "simulate_phase",
    "smaller_size",
    "spectral_norm",
    "svd_compression",
    "thick_slices",
    "truncate_kspace",
    "truncate_spectrum",
]
