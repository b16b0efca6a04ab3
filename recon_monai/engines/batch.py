"""From a collated batch to what a reconstruction network is called with, and back to the size of the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor

from recon_monai.engines.memory import explain_out_of_memory
from recon_monai.physics import center_crop_or_pad

__all__ = ["PrepareReconstructionBatch", "ReconstructionInferer"]


class PrepareReconstructionBatch(PrepareBatch):
    """Take k-space, target, mask and output size out of a batch of items.

    Returns ``(kspace, target, (), {"mask": ..., "output_size": ..., "where": ...})``, the four-part form of MONAI's
    engines; target and mask are None where the items have none, ``where`` names files and slices for errors.

    Args:
        anatomies: names of the anatomies a network knows, in its order. With them the last part also holds
            ``anatomy``, int64 ``(B,)``: where among the names each slice's anatomy is. None: without.

    Raises:
        ValueError: if a name comes twice, or there is none.
    """

    def __init__(self, anatomies: Sequence[str] | None = None) -> None:
        self.anatomies = None if anatomies is None else tuple(anatomies)
        if self.anatomies is not None and not 0 < len(set(self.anatomies)) == len(self.anatomies):
            raise ValueError(f"expected one or more different names of anatomies, got {list(self.anatomies)}")

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, tuple[()], dict[str, Any]]:
        """Move the parts to the device.

        Args:
            batchdata: collated items with ``kspace`` ``(B, coil, H, W)`` and ``output_size`` ``(B, 2)``.
            device: where to.
            non_blocking: passed on to ``Tensor.to``.
            kwargs: passed on to ``Tensor.to``.

        Raises:
            ValueError: if the slices of one batch are to have different sizes, or show an anatomy that is not known.
        """

        def moved(key: str) -> Tensor | None:
            value = batchdata.get(key)
            return None if value is None else value.to(device=device, non_blocking=non_blocking, **kwargs)

        sizes = batchdata["output_size"]
        if not bool((sizes == sizes[:1]).all()):
            raise ValueError(
                f"one batch holds slices of different output sizes ({sizes.tolist()}, files {batchdata['file']}); "
                "use batch_size 1 or files of one size"
            )
        kspace = moved("kspace")
        if kspace is None:
            raise ValueError(f"the batch has no 'kspace', only {sorted(batchdata)}")
        height, width = sizes[0].tolist()
        slices = zip(batchdata["file"], batchdata["slice"], strict=True)
        where = ", ".join(f"{file} slice {int(number)}" for file, number in slices)
        named = {"mask": moved("mask"), "output_size": (height, width), "where": where}
        if self.anatomies is not None:
            named["anatomy"] = self._index(batchdata).to(device=device, non_blocking=non_blocking)
        return kspace, moved("target"), (), named

    def _index(self, batchdata: dict[str, Any]) -> Tensor:
        known = {name: index for index, name in enumerate(self.anatomies or ())}
        for anatomy, file in zip(batchdata["anatomy"], batchdata["file"], strict=True):
            if anatomy not in known:
                raise ValueError(
                    f"{file} shows the anatomy {anatomy!r}, expected one that the network knows: {list(known)}; leave "
                    "the file out (filters), or say what it shows (anatomy_rules)"
                )
        return torch.tensor([known[anatomy] for anatomy in batchdata["anatomy"]], dtype=torch.int64)


class ReconstructionInferer(Inferer):
    """Call a reconstruction network and bring its image to the size of the target.

    fastMRI's targets are the center of the image that k-space spans (readout oversampling removed); a smaller image is
    zero-padded. Cropping here, not in the network, keeps networks free of bookkeeping.
    """

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Tensor],
        *args: Any,
        mask: Tensor | None = None,
        output_size: tuple[int, int] | None = None,
        where: str = "this batch",
        **kwargs: Any,
    ) -> Tensor:
        """Reconstruct one batch.

        Args:
            inputs: undersampled k-space ``(B, coil, H, W)``.
            network: called as ``network(kspace, mask)``, returns ``(B, 1, H, W)``.
            args: passed on to the network.
            mask: ``(B, 1, 1, W)`` or ``(B, 1, H, W)``, or None.
            output_size: ``(h, w)`` of the result, or None to keep the network's.
            where: file and slice, for errors.
            kwargs: passed on to the network.

        Returns:
            The magnitude image ``(B, 1, h, w)``.

        Raises:
            ValueError: if the network refuses its input, or k-space is not finite; names file and slice.
            OutOfMemory: if memory runs out; names file and slice and the settings to change.
            FloatingPointError: if the image is not finite though k-space is; names file and slice.
        """
        try:
            with explain_out_of_memory(inputs, where):
                image = network(inputs, mask, *args, **kwargs)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if not bool(image.isfinite().all()):
            if not bool(inputs.isfinite().all()):
                raise ValueError(f"{where}: k-space holds values that are not finite; repair or leave out this file")
            raise FloatingPointError(
                f"{where}: the reconstruction is not finite though k-space is; the weights have diverged (lower the "
                "learning rate) or overflowed"
            )
        return image if output_size is None else center_crop_or_pad(image, output_size)
