"""What to do when memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["OutOfMemory", "explain_out_of_memory", "explain_patches_out_of_memory"]


class OutOfMemory(MemoryError):
    """Memory ran out; the message says on what and which settings need less."""


def _is_out_of_memory(error: BaseException) -> bool:
    # on CPU torch raises a plain RuntimeError
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


@contextlib.contextmanager
def explain_out_of_memory(kspace: Tensor, where: str) -> Iterator[None]:
    """Turn out-of-memory errors of the block into one that names the batch and the settings to change.

    Args:
        kspace: the batch, ``(B, coil, H, W)``.
        where: its files and slices.

    Raises:
        OutOfMemory: if the GPU's or the machine's memory runs out within the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemory) or not _is_out_of_memory(error):
            raise
        batch, coils, height, width = kspace.shape[:4]
        smaller = f"--batch_size {batch // 2}, " if batch > 1 else ""
        training = torch.is_grad_enabled()
        settings = (
            f"{smaller}--network_def::checkpointing all (the least memory, for more time) or --amp True; "
            "more accumulation_steps make up for smaller batches"
            if training
            else f"{smaller}--network_def::sensitivity_network::coil_chunk 1, or a device with more memory"
        )
        hint = " --dry_run True shows the need before a run" if training else ""
        raise OutOfMemory(
            f"out of memory on {where}: {batch} slice(s) of {coils} coils, {height} x {width} ({error}); "
            f"needs less memory: {settings}.{hint}"
        ) from error


@contextlib.contextmanager
def explain_patches_out_of_memory(image: Tensor, where: str) -> Iterator[None]:
    """The same for patches of volumes in training.

    Args:
        image: the batch, ``(B, 1, D, H, W)``.
        where: its files.

    Raises:
        OutOfMemory: if the GPU's or the machine's memory runs out within the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemory) or not _is_out_of_memory(error):
            raise
        size = " x ".join(map(str, image.shape[2:]))
        raise OutOfMemory(
            f"out of memory on {where}: {len(image)} patch(es) of {size} voxels ({error}); needs less memory: fewer or "
            "smaller patches, checkpointing='blocks' of the networks (the least memory, for more time), or amp."
        ) from error
