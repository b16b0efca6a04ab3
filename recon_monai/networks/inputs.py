"""What networks accept: complex or real k-space, masks of any dtype and shape that fits, volumes."""

from __future__ import annotations

import torch

from recon_monai.physics import infer_mask, is_recorded

__all__ = ["as_complex_kspace", "as_sampling_mask", "as_volume"]


def as_complex_kspace(kspace: torch.Tensor) -> torch.Tensor:
    """Bring k-space into the form that networks compute in.

    Args:
        kspace: complex, shape ``(B, coil, H, W)``, or real ``(B, coil, H, W, 2)`` with real and imaginary parts last
            (what MONAI's tools feed); any floating point type.

    Returns:
        Complex plain tensor ``(B, coil, H, W)``, complex64 or (for inputs of double precision) complex128.

    Raises:
        ValueError: for any other shape.
    """
    kspace = _plain(kspace)  # MONAI's MetaTensor costs time in every operation
    if not kspace.is_complex() and kspace.ndim == 5 and kspace.shape[-1] == 2:
        real = kspace if kspace.dtype == torch.float64 else kspace.float()
        kspace = torch.view_as_complex(real.contiguous())
    if not kspace.is_complex() or kspace.ndim != 4:
        raise ValueError(
            f"k-space must be complex (B, coil, H, W) or real (B, coil, H, W, 2), got {kspace.dtype} of shape "
            f"{tuple(kspace.shape)}; add a batch dimension to a single slice with kspace[None]."
        )
    return kspace if kspace.dtype == torch.complex128 else kspace.to(torch.complex64)


def as_sampling_mask(mask: torch.Tensor | None, kspace: torch.Tensor) -> torch.Tensor:
    """Bring a sampling mask into the form ``(B, 1, 1, W)`` or ``(B, 1, H, W)``, bool.

    Args:
        mask: any dtype (non-zero counts as sampled), shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or
            ``(B, 1, H, W)`` where B may be 1, or the same with a trailing 1 as ``(B, 1, 1, W, 1)``. None infers it
            from the zeros of k-space; an empty slice has no pattern to infer, and counts as fully sampled.
        kspace: complex, shape ``(B, coil, H, W)``.

    Returns:
        Bool mask on the device of k-space, of batch size B or 1.

    Raises:
        ValueError: if the mask does not fit k-space.
    """
    if mask is None:
        inferred = infer_mask(kspace)
        return inferred | ~inferred.any(dim=(1, 2, 3), keepdim=True)
    sampled = _plain(mask).to(kspace.device) != 0
    if sampled.ndim == 5 and sampled.shape[-1] == 1:
        sampled = sampled[..., 0]
    sampled = sampled.reshape((1,) * (4 - sampled.ndim) + sampled.shape)
    batch, _, height, width = kspace.shape
    fits = sampled.ndim == 4 and all(
        size in allowed for size, allowed in zip(sampled.shape, [(1, batch), (1,), (1, height), (width,)], strict=True)
    )
    if not fits:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} does not fit k-space of shape {tuple(kspace.shape)}; give ({width},), "
            f"({batch}, 1, 1, {width}) or ({batch}, 1, {height}, {width})."
        )
    return sampled


def as_volume(image: torch.Tensor) -> torch.Tensor:
    """Check that a network for volumes got volumes.

    Args:
        image: real, shape ``(B, 1, D, H, W)``.

    Returns:
        The same as a plain tensor.

    Raises:
        ValueError: for any other shape or type.
    """
    if image.ndim != 5 or image.shape[1] != 1 or not image.is_floating_point():
        raise ValueError(
            f"volumes must be real (B, 1, D, H, W), got {image.dtype} of shape {tuple(image.shape)}; add batch and "
            "channel dimensions to a single volume with volume[None, None], and make integers floating point."
        )
    return _plain(image)  # MONAI's MetaTensor costs time in every operation


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if is_recorded() else tensor.as_subclass(torch.Tensor)
