"""`recon-monai export`: a bundle as a folder and a zip that others can use."""

from __future__ import annotations

import logging
from pathlib import Path

__all__ = ["export"]

logger = logging.getLogger(__name__)


def export(
    bundle: str,
    *,
    output: str,
    form: str = "pinned",
    version: str | None = None,
    changes: str | None = None,
    wheel: str | None = None,
    large_files: str | None = None,
    without_weights: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a bundle in the Model Zoo's shape: OUTPUT/NAME and OUTPUT/NAME_vVERSION.zip.

    The pinned form requires this package at its version, and puts its wheel beside the folder. The vendored form needs
    no package: the modules that the configurations reach lie beside them. Both state all packages that training,
    evaluation and inference need, and how to install them. Paths of this machine are refused with file and line.

    Example:
        recon-monai export bundles/universal_varnet --output exported --form pinned

    Args:
        bundle: the bundle's folder.
        output: folder for the export.
        form: pinned or vendored.
        version: a new version, for example 0.3.0; it and its changes go into the bundle's own metadata, too.
        changes: what is new in it.
        wheel: the wheel of this package, where it was not imported from its source tree.
        large_files: start of the address where files over 25 MB will be published; without it they are refused.
        without_weights: export a bundle that has no weights, which the Model Zoo does not take.
        overwrite: replace an export of the same version with other content, one with runs in it, or another folder
            of the bundle's name.
    """
    from recon_monai.sharing import export_bundle

    made = export_bundle(
        Path(str(bundle)).resolve(),  # its name counts
        Path(str(output)),
        form=form,  # type: ignore[arg-type]  # checked there
        version=None if version is None else str(version),
        changes=None if changes is None else str(changes),
        wheel=Path(str(wheel)) if wheel else None,
        large_files=None if large_files is None else str(large_files),
        without_weights=without_weights,
        overwrite=overwrite,
    )
    logger.info("%s, and as %s (%.1f MB)", made.folder, made.archive.name, made.archive.stat().st_size / 1e6)
    if made.wheel:
        logger.info("%s: publish it beside the bundle, which requires it", made.wheel)
    for file in made.large:
        logger.info("%s: publish it at the address in %s", file, made.folder / "large_files.yml")
