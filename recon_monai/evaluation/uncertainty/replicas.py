"""Mean and spread of images that are made one after another, without keeping them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from recon_monai import distributed

__all__ = ["Spread", "spread_of"]


class Spread(NamedTuple):
    """What simulated acquisitions of one slice or volume came out as.

    Attributes:
        mean: over the replicas, in the shape of one image; complex for complex ones.
        std: standard deviation over the replicas (their number less 1 in the denominator), float32, same shape; of
            real and imaginary part together for complex images.
        replicas: how many were made; fewer than asked for where time ran out. Of a Gaussian spread the relative
            standard error of ``std`` is ``1 / sqrt(2 (replicas - 1))``.
    """

    mean: Tensor
    std: Tensor
    replicas: int


def spread_of(
    images: Callable[[range], Tensor],
    *,
    replicas: int,
    batch_size: int = 1,
    time_limit: float | None = None,
    progress: bool = False,
    description: str = "replicas",
) -> Spread:
    """Mean and standard deviation over replicas, by the updates of Chan et al. (1983) in double precision.

    Args:
        images: makes the images of a range of replicas, ``(n, ...)`` for ``n`` numbers. Replicas are to depend on their
            number alone, so that neither the batches nor the time limit change one.
        replicas: how many, at least 2.
        batch_size: how many at once.
        time_limit: in seconds; no batch is begun that would end after it, judging by the mean so far. Two replicas are
            made in any case.
        progress: whether to show a bar.
        description: beside the bar.

    Returns:
        Mean, spread and the number of replicas made.

    Raises:
        ValueError: if a setting is out of range, a batch has another number of images, or an image is not finite.
    """
    _check(replicas, batch_size, time_limit)
    begin, done = time.monotonic(), 0
    mean = squares = torch.zeros(())
    kind = torch.float32
    with _bar(replicas, description, progress) as bar:
        while done < replicas:
            count = min(batch_size, replicas - done)
            if done >= 2 and _too_late(begin, done, count, time_limit):
                break
            new = images(range(done, done + count))
            _check_images(new, done, count)
            kind = new.dtype
            wide = new.to(torch.complex128 if new.is_complex() else torch.float64)
            mean, squares = _merged(mean, squares, done, wide)
            done += count
            bar.update(count)
    return Spread(mean.to(kind), (squares / (done - 1)).sqrt().to(torch.float32), done)


def _merged(mean: Tensor, squares: Tensor, done: int, new: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared differences from it after some more images."""
    count = len(new)
    center = new.mean(dim=0)
    own = (new - center).abs().square().sum(dim=0)
    if done == 0:
        return center, own
    step = center - mean
    total = done + count
    return mean + step * (count / total), squares + own + step.abs().square() * (done * count / total)


def _too_late(begin: float, done: int, count: int, limit: float | None) -> bool:
    passed = time.monotonic() - begin
    return limit is not None and passed * (done + count) / done > limit


def _check(replicas: int, batch_size: int, time_limit: float | None) -> None:
    if replicas < 2 or batch_size < 1:
        raise ValueError(f"replicas is {replicas} and batch_size {batch_size}, expected at least 2 and 1")
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit}, expected a number of seconds above 0, or None")


def _check_images(new: Tensor, done: int, count: int) -> None:
    if new.ndim == 0 or len(new) != count:
        raise ValueError(f"the network made images {tuple(new.shape)} of {count} acquisitions, expected {count} images")
    if not bool(torch.isfinite(new).all()):
        raise ValueError(
            f"the image of replica {done} or one of the {count - 1} after it holds NaN or infinity; check the "
            "reconstruction of the acquisition as it was measured first"
        )


def _bar(total: int, description: str, shown: bool) -> tqdm:
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit="replica",
        desc=description,
        mininterval=0.5 if interactive else 30.0,
        maxinterval=1.0 if interactive else 30.0,
        disable=not (shown and distributed.is_main()),
    )
