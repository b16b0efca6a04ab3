"""How many slices of each file fit into a mail, and how well compressed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recon_monai.evaluation.report.encoding import COMPRESSIONS, Encoder
from recon_monai.evaluation.report.fields import ReportError
from recon_monai.evaluation.report.images import encode_case, slice_count

__all__ = ["SIZE_BUDGET", "Fit", "fit_to_budget"]

SIZE_BUDGET = 17_000_000
"""Bytes of images; as an attachment, which mail makes a third larger, that stays below the usual limit of 25 MB."""


class Fit(NamedTuple):
    """What keeps the images within ``SIZE_BUDGET``.

    Attributes:
        slices: at most so many of each file.
        compression: index into ``COMPRESSIONS``.
        fits: whether it does; with many files even the last compression may not.
    """

    slices: int
    compression: int
    fits: bool


def fit_to_budget(paths: Sequence[Path], methods: Sequence[str], *, lossless: bool = False) -> Fit:
    """First slices are left out, down to one of each file, then images are compressed more, then made smaller.

    Judged by the size of the central slices. Without loss, only slices are left out.

    Args:
        paths: image files; those that cannot be read do not count.
        methods: whose images are shown.
        lossless: as in ``Encoder``.

    Returns:
        Slices and compression.
    """
    sizes = _sizes(paths, methods, Encoder(lossless))
    wanted = max((count for _, count in sizes), default=1)
    while wanted > 1 and sum(size * min(count, wanted) for size, count in sizes) > SIZE_BUDGET:
        wanted -= 1
    compression = 0
    total = sum(size * min(count, wanted) for size, count in sizes)
    while total > SIZE_BUDGET and not lossless and compression + 1 < len(COMPRESSIONS):
        compression += 1
        sizes = _sizes(paths, methods, Encoder(lossless, compression))
        total = sum(size for size, _ in sizes)
    return Fit(wanted, compression, total <= SIZE_BUDGET)


def _sizes(paths: Sequence[Path], methods: Sequence[str], encoder: Encoder) -> list[tuple[int, int]]:
    """Bytes of the central slice, and how many slices there are, of each file."""
    sizes = []
    for path in paths:
        try:
            sizes.append((len(json.dumps(encode_case(path, methods, 1, encoder))), slice_count(path)))
        except ReportError:
            continue  # said on the page, where the same error comes up again
    return sizes
