"""Slow fastMRI files (compressed, or chunked across slices) into files of which each slice is one plain read."""

from __future__ import annotations

from recon_monai.data.repack.folder import Repacked, RepackSummary, check_layout, repack
from recon_monai.data.repack.layout import seconds_per_slice, slow_reasons
from recon_monai.data.repack.rewriting import RepackError, rewrite, same_content

__all__ = [
    "RepackError",
    "RepackSummary",
    "Repacked",
    "check_layout",
    "repack",
    "rewrite",
    "same_content",
    "seconds_per_slice",
    "slow_reasons",
]
