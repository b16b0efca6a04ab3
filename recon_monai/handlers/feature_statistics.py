"""Statistics of a classifier's features, put into its best weights at the end of training."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import PrepareBatch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.handlers.volumes import number
from recon_monai.networks import load_weights, read_torch_file

__all__ = ["FeatureStatistics", "gathered_features"]

logger = logging.getLogger(__name__)


class FeatureStatistics:
    """At the end of a training run, passes the training set once through the best weights of an ``AnatomyClassifier``.

    The statistics of its features go into ``model.pt``, which is replaced at once, so that an anatomy can be added
    later without the data of the old ones (``AnatomyClassifier.fit_output``). The network in training is left as it is.
    A run that is interrupted writes nothing, and does so when it is resumed and ends.

    Give it to the trainer before the ``RunRecord``, which marks a run as finished.

    Args:
        output_dir: the run's folder, with the ``model.pt`` of ``TrainingCheckpoint``.
        network: the classifier, possibly wrapped for several processes.
        data_loader: batches of the training slices without augmentation; in several processes each gets its share.
        prepare_batch: takes k-space, labels and mask out of a batch, see ``recon_monai.engines.PrepareAnatomyBatch``.
    """

    def __init__(
        self, output_dir: str | Path, network: nn.Module, data_loader: Iterable[Any], prepare_batch: PrepareBatch
    ) -> None:
        self.path = Path(output_dir) / "model.pt"
        self.network = network.module if isinstance(network, DistributedDataParallel) else network
        self.data_loader = data_loader
        self.prepare_batch = prepare_batch

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Compute the statistics and write them.

        Raises:
            FileNotFoundError: if there are no best weights.
            ValueError: if an anatomy has no slice.
        """
        # one process reads: others may not see its folder
        weights: Any = distributed.agree(read_torch_file(self.path) if distributed.is_main() else None)
        network: Any = load_weights(copy.deepcopy(self.network), weights).eval()
        device: torch.device = engine.state.device  # type: ignore[attr-defined]
        features, labels = gathered_features(network, self.data_loader, self.prepare_batch, device)
        network.set_feature_statistics(features, labels)
        logger.info("statistics of the features of %d training slices go into %s", len(features), self.path)
        if distributed.is_main():
            with atomic_path(self.path) as temporary:
                torch.save(network.state_dict(), temporary)


@torch.no_grad()
def gathered_features(
    classifier: Any, data_loader: Iterable[Any], prepare_batch: PrepareBatch, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pass slices through an ``AnatomyClassifier``, those of each process, and put their features together.

    Args:
        classifier: the classifier, in evaluation mode.
        data_loader: batches of the slices; in several processes each gets its share.
        prepare_batch: takes k-space, labels and mask out of a batch, see ``recon_monai.engines.PrepareAnatomyBatch``.
        device: of the classifier.

    Returns:
        Features ``(N, 64)`` and labels ``(N,)``, in the order of file, acceleration and slice, the same in all
        processes.
    """
    rows: list[tuple[tuple[str, float, int], int, list[float]]] = []
    for batch in data_loader:
        kspace, labels, _, kwargs = prepare_batch(batch, device)
        features = classifier.features(kspace, kwargs["mask"]).cpu().tolist()
        accelerations = batch.get("acceleration", [None] * len(features))
        for file, factor, index, label, values in zip(
            batch["file"], accelerations, batch["slice"], labels.tolist(), features, strict=True
        ):
            rows.append(((str(file), float(number(factor) or 0), int(index)), label, values))
    # a slice that several processes had counts once, and their number does not matter
    unique = {key: (label, values) for key, label, values in distributed.gather(rows)}
    ordered = [unique[key] for key in sorted(unique)]
    return torch.tensor([values for _, values in ordered]), torch.tensor([label for label, _ in ordered])
