"""The physics between the cascades of a network: coil images, and what the sampled part of k-space says of them.

Each function takes the coils one after the other on a CPU, so that what lies between its inputs and its result stays
in the cache, and all at once elsewhere. Nothing but the inputs is kept for the backward pass, and what it needs of the
size of coil images is computed again. Each function can be differentiated once.

A mask ``M`` is bool or real zeros and ones, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)``; ``P = F^-1 M F`` is the part of
an image that it samples. Transforms are left out along dimensions that the mask does not vary along: they cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from recon_monai.physics import fft2c, ifft2c, is_recorded

__all__ = ["combine_measured", "combine_sampled", "correct_measured", "normalize"]


def normalize(maps: torch.Tensor) -> torch.Tensor:
    """Divide maps by their root sum of squares: `recon_monai.physics.normalize_maps` in less memory.

    Args:
        maps: complex, shape ``(B, coil, H, W)``.

    Returns:
        Maps of the same shape with ``sum_c |S_c|^2 = 1``, or 0 where all coils are 0.
    """
    return _apply(_Normalize, maps)


def combine_measured(kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Combine the coil images of measured k-space, ``S^H F^-1 M k``.

    Args:
        kspace: complex centered k-space ``k``, shape ``(B, coil, H, W)``; samples outside the mask are not used.
        mask: bool, centered.
        maps: complex coil sensitivity maps ``S``, shape ``(B, coil, H, W)``.

    Returns:
        Complex image, and the real sum of the squared magnitudes of the maps, each of shape ``(B, 1, H, W)``.
    """
    return _apply(_CombineMeasured, kspace, mask, maps)


