"""The folder for generated and downloaded data."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """Folder under which generated and downloaded data are kept.

    Returns:
        ``$RECON_MONAI_CACHE`` if that variable is set and not empty, else ``~/.cache/recon_monai``. The folder is
        not created here; whoever writes into it does that.
    """
    return Path(os.environ.get("RECON_MONAI_CACHE") or Path("~", ".cache", "recon_monai")).expanduser()
