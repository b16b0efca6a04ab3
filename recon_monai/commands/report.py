"""`recon-monai report`: one HTML file to look at a comparison."""

from __future__ import annotations

import logging

__all__ = ["report"]

logger = logging.getLogger(__name__)


def report(folder: str, output: str | None = None, max_slices: int | None = None, lossless: bool = False) -> None:
    """Write what recon-monai compare found as one HTML file that needs no network and can be sent by mail.

    It holds tables by anatomy, acceleration and contrast, distributions, quality against speed, and a viewer of every
    file with errors on one scale. It needs jinja2: pip install 'recon-monai[report]'.

    Examples:
        recon-monai report comparison
        recon-monai report comparison --output report.html --max_slices 4

    Args:
        folder: that recon-monai compare wrote (its --output).
        output: HTML file; without it, report.html in FOLDER. An older one is replaced.
        max_slices: show at most this many slices of each file, evenly spaced; without it as many as fit into a mail.
        lossless: compress images without loss, in a file about three times as large.
    """
    from recon_monai.data.prepare.checks import check_integer
    from recon_monai.evaluation.report import write_report
    from recon_monai.optional import require

    if isinstance(output, bool):
        raise ValueError("no output was given, expected --output FILE, for example --output report.html")
    if not isinstance(lossless, bool):
        raise ValueError(f"lossless is {lossless!r}, expected --lossless without a value, or True or False")
    if max_slices is not None:
        check_integer("max_slices", max_slices, 1)
    require("jinja2", extra="report")  # before images are read, which takes a while
    written = write_report(
        str(folder), None if output is None else str(output), max_slices=max_slices, lossless=lossless
    )
    logger.info(
        "wrote %s (%.1f MB): %d files, at most %d slices of each; open it in any browser",
        written.path,
        written.size / 1e6,
        written.cases,
        written.max_slices,
    )
