"""Results of a gallery: each is written as soon as it is there, and found again by a later run."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.data import atomic_path
from recon_monai.metrics import nmse, psnr, ssim

__all__ = ["Result", "ResultStore", "result_key"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """One method on one problem: a row of the table.

    Args:
        problem: name of the problem.
        method: name of the method.
        label: the method in words.
        note: what a reader has to know: trained here, a sample with a time limit, the weight.
        key: hash of what it depends on.
        ssim: of the slice or volume, data range = its maximum; NaN where the method failed.
        psnr: in dB.
        nmse: ``|image - target|^2 / |target|^2``.
        seconds: of the reconstruction, without training.
        reason: why the method failed; empty where it did not.
    """

    problem: str
    method: str
    label: str
    note: str
    key: str
    ssim: float = math.nan
    psnr: float = math.nan
    nmse: float = math.nan
    seconds: float = math.nan
    reason: str = ""


class ResultStore:
    """The folder of results: ``PROBLEM/METHOD.json`` and the image beside it as ``.npy``.

    Args:
        folder: made where it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def image(self, result: Result) -> npt.NDArray[np.float32]:
        """The image of a result, shape of its target."""
        return np.load(self._place(result, ".npy"))

    def take(self, result: Result, target: torch.Tensor, compute: Callable[[], torch.Tensor]) -> Result:
        """Compute a result, or find it where it was computed with the same key.

        Whatever the method raises becomes its reason, so that one of them that fails costs none of the others; it is
        tried again by the next run.

        Args:
            result: the row without its numbers.
            target: shape ``(slices, h, w)``, the image that is sought.
            compute: makes the image, of the target's shape.

        Returns:
            The row with its numbers, or with the reason of the failure.
        """
        kept = self._kept(result)
        if kept is not None:
            return kept
        try:
            began = time.monotonic()
            image = compute()
            done = _measured(result, image, target, time.monotonic() - began)
        except Exception as error:  # any failure is to be a row
            return self.failed(result, error)
        with atomic_path(self._place(done, ".npy")) as temporary:
            np.save(temporary, image.detach().cpu().numpy().astype(np.float32))
        self._write(done)
        return done

    def failed(self, result: Result, error: Exception) -> Result:
        """The row of a method that failed.

        Args:
            result: the row without its numbers.
            error: what it raised.

        Returns:
            The row with the reason.
        """
        _logger.warning("%s on %s failed: %s", result.method, result.problem, error)
        _logger.debug("traceback", exc_info=error)
        done = replace(result, reason=_sentence(error))
        self._write(done)
        return done

    def _write(self, result: Result) -> None:
        with atomic_path(self._place(result, ".json")) as temporary:
            temporary.write_text(json.dumps(asdict(result), indent=2) + "\n")

    def _kept(self, result: Result) -> Result | None:
        path = self._place(result, ".json")
        if not path.is_file() or not self._place(result, ".npy").is_file():
            return None
        found = Result(**json.loads(path.read_text()))
        same = not found.reason and found.key == result.key
        return replace(found, label=result.label, note=result.note) if same else None

    def _place(self, result: Result, suffix: str) -> Path:
        return self.folder / result.problem / f"{result.method}{suffix}"


def result_key(*parts: str) -> str:
    """Short hash of strings."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _measured(result: Result, image: torch.Tensor, target: torch.Tensor, seconds: float) -> Result:
    if not bool(image.isfinite().all()):
        raise ValueError("the image holds values that are not finite")
    image = image.detach().cpu()
    return replace(
        result,
        ssim=ssim(prediction=image, target=target),
        psnr=psnr(prediction=image, target=target),
        nmse=nmse(prediction=image, target=target),
        seconds=round(seconds, 3),
    )


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
