"""The built-in demo sets: made-up heads and knees and one real volume, simulated on first use, no download."""

from __future__ import annotations

from recon_monai.data.demo.built_in import built_in_dataset, draw_subject
from recon_monai.data.demo.contrast import BRAIN_ACQUISITIONS, KNEE_ACQUISITIONS, draw_contrast
from recon_monai.data.demo.head import draw_head, draw_head_slice
from recon_monai.data.demo.knee import draw_knee_slice
from recon_monai.data.demo.knee_anatomy import Knee, random_knee
from recon_monai.data.demo.lesions import Lesion, draw_lesions
from recon_monai.data.demo.painting import DrawnSlice
from recon_monai.data.demo.recipe import DemoRecipe, DemoSubject, Protocol
from recon_monai.data.demo.scans import ensure_demo_scans
from recon_monai.data.demo.volumes import DemoVolumeRecipe, draw_head_volume, ensure_demo_volumes

__all__ = [
    "BRAIN_ACQUISITIONS",
    "KNEE_ACQUISITIONS",
    "DemoRecipe",
    "DemoSubject",
    "DemoVolumeRecipe",
    "DrawnSlice",
    "Knee",
    "Lesion",
    "Protocol",
    "built_in_dataset",
    "draw_contrast",
    "draw_head",
    "draw_head_slice",
    "draw_head_volume",
    "draw_knee_slice",
    "draw_lesions",
    "draw_subject",
    "ensure_demo_scans",
    "ensure_demo_volumes",
    "random_knee",
]
