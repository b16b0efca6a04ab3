"""How many slices of each file fit into a mail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from recon_monai.evaluation.report.encoding import Encoder
from recon_monai.evaluation.report.fields import ReportError
from recon_monai.evaluation.report.images import encode_case, slice_count

__all__ = ["SIZE_BUDGET", "slices_that_fit"]

SIZE_BUDGET = 17_000_000
"""Bytes of images; as an attachment, which mail makes a third larger, that stays below the usual limit of 25 MB."""


def slices_that_fit(paths: Sequence[Path], methods: Sequence[str], *, lossless: bool = False) -> int:
    """Slices per file that keep the images within ``SIZE_BUDGET``, by the size of the central slices; at least 1.

    Args:
        paths: image files; those that cannot be read do not count.
        methods: whose images are shown.
        lossless: as in ``Encoder``.

    Returns:
        At most so many slices of each file.
    """
    files = []
    for path in paths:
        try:
            size = len(json.dumps(encode_case(path, methods, 1, Encoder(lossless))))
            files.append((size, slice_count(path)))
        except ReportError:
            continue  # said on the page, where the same error comes up again
    wanted = max((count for _, count in files), default=1)
    while wanted > 1 and sum(size * min(count, wanted) for size, count in files) > SIZE_BUDGET:
        wanted -= 1
    return wanted
