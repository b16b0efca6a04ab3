"""Files and whole data sets: what is to be written where, what is done already, and what it brought."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from recon_monai.data.repack.layout import seconds_per_slice, slow_reasons
from recon_monai.data.repack.rewriting import RepackError, check_complete, rewrite, same_content
from recon_monai.data.splits import SPLIT_FILE
from recon_monai.data.writers import atomic_path

__all__ = ["RECORD_FILE", "RepackSummary", "Repacked", "check_layout", "repack"]

RECORD_FILE = "repack.jsonl"
"""In the output folder: one line for each finished file."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repacked:
    """What was done to a file, and what it brought.

    Attributes:
        outcome: ``repacked`` (it was slow), ``copied`` (it was not) or ``kept`` (it was done before).
        slow: what made the file slow, see `slow_reasons`.
        seconds_before: to read a slice of the source, see `seconds_per_slice`; None without slices.
        seconds_after: the same of the new file.
        bytes_before: size of the source.
        bytes_after: size of the new file.
    """

    outcome: Literal["repacked", "copied", "kept"]
    slow: list[str]
    seconds_before: float | None
    seconds_after: float | None
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class RepackSummary:
    """What `repack` did.

    Attributes:
        files: by the path of the new file.
        failures: one sentence for each file that could not be repacked.
    """

    files: dict[Path, Repacked]
    failures: list[str]


def check_layout(inputs: Sequence[str | Path]) -> tuple[dict[Path, list[str]], list[str]]:
    """Find out which files are slow to read and why; nothing is written.

    Args:
        inputs: files, or folders with files ``*.h5`` at any depth.

    Returns:
        What makes each file slow (empty for one that is not), and one sentence for each file that cannot be read.

    Raises:
        RepackError: if an input does not exist or holds no file.
    """
    found: dict[Path, list[str]] = {}
    failures: list[str] = []
    for path in _sources([Path(name) for name in inputs]):
        try:
            found[path] = _slow(path)
        except RepackError as error:
            failures.append(str(error))
    return found, failures


def repack(inputs: Sequence[str | Path], output: str | Path, *, overwrite: bool = False) -> RepackSummary:
    """Write files again so that each slice is one plain read; see `rewrite`.

    Files that are not slow are copied, so that the output is complete. A folder keeps its structure and its
    ``split.json``: a single one is repacked into the output, several of them into folders of their names in it.
    Each finished file gets a line in ``repack.jsonl``; the next call skips it as long as neither file has changed,
    and takes any other file of the same content that is there already.

    Args:
        inputs: files, or folders with files ``*.h5`` at any depth.
        output: the folder for the new files.
        overwrite: replace files in the output that hold something else.

    Returns:
        What was done and what it brought, and the files that failed; these do not stop the others.

    Raises:
        RepackError: if an input does not exist or holds no file, if two files would get the same name, or if the
            output lies in an input.
    """
    output = Path(output)
    plan = _plan([Path(name) for name in inputs], output)
    done = _read_record(output)
    files: dict[Path, Repacked] = {}
    failures: list[str] = []
    for number, (destination, source) in enumerate(plan.items(), start=1):
        try:
            if source.name == SPLIT_FILE:
                _copy_split(source, destination, overwrite)
                continue
            key = destination.relative_to(output).as_posix()
            kept = _kept(source, destination, done.get(key))
            result = kept or _repack_file(source, destination, overwrite)
            if kept is None:
                _write_record(output, key, source, destination, result)
        except RepackError as error:
            failures.append(str(error))
        except (OSError, RuntimeError, KeyError, ValueError) as error:  # what h5py raises for damaged files
            failures.append(f"{source}: cannot be repacked ({error}); check file and disk, then try again")
        else:
            files[destination] = result
            logger.info("%d/%d %s", number, len(plan), _describe(destination, result))
            continue
        logger.error("%d/%d %s", number, len(plan), failures[-1])
    return RepackSummary(files, failures)


def _sources(inputs: Sequence[Path], *, split: bool = False) -> list[Path]:
    found = []
    for path in inputs:
        if not path.exists():
            raise RepackError(f"{path} does not exist, expected a fastMRI .h5 file or a folder of them")
        inside = [path] if path.is_file() else sorted(p for p in path.rglob("*.h5") if not p.name.startswith("."))
        if not inside:
            raise RepackError(f"{path} holds no .h5 file; give a folder of fastMRI files")
        found += inside
        if split and path.is_dir():
            found += sorted(path.rglob(SPLIT_FILE))
    return found


