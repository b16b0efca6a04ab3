"""Names of an evaluator's metrics: what all of them begin with."""

from __future__ import annotations

__all__ = ["metric_prefix"]


def metric_prefix(name: str | None, key: str) -> str:
    """What stands before the key metric in the name it is attached under, and so before all names.

    Args:
        name: such as ``val_ssim``; None for the key alone.
        key: such as ``ssim``.

    Returns:
        Such as ``val_``.

    Raises:
        ValueError: if the name does not end with the key.
    """
    name = key if name is None else name
    if not name.endswith(key):
        raise ValueError(f"attached as {name!r}, but the key metric is {key!r}; the name must end with it")
    return name[: -len(key)]
