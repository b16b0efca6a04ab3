"""MONAI inferers for volumes: windows blended without seams, and the reference scheme with trimmed margins."""

from __future__ import annotations

from recon_monai.inferers.central_block import CentralBlockInferer
from recon_monai.inferers.margin_trim import MarginTrimInferer
from recon_monai.inferers.seamless import SeamlessInferer

__all__ = ["CentralBlockInferer", "MarginTrimInferer", "SeamlessInferer"]