def _plan(inputs: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Source of each file that is to be in the output."""
    plan: dict[Path, Path] = {}
    for path in inputs:
        if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
            raise RepackError(f"the output {output} lies in the input {path}; choose a folder outside of it")
        for source in _sources([path], split=True):
            inside = Path(source.name) if path.is_file() else source.relative_to(path)
            below = Path(path.resolve().name) / inside if path.is_dir() and len(inputs) > 1 else inside
            destination = output / below
            if destination in plan:
                raise RepackError(
                    f"{plan[destination]} and {source} would both become {destination}; repack them in two calls"
                )
            if destination.exists() and destination.samefile(source):
                raise RepackError(f"{source} would be replaced by itself; choose another folder for the output")
            plan[destination] = source
    return plan


def _slow(path: Path) -> list[str]:
    try:
        with h5py.File(path, "r") as file:
            check_complete(file)
            return slow_reasons(file)
    except (OSError, RuntimeError, KeyError) as error:
        raise RepackError(
            f"{path}: cannot be read as HDF5 ({error}), expected a fastMRI .h5 file; copy or download it again"
        ) from error


def _kept(source: Path, destination: Path, record: dict[str, Any] | None) -> Repacked | None:
    """What the record says of a file if neither side has changed since."""
    if record is None or not destination.exists() or record["states"] != [_state(source), _state(destination)]:
        return None
    return Repacked(**{**record["result"], "outcome": "kept"})


def _repack_file(source: Path, destination: Path, overwrite: bool) -> Repacked:
    slow = _slow(source)
    if destination.exists() and not _slow_or_bad(destination) and same_content(source, destination):
        return _measured("kept", slow, source, destination)
    if destination.exists() and not overwrite:
        raise RepackError(
            f"{source}: {destination} exists and is not the repacked file; give --overwrite to replace it, or another "
            "output"
        )
    if slow:
        rewrite(source, destination)
        return _measured("repacked", slow, source, destination)
    with atomic_path(destination) as temporary:
        shutil.copyfile(source, temporary)
        if not same_content(source, temporary):
            raise RepackError(f"{source}: the copy differs from it; check the disk and try again")
    return _measured("copied", slow, source, destination)


def _slow_or_bad(path: Path) -> bool:
    try:
        return bool(_slow(path))
    except RepackError:
        return True


def _measured(outcome: Any, slow: list[str], source: Path, destination: Path) -> Repacked:
    return Repacked(
        outcome,
        slow,
        seconds_per_slice(source),
        seconds_per_slice(destination),
        source.stat().st_size,
        destination.stat().st_size,
    )


def _copy_split(source: Path, destination: Path, overwrite: bool) -> None:
    content = source.read_bytes()
    if destination.exists():
        if destination.read_bytes() == content:
            return
        if not overwrite:
            raise RepackError(f"{source}: {destination} exists and differs; give --overwrite to replace it")
    with atomic_path(destination) as temporary:
        temporary.write_bytes(content)


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read_record(output: Path) -> dict[str, dict[str, Any]]:
    """Finished files by their name in the output; a line that an interruption cut off is left out."""
    done: dict[str, dict[str, Any]] = {}
    path = output / RECORD_FILE
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            done[entry["file"]] = entry
        except (ValueError, KeyError, TypeError):
            logger.warning("%s: a line cannot be read and is left out; its file is checked again", path)
    return done


def _write_record(output: Path, key: str, source: Path, destination: Path, result: Repacked) -> None:
    states = [_state(source), _state(destination)]
    entry = {"file": key, "source": str(source), "states": states, "result": asdict(result)}
    with (output / RECORD_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _describe(destination: Path, result: Repacked) -> str:
    if result.outcome == "kept":
        return f"{destination}: done before"
    if result.outcome == "copied":
        return f"{destination}: copied as it is, it was not slow"
    return f"{destination}: repacked ({'; '.join(result.slow)}); {gain([result])}"


def gain(results: Sequence[Repacked]) -> str:
    """What repacking brought, in words: mean time to read a slice, and total size."""
    before = [result.seconds_before for result in results if result.seconds_before is not None]
    after = [result.seconds_after for result in results if result.seconds_after is not None]
    sizes = [sum(result.bytes_before for result in results), sum(result.bytes_after for result in results)]
    text = f"{sizes[0] / 1e6:.1f} MB before, {sizes[1] / 1e6:.1f} MB after"
    if not before or not after:
        return text
    means = [sum(before) / len(before), sum(after) / len(after)]
    faster = means[0] / max(means[1], 1e-9)
    return f"{means[0] * 1e3:.2f} ms to read a slice before, {means[1] * 1e3:.2f} ms after ({faster:.1f}x); {text}"


def count_outcomes(summary: RepackSummary) -> str:
    """How many files were repacked, copied and kept, in words."""
    counts = Counter(result.outcome for result in summary.files.values())
    return f"{counts['repacked']} repacked, {counts['copied']} copied, {counts['kept']} done before"
