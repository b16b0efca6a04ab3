"""Affine maps of complex images: rotation, shear and scaling about the middle."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

__all__ = ["affine_matrix", "resample"]


def affine_matrix(rotation: float, shearing_x: float, shearing_y: float, scaling: float) -> torch.Tensor:
    """Matrix of ``scaling * rotation * shear`` in pixels, from where a point is to where it goes.

    Args:
        rotation: angle in degrees, from rows towards columns.
        shearing_x: angle in degrees by which rows move with the column.
        shearing_y: angle in degrees by which columns move with the row, applied before ``shearing_x``.
        scaling: factor; above 1 enlarges.

    Returns:
        Float64 ``(2, 2)``, for vectors ``(row, column)``.
    """
    angle, along_rows, along_columns = (math.radians(value) for value in (rotation, shearing_x, shearing_y))
    turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    rows, columns = [[1.0, math.tan(along_rows)], [0.0, 1.0]], [[1.0, 0.0], [math.tan(along_columns), 1.0]]
    double = [torch.tensor(matrix, dtype=torch.float64) for matrix in (turn, rows, columns)]
    return scaling * (double[0] @ double[1] @ double[2])


def resample(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Move the points of images by a matrix about their middle, ``((H - 1) / 2, (W - 1) / 2)``.

    Bilinear in real and imaginary part; beyond the edges images are mirrored.

    Args:
        images: complex, ``(coil, H, W)``.
        matrix: ``(2, 2)`` for vectors ``(row, column)`` in pixels, invertible; see `affine_matrix`.

    Returns:
        Complex images of the same shape.
    """
    middle = [(length - 1) / 2 for length in images.shape[-2:]]
    y, x = (torch.arange(n, dtype=torch.float64) - m for n, m in zip(images.shape[-2:], middle, strict=True))
    back = torch.linalg.inv(matrix)
    rows = back[0, 0] * y[:, None] + back[0, 1] * x
    columns = back[1, 0] * y[:, None] + back[1, 1] * x
    # what grid_sample takes: columns first, -1 and 1 on the outermost pixels
    grid = torch.stack([columns / max(middle[1], 0.5), rows / max(middle[0], 0.5)], dim=-1)[None]
    parts = torch.cat([images.real, images.imag])[None]
    moved = F.grid_sample(parts, grid.to(parts), "bilinear", "reflection", align_corners=True)[0]
    real, imag = moved.chunk(2)
    return torch.complex(real, imag)