def combine_sampled(image: torch.Tensor, maps: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
    """Combine the sampled part of the coil images of an image, ``S^H P S x``.

    Args:
        image: complex ``x``, shape ``(B, 1, H, W)``.
        maps: complex coil sensitivity maps ``S``, shape ``(B, coil, H, W)``.
        sampled: real, de-centered mask (see `recon_monai.physics.decenter_mask`).

    Returns:
        Complex image, shape ``(B, 1, H, W)``.
    """
    return _apply(_CombineSampled, image, maps, sampled)


def correct_measured(
    kspace: torch.Tensor,
    mask: torch.Tensor,
    everywhere: torch.Tensor,
    where_sampled: torch.Tensor,
    maps: torch.Tensor,
    sampled: torch.Tensor,
) -> torch.Tensor:
    """Take two images off measured coil images, ``F^-1 M k - S a - P S b``.

    Args:
        kspace: complex centered k-space ``k`` as for `combine_measured`.
        mask: bool, centered.
        everywhere: complex image ``a``, shape ``(B, 1, H, W)``.
        where_sampled: complex image ``b``, shape ``(B, 1, H, W)``.
        maps: complex coil sensitivity maps ``S``, shape ``(B, coil, H, W)``.
        sampled: the mask, real and de-centered.

    Returns:
        Complex coil images, shape ``(B, coil, H, W)``.
    """
    return _apply(_CorrectMeasured, kspace, mask, everywhere, where_sampled, maps, sampled)


def _apply(function: Any, *args: torch.Tensor) -> Any:
    """Apply one of the functions below; its plain operations where they are recorded for export."""
    return function.compute(*args) if is_recorded() else function.apply(*args)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def compute(maps: torch.Tensor) -> torch.Tensor:
        return maps * _inverse_root(maps)

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        inverse = _inverse_root(maps)
        result = maps * inverse
        ctx.save_for_backward(result, inverse)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        maps, inverse = ctx.saved_tensors
        along = torch.zeros_like(maps[:, :1])
        for coils in _coils(maps):
            _add_combined(along, gradient[:, coils], maps[:, coils])
        result = torch.empty_like(maps)
        for coils in _coils(maps):
            across = torch.addcmul(gradient[:, coils], maps[:, coils], along.real, value=-1)
            torch.mul(across, inverse, out=result[:, coils])
        return result


class _CombineMeasured(torch.autograd.Function):
    @staticmethod
    def compute(kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.zeros_like(maps[:, :1])
        for coils in _coils(maps):
            _add_combined(image, _measured(kspace[:, coils], mask), maps[:, coils])
        return image, _energy(maps)

    @staticmethod
    def forward(ctx: Any, *args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(*args)
        return _CombineMeasured.compute(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, energy_gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kspace, mask, maps = ctx.saved_tensors
        kspace_needed, _, maps_needed = ctx.needs_input_grad
        kspace_gradient = fft2c(gradient * maps) * mask if kspace_needed else None
        maps_gradient = torch.empty_like(maps) if maps_needed else None
        if maps_gradient is not None:
            conjugate, twice = gradient.conj().resolve_conj(), 2 * energy_gradient
            for coils in _coils(maps):
                part = _measured(kspace[:, coils], mask).mul_(conjugate)
                torch.addcmul(part, maps[:, coils], twice, out=maps_gradient[:, coils])
        return kspace_gradient, None, maps_gradient


class _CombineSampled(torch.autograd.Function):
    @staticmethod
    def compute(image: torch.Tensor, maps: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
        result = torch.zeros_like(image)
        for coils in _coils(maps):
            _add_combined(result, _sampled_part(image * maps[:, coils], sampled), maps[:, coils])
        return result

    @staticmethod
    def forward(ctx: Any, *args: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*args)
        return _CombineSampled.compute(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        image, maps, sampled = ctx.saved_tensors
        image_gradient = torch.zeros_like(image)
        maps_gradient = torch.empty_like(maps) if ctx.needs_input_grad[1] else None
        image_conjugate, conjugate = image.conj().resolve_conj(), gradient.conj().resolve_conj()
        for coils in _coils(maps):  # the operator is its own adjoint; a map is in it twice, once as its conjugate
            back = _sampled_part(gradient * maps[:, coils], sampled)
            _add_combined(image_gradient, back, maps[:, coils])
            if maps_gradient is not None:
                part = _sampled_part(image * maps[:, coils], sampled).mul_(conjugate)
                torch.addcmul(part, back, image_conjugate, out=maps_gradient[:, coils])
        return image_gradient, maps_gradient, None


class _CorrectMeasured(torch.autograd.Function):
    @staticmethod
    def compute(
        kspace: torch.Tensor,
        mask: torch.Tensor,
        everywhere: torch.Tensor,
        where_sampled: torch.Tensor,
        maps: torch.Tensor,
        sampled: torch.Tensor,
    ) -> torch.Tensor:
        result = torch.empty_like(maps)
        for coils in _coils(maps):
            change = _sampled_part(where_sampled * maps[:, coils], sampled).addcmul_(everywhere, maps[:, coils])
            result[:, coils] = _measured(kspace[:, coils], mask).sub_(change)
        return result

    @staticmethod
    def forward(ctx: Any, *args: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*args[1:])
        return _CorrectMeasured.compute(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        mask, everywhere, where_sampled, maps, sampled = ctx.saved_tensors
        kspace_gradient = fft2c(gradient) * mask if ctx.needs_input_grad[0] else None
        maps_gradient = torch.empty_like(maps) if ctx.needs_input_grad[4] else None
        images = everywhere, where_sampled
        gradients = [torch.zeros_like(image) for image in images]
        conjugates = [image.conj().resolve_conj() for image in images]
        for coils in _coils(maps):
            parts = gradient[:, coils], _sampled_part(gradient[:, coils], sampled)
            for image_gradient, part in zip(gradients, parts, strict=True):
                _add_combined(image_gradient, part, maps[:, coils])
            if maps_gradient is not None:
                change = parts[1].mul_(conjugates[1]).addcmul_(parts[0], conjugates[0])
                torch.neg(change, out=maps_gradient[:, coils])
        return kspace_gradient, None, gradients[0].neg_(), gradients[1].neg_(), maps_gradient, None


def _coils(maps: torch.Tensor) -> Iterator[slice]:
    """Coils that are treated at once; all of them in a recording, which would keep their number."""
    if is_recorded():
        return iter([slice(None)])
    step = 1 if maps.device.type == "cpu" else max(1, maps.shape[1])
    return (slice(start, start + step) for start in range(0, maps.shape[1], step))


def _inverse_root(maps: torch.Tensor) -> torch.Tensor:
    """One over the root sum of squares; 0 for 0, and for what is too small for it as in `recon_monai.physics.rss`."""
    energy = _energy(maps)
    empty = energy < torch.finfo(energy.dtype).tiny  # false for NaN, which stays visible
    return energy.masked_fill(empty, 1).rsqrt().masked_fill(empty, 0)


def _energy(maps: torch.Tensor) -> torch.Tensor:
    parts = torch.view_as_real(maps)
    energy = torch.zeros_like(parts[:, :1])
    for coils in _coils(maps):
        energy.add_(parts[:, coils].square().sum(dim=1, keepdim=True))
    return energy.sum(dim=-1)


def _measured(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return ifft2c(torch.where(mask, kspace, 0))


def _sampled_part(images: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
    dims = (-1,) if sampled.shape[-2] == 1 else (-2, -1)
    spectrum = torch.fft.fftn(images, dim=dims, norm="ortho").mul_(sampled)
    return torch.fft.ifftn(spectrum, dim=dims, norm="ortho")


def _add_combined(result: torch.Tensor, coil_images: torch.Tensor, maps: torch.Tensor) -> None:
    if not is_recorded() and maps.shape[1] == 1:
        result.addcmul_(coil_images, maps.conj())
    else:
        result.add_((coil_images * maps.conj()).sum(dim=1, keepdim=True))
