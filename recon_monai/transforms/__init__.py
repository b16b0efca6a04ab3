"""MONAI dictionary transforms for k-space items (see ``recon_monai.data`` for the keys of an item)."""

from __future__ import annotations

from recon_monai.transforms.phase import RandomPhased
from recon_monai.transforms.reconstruction import ZeroFilledd
from recon_monai.transforms.schedule import EpochAware, set_epoch
from recon_monai.transforms.undersampling import Undersampled, mask_kind

__all__ = ["EpochAware", "RandomPhased", "Undersampled", "ZeroFilledd", "mask_kind", "set_epoch"]
