"""The built-in demo set: made-up heads and one real volume, simulated on first use, no download."""

from __future__ import annotations

from recon_monai.data.demo.built_in import DemoRecipe, built_in_dataset

__all__ = ["DemoRecipe", "built_in_dataset"]
