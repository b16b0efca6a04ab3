"""`recon-monai repack`: files that are slow to read into fast ones of the same content."""

from __future__ import annotations

import logging

__all__ = ["repack"]

logger = logging.getLogger(__name__)


def repack(*inputs: str, output: str | None = None, check: bool = False, overwrite: bool = False) -> None:
    """Write fastMRI files that are slow to read again, with each slice as one uncompressed chunk.

    Compressed files (gzip, lzf), and files in chunks that go across slices, are the usual reason why training waits
    for data. Arrays, attributes, header, folder structure and split.json stay as they are, bit for bit, which is
    checked by reading back. Interrupted runs continue where they were: give the same command again.

    Examples:
        recon-monai repack fastmri --check
        recon-monai repack fastmri --output fastmri_fast
        recon-monai repack knee/multicoil_train knee/multicoil_val --output knee_fast

    Args:
        inputs: .h5 files, or folders that hold them at any depth. Several folders keep their names in OUTPUT, of a
            single one the content is taken.
        output: folder for the new files, outside of the inputs.
        check: only say which files are slow and why.
        overwrite: replace files in OUTPUT that hold something else.
    """
    from recon_monai.data import repack as parts
    from recon_monai.data.repack.folder import RECORD_FILE, count_outcomes, gain

    for name, value in (("check", check), ("overwrite", overwrite)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, expected --{name} without a value, or True or False")
    paths = [str(path) for path in inputs]
    if not paths:
        raise ValueError("no input was given, expected .h5 files or folders, for example recon-monai repack fastmri")
    if check:
        found, failures = parts.check_layout(paths)
        slow = {path: reasons for path, reasons in found.items() if reasons}
        for path, reasons in slow.items():
            logger.info("%s: slow (%s)", path, "; ".join(reasons))
        logger.info("%d of %d files are slow to read; nothing was written", len(slow), len(found) + len(failures))
    else:
        if output is None or isinstance(output, bool):
            raise ValueError("no output was given, expected --output FOLDER (or --check to see which files are slow)")
        summary = parts.repack(paths, str(output), overwrite=overwrite)
        failures = summary.failures
        logger.info("%s of %d files, in %s", count_outcomes(summary), len(summary.files) + len(failures), output)
        gained = [result for result in summary.files.values() if result.slow]
        if gained:
            logger.info("%s (files in the page cache; each file: %s/%s)", gain(gained), output, RECORD_FILE)
    if failures:
        what = "cannot be read" if check else "failed, all others are done"
        raise ValueError(f"{len(failures)} file(s) {what}:\n" + "\n".join(failures))
