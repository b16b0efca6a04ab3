"""From a collated batch of patches to what a super-resolution network is called with."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import PrepareBatch
from torch import Tensor

__all__ = ["PrepareVolumeBatch"]


class PrepareVolumeBatch(PrepareBatch):
    """Take ``image`` (low resolution) and ``target`` (high resolution) out of a batch of items.

    Returns ``(image, target, (), {})``, the four-part form of MONAI's engines, as plain tensors; the target is None
    where the items have none. MONAI's own preparation looks for ``label``.
    """

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, tuple[()], dict[str, Any]]:
        """Move the volumes to the device.

        Args:
            batchdata: collated items with ``image`` and, for training, ``target``, both ``(B, 1, D, H, W)``.
            device: where to.
            non_blocking: passed on to ``Tensor.to``.
            kwargs: passed on to ``Tensor.to``.

        Raises:
            ValueError: if there is no image, or it is not on the grid of the target.
        """

        def moved(key: str) -> Tensor | None:
            value = batchdata.get(key)
            if value is None:
                return None
            return value.as_subclass(Tensor).to(device=device, non_blocking=non_blocking, **kwargs)

        image, target = moved("image"), moved("target")
        if image is None:
            raise ValueError(f"the batch has no 'image', only {sorted(batchdata)}")
        if target is not None and image.shape != target.shape:
            raise ValueError(
                f"image {tuple(image.shape)} and target {tuple(target.shape)} of {batchdata.get('file', 'a batch')} "
                "differ; the low resolution is to lie on the grid of the high resolution"
            )
        return image, target, (), {}
