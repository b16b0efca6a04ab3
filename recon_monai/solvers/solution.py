"""What every solver returns, and how its steps are run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch

__all__ = ["Solution", "Step", "check_number", "energy", "run", "spread"]


class Solution(NamedTuple):
    """Outcome of a solver.

    Attributes:
        image: the estimate, shape ``(..., *domain_shape)``.
        objective: what is minimized, at the start and after each iteration, for each entry of the batch; shape
            ``(iterations + 1, ...)``.
        iterations: number of iterations that were made.
    """

    image: torch.Tensor
    objective: torch.Tensor
    iterations: int


class Step(NamedTuple):
    """One iterate.

    Attributes:
        image: shape ``(..., *domain_shape)``.
        objective: its objective, shape ``(...)``.
    """

    image: torch.Tensor
    objective: torch.Tensor


def run(steps: Iterator[Step], iterations: int, tolerance: float = 0.0) -> Solution:
    """Make steps until their number is reached or the image no longer changes.

    Args:
        steps: the start, then one iterate after the other.
        iterations: largest number of iterations, at least 1.
        tolerance: stop where the image of every entry of the batch changes by at most this share of its length; 0
            makes all iterations.

    Returns:
        The last iterate and the objective of all.

    Raises:
        ValueError: if a setting is out of range.
    """
    if iterations < 1 or iterations != int(iterations):
        raise ValueError(f"iterations is {iterations}, expected a whole number of at least 1.")
    check_number("tolerance", tolerance)
    image, objective = next(steps)
    course = [objective]
    axes = image.ndim - objective.ndim
    for step in islice(steps, int(iterations)):
        change = energy(step.image - image, axes)
        image = step.image
        course.append(step.objective)
        if tolerance and bool((change <= tolerance**2 * energy(image, axes)).all()):
            break
    return Solution(image, torch.stack(course), len(course) - 1)


def energy(x: torch.Tensor, axes: int) -> torch.Tensor:
    """Sum of squared magnitudes over the last dimensions.

    Args:
        x: real or complex.
        axes: number of the last dimensions to sum over.

    Returns:
        Real, shape of the dimensions before them.
    """
    squares = x.real.square() + x.imag.square() if x.is_complex() else x.square()
    return squares.sum(dim=tuple(range(-axes, 0))) if axes else squares


def spread(values: torch.Tensor, axes: int) -> torch.Tensor:
    """Give one value for each entry of a batch dimensions of length 1, so that it multiplies images.

    Args:
        values: shape ``(...)``.
        axes: number of dimensions of an image.

    Returns:
        Shape ``(..., 1, ..., 1)``.
    """
    return values.reshape(*values.shape, *(1,) * axes)


def check_number(name: str, value: float) -> None:
    """Raise `ValueError` unless a setting is a finite number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}, expected a finite number of at least 0.")
