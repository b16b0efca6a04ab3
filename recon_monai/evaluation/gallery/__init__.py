"""The whole family of methods on a built-in slice and volume, and on raw k-space: one table, one figure each."""

from __future__ import annotations

from recon_monai.evaluation.gallery.images import IMAGE_METHODS, IMAGE_PROBLEMS, ImageProblem, make_image_problem
from recon_monai.evaluation.gallery.losses import LOSSES
from recon_monai.evaluation.gallery.making import ALL_METHODS, make_gallery, volume_names
from recon_monai.evaluation.gallery.methods import METHODS
from recon_monai.evaluation.gallery.problems import Problem, built_in_problem
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.evaluation.gallery.shipped import bundle_folder, shipped_network
from recon_monai.evaluation.gallery.tuned import SHIPPED_TUNING, tuned_settings
from recon_monai.evaluation.gallery.volumes import volume_methods
from recon_monai.evaluation.gallery.workshop import Workshop, fit_reconstruction

__all__ = [
    "ALL_METHODS",
    "IMAGE_METHODS",
    "IMAGE_PROBLEMS",
    "LOSSES",
    "METHODS",
    "SHIPPED_TUNING",
    "GallerySettings",
    "ImageProblem",
    "Problem",
    "Workshop",
    "built_in_problem",
    "bundle_folder",
    "fit_reconstruction",
    "make_gallery",
    "make_image_problem",
    "shipped_network",
    "tuned_settings",
    "volume_methods",
    "volume_names",
]
