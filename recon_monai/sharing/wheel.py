"""The wheel of this package, which goes with bundles that require it: it is on no index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recon_monai import __version__
from recon_monai.sharing.import_graph import PACKAGE, package_folder

__all__ = ["provide_wheel"]

_NEEDED = ("pyproject.toml", "README.md", "LICENSE")
# Files in a zip cannot be older; with one time for all, equal sources make equal wheels.
_EPOCH = "315532800"


def provide_wheel(output: Path, wheel: Path | None = None) -> Path:
    """Put this package's wheel into a folder.

    Args:
        output: the folder.
        wheel: one that was built before; None builds it of the source tree that this package is imported from.

    Returns:
        The file.

    Raises:
        FileNotFoundError: if the file does not exist, or there is no source tree to build of.
        ValueError: if it is the wheel of another package or version.
        RuntimeError: if it cannot be built.
    """
    if wheel is None:
        with tempfile.TemporaryDirectory() as folder:
            return Path(shutil.copy(_build(Path(folder)), output))
    if not wheel.is_file():
        raise FileNotFoundError(f"--wheel {wheel}: there is no such file")
    if not re.fullmatch(rf"{PACKAGE}-{re.escape(__version__)}-.*\.whl", wheel.name):
        raise ValueError(f"--wheel {wheel.name}: expected a wheel of {PACKAGE} {__version__}, as it is imported here")
    return wheel if wheel.parent.resolve() == output.resolve() else Path(shutil.copy(wheel, output))


def _build(folder: Path) -> Path:
    root = package_folder().parent
    missing = [name for name in _NEEDED if not (root / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{root} has no {', '.join(missing)}: {PACKAGE} was not imported from its source tree, so its wheel cannot "
            "be built; give one by --wheel FILE"
        )
    source = folder / "source"  # a copy, since setuptools writes beside what it builds
    source.mkdir()
    for name in _NEEDED:
        shutil.copyfile(root / name, source / name)
    shutil.copytree(root / PACKAGE, source / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(
        [*command, *(["--no-build-isolation"] if _can_build() else [])],
        env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
        capture_output=True,
        text=True,
        check=False,
    )
    built = list(folder.glob("*.whl"))
    if done.returncode or len(built) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(
            f"pip could not build the wheel ({said[-1] if said else 'it said nothing'}); with setuptools 77 or newer "
            "it needs no network, and --wheel FILE takes one that was built before"
        )
    return built[0]


def _can_build() -> bool:
    """Whether what builds is installed here, so that pip need not fetch it."""
    try:
        return int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        return False
