"""MONAI dictionary transforms for k-space items and for volumes (see ``recon_monai.data`` for the keys of an item)."""

from __future__ import annotations

from recon_monai.transforms.augmentation import PhysicsAugmentd
from recon_monai.transforms.augmentation_schedule import AugmentationSchedule
from recon_monai.transforms.coils import RandomCoilsd
from recon_monai.transforms.field_of_view import SquareFieldOfViewd
from recon_monai.transforms.keyed import KeyedTransform
from recon_monai.transforms.low_resolution import DEFAULT_MIXTURE, LowResolutionDraws, SimulateLowResolutiond
from recon_monai.transforms.noise import RandomNoised
from recon_monai.transforms.patches import RandomPatchd
from recon_monai.transforms.phase import RandomPhased
from recon_monai.transforms.reconstruction import ZeroFilledd
from recon_monai.transforms.resolution import RandomResolutiond
from recon_monai.transforms.scaling import ScaleToReferenced
from recon_monai.transforms.schedule import EpochAware, set_epoch
from recon_monai.transforms.splitting import SplitMeasuredd
from recon_monai.transforms.target import replace_kspace
from recon_monai.transforms.undersampling import Undersampled, mask_kind

__all__ = [
    "DEFAULT_MIXTURE",
    "AugmentationSchedule",
    "EpochAware",
    "KeyedTransform",
    "LowResolutionDraws",
    "PhysicsAugmentd",
    "RandomCoilsd",
    "RandomNoised",
    "RandomPatchd",
    "RandomPhased",
    "RandomResolutiond",
    "ScaleToReferenced",
    "SimulateLowResolutiond",
    "SplitMeasuredd",
    "SquareFieldOfViewd",
    "Undersampled",
    "ZeroFilledd",
    "mask_kind",
    "replace_kspace",
    "set_epoch",
]
