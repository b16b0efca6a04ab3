"""A bundle as a folder and a zip that others can use: the shape that the Model Zoo asks for."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from recon_monai import __version__
from recon_monai.sharing.bundle_version import raised
from recon_monai.sharing.import_graph import PACKAGE, Reached, configured_names, reached
from recon_monai.sharing.installation import installation_section
from recon_monai.sharing.large_files import set_aside_large_files
from recon_monai.sharing.metadata_rules import metadata_faults
from recon_monai.sharing.path_check import check_no_machine_paths
from recon_monai.sharing.requirements import OWN, packages_of
from recon_monai.sharing.sheet import exported_sheet
from recon_monai.sharing.vendored_configs import vendored_configurations
from recon_monai.sharing.vendoring import vendor
from recon_monai.sharing.wheel import provide_wheel

__all__ = ["ExportedBundle", "Form", "export_bundle"]

Form = Literal["pinned", "vendored"]
"""Where an exported bundle has its Python from: this package as a requirement, or a copy of the modules it reaches."""

_FOLDERS = {"configs": ("*.json", "*.yaml", "*.conf"), "docs": ("*",), "models": ("*.pt", "*.json")}
_NEEDED = (
    "LICENSE",
    "docs/README.md",
    "docs/data_license.txt",
    "configs/metadata.json",
    "configs/train.json",
    "configs/evaluate.json",
    "configs/inference.json",
)
_WORKFLOWS = ("train.json", "evaluate.json", "inference.json")
_WEIGHTS = "models/model.pt"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedBundle:
    """Where an export lies.

    Attributes:
        folder: the bundle.
        archive: the same as a zip, named by version.
        wheel: of this package, beside the folder; None for a bundle that brings its code.
        large: files that are published elsewhere.
    """

    folder: Path
    archive: Path
    wheel: Path | None
    large: list[Path]


def export_bundle(
    bundle: Path,
    output: Path,
    form: Form = "pinned",
    version: str | None = None,
    changes: str | None = None,
    wheel: Path | None = None,
    large_files: str | None = None,
    without_weights: bool = False,
    overwrite: bool = False,
) -> ExportedBundle:
    """Write a bundle as others can use it; `recon-monai export` is this function.

    Nothing is left behind if it fails. Equal bundles make equal zips.

    Args:
        bundle: its folder in the repository.
        output: gets the folder, the zip and the wheel.
        form: ``"pinned"`` or ``"vendored"``.
        version: a new version, which goes into the bundle's own metadata, too.
        changes: what is new in it.
        wheel: of this package, built before (pinned).
        large_files: start of the address where files over 25 MB will be published.
        without_weights: export a bundle that has none.
        overwrite: replace an export of the same version with other content, one with runs in it, or another folder of
            the bundle's name.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: if the bundle lacks a file that it needs.
        FileExistsError: if this version, or that of the wheel, was exported before with other content; or what lies in
            the place of the folder is no export, or holds runs.
        ValueError: if anything in the bundle breaks a rule, or an argument cannot be.
    """
    if form not in get_args(Form):
        raise ValueError(f"--form {form}: expected {' or '.join(get_args(Form))}")
    if wheel and form == "vendored":
        raise ValueError("--wheel goes with --form pinned; the vendored form brings its code itself")
    shipped = _check_files(bundle, without_weights)
    _check_place(bundle, output, overwrite)
    own = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    new = raised(own, version, changes)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".export-") as temporary:
        made = Path(temporary) / bundle.name
        copied = provide_wheel(Path(temporary), wheel) if form == "pinned" else None
        metadata = _fill(bundle, made, new, copied, shipped)
        large = set_aside_large_files(made, _files(made), Path(temporary) / "large", large_files)
        archive = Path(temporary) / f"{bundle.name}_v{metadata['version']}.zip"
        _zip(made, archive)
        exported = _publish(output, made, archive, copied, large, overwrite)
    if new != own:
        _write_metadata(bundle, new)
    return exported


def _write_metadata(bundle: Path, metadata: Mapping[str, Any]) -> None:
    text = json.dumps(metadata, indent=4, ensure_ascii=False) + "\n"
    (bundle / "configs" / "metadata.json").write_text(text, encoding="utf-8")


def _check_files(bundle: Path, without_weights: bool) -> bool:
    """Whether the bundle has weights; refuses one that lacks something."""
    for name in _NEEDED:
        if not (bundle / name).is_file():
            raise FileNotFoundError(f"{bundle / name}: there is no such file, and a shared bundle needs it")
    shipped = (bundle / _WEIGHTS).is_file()
    if not shipped and not without_weights:
        raise FileNotFoundError(
            f"{bundle} has no {_WEIGHTS}, and the Model Zoo takes no bundle without weights: ship those of a finished "
            "run by `recon-monai release`, or export without them by --without_weights True"
        )
    return shipped


def _check_place(bundle: Path, output: Path, overwrite: bool) -> None:
    """Refuse a place where the folder would replace what no export can make again."""
    folder = output / bundle.name
    if folder.resolve() == bundle.resolve():
        raise ValueError(
            f"--output {output} is where the bundle itself lies, which the export would replace; name another"
        )
    if overwrite or not folder.exists():
        return
    if not list(output.glob(f"{bundle.name}_v*.zip")):
        raise FileExistsError(
            f"{folder} exists, and no {bundle.name}_v*.zip beside it says that it was exported; choose another "
            "--output, or replace it by --overwrite True"
        )
    if (folder / "eval").exists():
        raise FileExistsError(
            f"{folder / 'eval'} holds runs, which a new export would delete; move them, choose another --output, or "
            "give --overwrite True"
        )


def _fill(bundle: Path, made: Path, metadata: Mapping[str, Any], wheel: Path | None, shipped: bool) -> dict[str, Any]:
    """Write the exported bundle; returns its metadata."""
    _copy(bundle, made)
    configs = [file for file in sorted((made / "configs").glob("*.json")) if file.name != "metadata.json"]
    found = reached(configured_names(configs))
    workflows = reached(configured_names(made / "configs" / name for name in _WORKFLOWS))
    declared = {name: value for name, value in metadata["required_packages_version"].items() if name != OWN}
    packages = packages_of(workflows.third_party | workflows.optional, declared)
    filled = {**metadata, "required_packages_version": {**packages, **({OWN: __version__} if wheel else {})}}
    faults = metadata_faults(filled)
    if faults:
        raise ValueError(f"{bundle / 'configs' / 'metadata.json'}: {'; '.join(faults)}")
    more = sorted(set(packages_of(found.third_party | found.optional, declared)) - set(packages))
    sheet = exported_sheet(bundle, installation_section(filled, more, wheel, shipped))
    (made / "docs" / "README.md").write_text(sheet.text, encoding="utf-8")
    for name, picture in sheet.pictures.items():
        shutil.copyfile(picture, made / "docs" / name)
    _write_metadata(made, filled)
    if wheel is None:
        identity = vendor(_with_check(found), made)
        vendored_configurations(made / "configs", bundle.name, identity)
        _import_all(found, made)
    check_no_machine_paths(made, _files(made))
    return filled


def _with_check(found: Reached) -> Reached:
    """The same with what vendored configurations ask for besides."""
    check = reached([f"{PACKAGE}.sharing.check_code"])
    for module, names in check.passed_on.items():
        found.passed_on.setdefault(module, set()).update(names)
    found.modules |= check.modules
    return found


def _import_all(found: Reached, made: Path) -> None:
    """Import every vendored module in a process that has no other copy: what reading missed shows here."""
    made = made.resolve()
    code = (
        "import importlib, pathlib, sys\n"
        f"names, folder = {sorted(found.modules)!r}, {str(made)!r}\n"
        "for name in names:\n"
        "    module = importlib.import_module(name)\n"
        "    assert pathlib.Path(module.__file__).is_relative_to(folder), module.__file__\n"
        "    [getattr(module, one) for one in getattr(module, '__all__', ())]\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=made,
        env={**os.environ, "PYTHONPATH": str(made)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        raise RuntimeError(f"the vendored modules of {made.name} cannot be imported by themselves: {last}")


def _copy(bundle: Path, made: Path) -> None:
    made.mkdir()
    shutil.copyfile(bundle / "LICENSE", made / "LICENSE")
    taken = {"LICENSE"}
    for folder, patterns in _FOLDERS.items():
        (made / folder).mkdir()
        for file in {file for pattern in patterns for file in (bundle / folder).glob(pattern) if file.is_file()}:
            shutil.copyfile(file, made / folder / file.name)
            taken.add(f"{folder}/{file.name}")
    inside = {file.relative_to(bundle) for file in bundle.rglob("*") if file.is_file()}
    left = sorted(path.as_posix() for path in inside if path.parts[0] != "eval" and path.as_posix() not in taken)
    if left:
        logger.warning("left out, since it is no part of a bundle: %s", ", ".join(left))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _zip(folder: Path, archive: Path) -> None:
    """Pack a folder; names and contents alone decide the bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in _files(folder):
            entry = zipfile.ZipInfo(f"{folder.name}/{file.relative_to(folder).as_posix()}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


def _publish(
    output: Path, made: Path, archive: Path, wheel: Path | None, large: list[Path], overwrite: bool
) -> ExportedBundle:
    """Move everything to its place, which only an equal export may hold."""
    target = output / archive.name
    if target.exists() and target.read_bytes() != archive.read_bytes() and not overwrite:
        raise FileExistsError(
            f"{target} holds another state of this version; raise it by --version and --changes, as the Model Zoo asks "
            "for with every change, or give --overwrite True if nobody has it yet"
        )
    built = output / wheel.name if wheel else None
    if wheel and built and built.exists() and built.read_bytes() != wheel.read_bytes() and not overwrite:
        raise FileExistsError(
            f"{built} is another build of this version, which bundles there may name by its SHA-256; export to another "
            "folder, raise the package's version, or give --overwrite True"
        )
    folder = output / made.name
    if folder.exists():
        shutil.rmtree(folder)
    made.rename(folder)
    archive.replace(target)
    aside = output / f"{folder.name}_large_files"
    for file in large:
        aside.mkdir(exist_ok=True)
        file.replace(aside / file.name)
    if wheel and built:
        wheel.replace(built)
    return ExportedBundle(folder, target, built, [aside / file.name for file in large])
