"""Values of a file: what only reading all of it can find."""

from __future__ import annotations

import torch

from recon_monai.data.fastmri.file import FastMRIFile
from recon_monai.data.fastmri.hdf5 import FastMRIFileError

__all__ = ["check_contents", "check_finite"]


def check_finite(values: torch.Tensor, where: str) -> None:
    """Refuse NaN and infinity.

    Args:
        values: real or complex.
        where: file, slice and name of the array, for the message.

    Raises:
        FastMRIFileError: if there are any.
    """
    numbers = torch.view_as_real(values) if values.is_complex() else values
    # one pass without a temporary: a sum of finite values that large is no MR signal, but would be looked at again
    if bool(torch.isfinite(numbers.sum())):
        return
    count = int((~torch.isfinite(numbers)).sum())
    if count:
        raise FastMRIFileError(
            f"{where} holds {count} values that are NaN or infinite, expected finite values; write the file again or "
            "leave it out (skip_bad)"
        )


def check_contents(file: FastMRIFile) -> None:
    """Read every slice of a file and refuse what no training or evaluation can use.

    That is: what cannot be read, NaN and infinity in k-space or target, k-space or a target that is zero everywhere,
    and a slice of zeros with a target that is not. Single slices with neither are empty slices, which are fine.

    Args:
        file: the open file.

    Raises:
        FastMRIFileError: at the first problem.
    """
    info = file.info
    any_signal = any_target = False
    for index in range(info.num_slices):
        kspace, target = file.read_kspace(index), file.read_target(index)
        check_finite(kspace, f"{info.path}: slice {index}: kspace")
        signal = bool(kspace.any())
        any_signal |= signal
        if target is None:
            continue
        check_finite(target, f"{info.image_path or info.path}: slice {index}: {info.target_name}")
        shown = bool(target.any())
        any_target |= shown
        if shown and not signal:
            raise FastMRIFileError(
                f"{info.path}: slice {index}: kspace is zero everywhere and {info.target_name} is not, expected both "
                "or neither; write the file again"
            )
    if not any_signal:
        raise FastMRIFileError(f"{info.path}: kspace is zero everywhere, expected measured values; write it again")
    if info.target_name is not None and not any_target:
        raise FastMRIFileError(
            f"{info.image_path or info.path}: {info.target_name} is zero everywhere, expected an image; write it again"
        )
