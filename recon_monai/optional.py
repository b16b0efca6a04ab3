"""Optional dependencies: imported when needed, with the exact pip line when missing."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module or say how to install it.

    Args:
        module: dotted name of the module, for example ``"sigpy.mri"``.
        extra: the extra of ``recon-monai`` that brings it, for example ``"baselines"``.

    Returns:
        The imported module.

    Raises:
        ImportError: if the module (or a package above it) is not installed; the message holds the pip line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != top:
            raise
        raise ImportError(
            f"{module} is not installed and this function needs it; install it with: "
            f"pip install 'recon-monai[{extra}]' (in a clone of the repository: pip install -e '.[{extra}]')"
        ) from error
