"""The classifier learns an anatomy that a trained network was given, at the end of the run."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator, PrepareBatch

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.new_anatomy import AnatomyAddition
from recon_monai.handlers.feature_statistics import gathered_features
from recon_monai.networks import UniversalVarNet, load_weights, read_torch_file

__all__ = ["NewAnatomyOutput"]

logger = logging.getLogger(__name__)


class NewAnatomyOutput:
    """At the end of a run that adds an anatomy, fits the classifier's output for it and writes the whole network.

    The best weights (``model.pt``) are loaded, the output is fitted to features of the training slices
    (``AnatomyClassifier.fit_output``), and all that belongs to the old anatomies is compared with the base, bit by bit:
    if anything differs the run ends with an error and ``model.pt`` stays as it was. Else it is replaced, what was
    reached goes into ``new_anatomy.json``, and the evaluator shows what validation slices are taken for.

    Give it to the trainer before the ``RunRecord``, which marks a run as finished.

    Args:
        output_dir: the run's folder, with the ``model.pt`` of ``TrainingCheckpoint``.
        network: the network in training, not wrapped; it holds what was written afterwards.
        addition: what the run started from.
        data_loader: batches of the training slices without augmentation; in several processes each gets its share.
        prepare_batch: takes k-space, labels and mask out of a batch, see ``recon_monai.engines.PrepareAnatomyBatch``.
        evaluator: runs the network's classifier, with a ``ConfusionReport``; None: no report.
        seed: of the draws of the old anatomies' features.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: UniversalVarNet,
        addition: AnatomyAddition,
        data_loader: Iterable[Any],
        prepare_batch: PrepareBatch,
        evaluator: Evaluator | None = None,
        seed: int = 0,
    ) -> None:
        self.folder = Path(output_dir)
        self.network = network
        self.addition = addition
        self.data_loader = data_loader
        self.prepare_batch = prepare_batch
        self.evaluator = evaluator
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.addition.remember())
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Fit, compare, write, report.

        Raises:
            FileNotFoundError: if there are no best weights.
            RuntimeError: if something of the old anatomies differs from the base.
        """
        path = self.folder / "model.pt"
        # one process reads: others may not see its folder
        weights: Any = distributed.agree(read_torch_file(path) if distributed.is_main() else None)
        classifier = load_weights(self.network, weights).eval().classifier
        device: torch.device = engine.state.device  # type: ignore[attr-defined]
        features, _ = gathered_features(classifier, self.data_loader, self.prepare_batch, device)
        name, index = str(self.addition.anatomy), self.network.anatomies.index(str(self.addition.anatomy))
        reached = classifier.fit_output(index, features.to(device), self.seed)
        self.addition.check_only_added(self.network.state_dict())
        logger.info(
            "the classifier takes %d of %d training slices for %s, and none of %d slices drawn for the old anatomies; "
            "these are bit for bit what they were in %s",
            reached.recognized,
            reached.positives,
            name,
            reached.negatives,
            self.addition.weights,
        )
        if reached.recognized < reached.positives:
            logger.warning(
                "%d of %d training slices are taken for an old anatomy, so that none of these loses a slice; force the "
                "anatomy in inference where it is known",
                reached.positives - reached.recognized,
                reached.positives,
            )
        if distributed.is_main():
            with atomic_path(path) as temporary:
                torch.save(self.network.state_dict(), temporary)
            with atomic_path(self.folder / "new_anatomy.json") as temporary:
                report = {"anatomy": name, "base": self.addition.weights, **reached._asdict()}
                temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if self.evaluator is not None:
            self.evaluator.run(engine.state.epoch)
