"""What an exported bundle needs to be installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

__all__ = ["OWN", "packages_of", "requirement_lines"]

OWN = "recon-monai"
"""Name of this package where packages are installed from."""

_OF_MONAI = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
# MONAI's command line is built with fire, its TensorBoard handlers import tensorboard when they are made.
_BEHIND_MONAI = ("fire", "tensorboard")


def requirement_lines(metadata: Mapping[str, Any]) -> list[str]:
    """The packages of a metadata.json as pip takes them.

    Args:
        metadata: its content.

    Returns:
        Lines such as ``"monai==1.6.1"``, sorted.
    """
    packages = {name: str(metadata[key]) for name, key in _OF_MONAI.items()} | metadata["required_packages_version"]
    return sorted(found if found[:1] in "<>=!~" else f"{name}=={found}" for name, found in packages.items())


def packages_of(modules: Iterable[str], declared: Mapping[str, str]) -> dict[str, str]:
    """Distributions behind imported modules, with the versions that are declared, else those installed here.

    Args:
        modules: first parts of module names.
        declared: version by distribution.

    Returns:
        Version by distribution, without those that metadata name by keys of their own.

    Raises:
        ValueError: if a module is not installed, so that nobody can say which version works.
    """
    known = _distributions()
    found = dict(declared)
    for module in sorted({*modules, *_BEHIND_MONAI}):
        if module not in known:
            raise ValueError(
                f"the bundle's configurations need the module {module}, which is not installed here, so its version "
                "cannot be stated; install it"
            )
        name = _distribution(module, known[module])
        same = {_canonical(one) for one in known[module]} & {_canonical(one) for one in found}
        if name not in _OF_MONAI and not same:
            found.setdefault(name, _version(name))
    return dict(sorted(found.items()))


def _canonical(name: str) -> str:
    """One spelling of ``pytorch_optimizer`` and ``pytorch-optimizer``, as pip sees them."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _distribution(module: str, names: Sequence[str]) -> str:
    """The distribution of a module; of several that bring it, such as the parts of itk, the one named as it is."""
    try:
        version(module)
    except PackageNotFoundError:
        return names[0]
    return module


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError as error:
        raise ValueError(f"{name} is imported, but pip does not know which version it is; install it by pip") from error
