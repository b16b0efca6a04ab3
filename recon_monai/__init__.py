"""MRI reconstruction and super-resolution for the MONAI ecosystem."""

from __future__ import annotations

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only, not for diagnosis."

__all__ = ["RESEARCH_NOTICE", "__version__"]
