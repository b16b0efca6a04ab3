"""MRI reconstruction and super-resolution for the MONAI ecosystem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_monai.inference import load_bundle

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only, not for diagnosis."

__all__ = ["RESEARCH_NOTICE", "__version__", "load_bundle"]


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch and MONAI only when asked for."""
    if name == "load_bundle":
        from recon_monai.inference import load_bundle

        return load_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
