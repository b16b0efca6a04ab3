"""Files that PyTorch wrote, read without running any code of theirs."""

from __future__ import annotations

import os
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

__all__ = ["read_torch_file"]

# what PyTorch raises for files that are cut off or something else altogether, depending on where it notices
_DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_torch_file(path: str | Path) -> Any:
    """Read what ``torch.save`` wrote, to the CPU.

    Only tensors and plain Python values are read (``weights_only=True``): a pickle can run any code.

    Args:
        path: the file.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds other objects, or is damaged or something else altogether.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, expected weights written by PyTorch")
    with path.open("rb") as file:
        kind = _foreign_kind(file)
        if kind is not None:
            raise ValueError(
                f"{path}: is {kind}, expected weights written by PyTorch; save its weights alone by torch.save"
            )
        try:
            with warnings.catch_warnings():  # a note on how the file was pickled, for developers of PyTorch
                warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
                return torch.load(file, map_location="cpu", weights_only=True)
        except _DAMAGED as error:
            raise ValueError(f"{path}: {_reason(error)}") from error


def _foreign_kind(file: BinaryIO) -> str | None:
    """What a file of another package or purpose is, by its bytes; the position in the file stays at its start."""
    start = file.read(9)
    size = file.seek(0, os.SEEK_END)
    file.seek(-min(8, size), os.SEEK_END)
    end = file.read(8)
    file.seek(0)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "an HDF5 file, as Keras writes weights to"
    if end == b"W\xfb\x80\x8b$uG\xdb":  # of a table: the index of a checkpoint, its magic number
        return "a file of TensorFlow, the index of a checkpoint"
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:  # length of a header in JSON
        return "a file of safetensors"
    if start.startswith(b"\x93NUMPY"):
        return "a file of NumPy"
    return _archive_kind(file) if start.startswith(b"PK\x03\x04") else None


def _archive_kind(file: BinaryIO) -> str | None:
    """What a zip archive is that ``torch.save`` did not write; None for its own and for damaged ones."""
    try:
        names = {name.rpartition("/")[2] for name in zipfile.ZipFile(file).namelist()}
    except (zipfile.BadZipFile, OSError, ValueError):
        return None
    finally:
        file.seek(0)
    if "constants.pkl" in names:
        return "a TorchScript file, a network with its code"
    if "archive_format" in names:
        return "a file of torch.export, a network with its code"
    return None if "data.pkl" in names else "a zip archive of something else"


def _reason(error: Exception) -> str:
    """Why a file was not read, in place of PyTorch's advice to read it without the safeguard."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign is None:
        first = f"{error}.".split(".")[0] or type(error).__name__
        return f"cannot be read as a file of PyTorch ({first}), expected weights; write or download it again"
    return (
        f"holds an object of type {foreign[1]}, expected tensors and plain values; it was not opened, as such a file "
        "can run any code. If you trust it, save its weights alone where that type is installed: "
        "torch.save(checkpoint['state_dict'], 'weights.pt')"
    )
