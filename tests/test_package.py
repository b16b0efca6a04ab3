"""The package as it is built and installed: one version, a light import, data files, tests and docs in the archive."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import recon_monai

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "recon_monai"
IN_A_CLONE = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what is tracked is known in a clone only")


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "recon_monai.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", recon_monai.__version__)


def test_importing_the_package_imports_the_standard_library_only(monkeypatch):
    """Whatever is loaded already: all that its first lines ask for, which is why it takes no second."""
    asked = []
    real = builtins.__import__

    def record(name, *arguments, **options):
        asked.append(name.partition(".")[0])
        return real(name, *arguments, **options)

    source = (PACKAGE / "__init__.py").read_text()
    monkeypatch.setattr(builtins, "__import__", record)
    exec(compile(source, "recon_monai/__init__.py", "exec"), {"__name__": "recon_monai"})
    monkeypatch.undo()
    assert asked
    assert set(asked) <= sys.stdlib_module_names


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="load_bundel"):
        _ = recon_monai.load_bundel


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy():
    heavy = {"torch", "monai", "numpy", "itk", "ignite", "h5py", "nibabel"}
    code = f"import sys, recon_monai; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Folder of the source archive and the wheel, the wheel built from the archive, as a publisher builds them."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output


@pytest.mark.slow
@IN_A_CLONE
def test_the_wheel_holds_every_file_of_the_package(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in held if name.startswith("recon_monai/")} == wanted
    assert any(name.endswith(".html.j2") for name in wanted)
    assert any(name.endswith("tuning/cg_sense.json") for name in wanted)
    assert f"recon_monai-{recon_monai.__version__}.dist-info/licenses/LICENSE" in held


@pytest.mark.slow
@IN_A_CLONE
def test_the_source_archive_holds_what_is_tracked(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    missing = {name for name in listed.splitlines() if (ROOT / name).is_file()} - held
    assert all(name.startswith(".") for name in missing), sorted(missing)  # settings of git and the like


@pytest.mark.slow
@IN_A_CLONE
def test_the_archives_pass_the_check_of_the_index(built):
    files = [str(path) for path in built.iterdir()]
    assert len(files) == 2
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2
