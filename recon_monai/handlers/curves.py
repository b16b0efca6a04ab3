"""One TensorBoard writer for a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon_monai import distributed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["CurveWriter"]


class CurveWriter:
    """What TensorBoard's ``SummaryWriter`` is to handlers, opened when something is first written.

    So a run leaves one event file, a command that stops before its first step leaves none, and of several processes
    the main one writes alone; MONAI's handlers each open a file of their own when they are made, in every process.

    Args:
        log_dir: folder of the event file.
    """

    def __init__(self, log_dir: str | Path) -> None:
        self.log_dir = Path(log_dir)
        self._writer: SummaryWriter | None = None
        self._first_step: int | None = None

    def continue_after(self, step: int) -> None:
        """Hide what an interrupted run drew after this iteration, which will be drawn again.

        Args:
            step: the last iteration that counts.
        """
        self._first_step = step + 1

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """As of ``SummaryWriter``."""
        if distributed.is_main():
            self._open().add_scalar(*args, **kwargs)

    def add_image(self, *args: Any, **kwargs: Any) -> None:
        """As of ``SummaryWriter``."""
        if distributed.is_main():
            self._open().add_image(*args, **kwargs)

    def add_hyper_parameters(self, values: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        """Settings and metrics for the table of runs, in this file; ``SummaryWriter.add_hparams`` makes another one.

        Args:
            values: numbers, switches and words by name.
            metrics: by name.
            step: of the metrics.
        """
        if not distributed.is_main():
            return
        from torch.utils.tensorboard.summary import hparams  # slow to import

        writer = self._open()
        for part in hparams(dict(values), dict(metrics)):
            writer._get_file_writer().add_summary(part)
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Write out what is buffered."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file if it was opened."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(log_dir=str(self.log_dir), purge_step=self._first_step)
        return self._writer
