"""Build the package as a publisher does, and install the wheel with its extras as a user does.

    python scripts/check_package.py --work FOLDER [--extras demo,baselines,mrd,dicom,report,export]

Builds the source archive and, from it, the wheel; `twine check --strict`; a fresh environment outside the repository
with `pip install 'recon_monai-....whl[extras]' -c constraints.txt` and nothing else; there `pip check`, every module of
the package imported, the command line, the seconds of `import recon_monai` (the least of five),
and a few lines of use. Ends with an error at the first step that fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = "demo,baselines,mrd,dicom,report,export"
IMPORT_LIMIT = 1.0

EVERYTHING = """
import importlib, pkgutil
import recon_monai
names = [found.name for found in pkgutil.walk_packages(recon_monai.__path__, "recon_monai.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(f"{len(names)} modules imported, version {recon_monai.__version__}, from {recon_monai.__file__}")
"""
IMPORT_SECONDS = """
import time
began = time.perf_counter()
import recon_monai
print(time.perf_counter() - began)
"""
USE = """
import torch
from recon_monai.networks import VarNet
print(tuple(VarNet(1, 4, 2, 1)(torch.randn(1, 4, 32, 32, 2), torch.ones(1, 1, 1, 32, dtype=torch.bool)).shape))
"""


def main() -> None:
    """Build, check, install, use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for archives and environment, made anew")
    parser.add_argument("--extras", default=EXTRAS, help="of pyproject.toml, separated by commas")
    given = parser.parse_args()
    work = given.work.resolve()
    if work == ROOT or ROOT in work.parents:
        sys.exit(f"--work is {work}, inside the repository; the environment has to be elsewhere")
    for part in ("dist", "environment"):
        shutil.rmtree(work / part, ignore_errors=True)
    wheel = build(work / "dist")
    python = install(wheel, given.extras, work / "environment")
    _run([python, "-m", "recon_monai", "--help"], work)
    for title, words in (
        ("dependencies", ["-m", "pip", "check"]),
        ("modules", ["-c", EVERYTHING]),
        ("use", ["-c", USE]),
    ):
        print(f"{title}: {_run([python, *words], work).strip().splitlines()[-1]}", flush=True)
    seconds = min(float(_run([python, "-c", IMPORT_SECONDS], work)) for _ in range(5))
    print(f"import recon_monai: {seconds:.2f} s")
    if seconds > IMPORT_LIMIT:
        sys.exit(f"import recon_monai took {seconds:.2f} s, expected at most {IMPORT_LIMIT:g} s")


def build(output: Path) -> Path:
    """Source archive, wheel out of it, and twine's verdict on both.

    Args:
        output: folder of the archives.

    Returns:
        The wheel.
    """
    with tempfile.TemporaryDirectory() as folder:  # tracked files alone
        archive = Path(folder) / "tree.tar"
        _run(["git", "archive", "--output", archive, "HEAD"], ROOT)
        shutil.unpack_archive(archive, Path(folder) / "tree", filter="data")
        _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", output, Path(folder) / "tree"], ROOT)
    files = sorted(output.iterdir())
    print(_run([sys.executable, "-m", "twine", "check", "--strict", *files], ROOT).strip(), flush=True)
    return next(file for file in files if file.suffix == ".whl")


def install(wheel: Path, extras: str, folder: Path) -> Path:
    """A fresh environment with the wheel and its extras.

    Args:
        wheel: to install.
        extras: separated by commas.
        folder: of the environment.

    Returns:
        Its Python.
    """
    began = time.monotonic()
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    words = ["-m", "pip", "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", f"{wheel}[{extras}]"]
    _run([python, *words], folder)
    print(f"{wheel.name}[{extras}]: installed in {time.monotonic() - began:.0f} s", flush=True)
    return python


def _run(words: list[str | Path], folder: Path) -> str:
    """What a command prints, run outside any other environment; the script ends with its output if it fails."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([*map(str, words)], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
