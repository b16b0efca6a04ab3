"""Files that are too large for the Model Zoo, and the list that tells MONAI where they are to be had."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

__all__ = ["FILE_LIMIT", "set_aside_large_files"]

FILE_LIMIT = 25 * 10**6
"""The Model Zoo's limit for one file, in bytes."""

LIST = "large_files.yml"


def set_aside_large_files(bundle: Path, files: Sequence[Path], aside: Path, address: str | None) -> list[Path]:
    """Move files over the limit out of an exported bundle, and list them in ``large_files.yml``.

    `python -m monai.bundle download_large_files` puts them back, and the Model Zoo's checks call it.

    Args:
        bundle: its folder.
        files: below it.
        aside: folder that gets the large ones, to be published from there.
        address: where they will be: the start of an address, each file's name follows.

    Returns:
        What was moved, at its new place.

    Raises:
        ValueError: if there are such files and no address is given.
    """
    large = [file for file in files if file.stat().st_size > FILE_LIMIT]
    if large and not address:
        named = ", ".join(
            f"{file.relative_to(bundle).as_posix()} ({file.stat().st_size / 1e6:.1f} MB)" for file in large
        )
        raise ValueError(
            f"{named}: the Model Zoo takes at most {FILE_LIMIT / 1e6:.0f} MB for one file; ship smaller weights, or "
            "say where the file will be published by --large_files ADDRESS (large_files.yml then lists it)"
        )
    lines, moved = ["large_files:"], []
    for file in large:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        path = file.relative_to(bundle).as_posix()
        lines += [f'- path: "{path}"', f'  url: "{str(address).rstrip("/")}/{file.name}"']
        lines += [f'  hash_val: "{digest}"', '  hash_type: "sha256"']
        aside.mkdir(parents=True, exist_ok=True)
        moved.append(Path(shutil.move(file, aside / file.name)))
    if moved:
        (bundle / LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return moved
