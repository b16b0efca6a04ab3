"""Several methods on the same data: one table, images, paired differences."""

from __future__ import annotations

from recon_monai.evaluation.comparing.running import Compared, compare_methods
from recon_monai.evaluation.comparing.settings import ComparisonSettings
from recon_monai.evaluation.comparing.words import parse_method

__all__ = ["Compared", "ComparisonSettings", "compare_methods", "parse_method"]
