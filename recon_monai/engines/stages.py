"""Training in stages: the classifier, one teacher for each anatomy, then the student that they teach."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from recon_monai.engines.stage_settings import STAGE_FILES
from recon_monai.engines.staged_run import Stage, StagedRun, selected_stages
from recon_monai.networks import UniversalVarNet, load_weights

__all__ = ["STUDENT", "TrainingStages"]

STUDENT = "student"
_CLASSIFIER = "classifier"
_TEACHER = "teacher_"

logger = logging.getLogger(__name__)


class TrainingStages(StagedRun):
    """The stages before the student's, each a run of its own by the bundle's own configuration for it.

    ``<run>/classifier`` is trained by the command's configuration with ``train_classifier.json`` over it, and
    ``<run>/teacher_<anatomy>`` with ``train_teacher.json``; what was typed for the whole run holds for each of them. A
    stage that is finished with the same settings and data, in this run, in another one of the bundle or as a run of its
    own there, is used as it is; one that was stopped goes on where it stopped if the run is resumed.

    Args:
        bundle_root: the bundle's folder.
        output_dir: the run's folder; a stage's one is below it.
        anatomies: names; one teacher for each.
        stages: ``"all"``, or a list of ``"classifier"``, ``"teachers"`` (or single ones, ``"teacher_brain"``) and
            ``"student"``: what this run may train. Others must be finished already. ``[]`` for a run that is a stage
            itself.
        weights: files to use for stages in place of training them, by their names, like
            ``{"teacher_brain": "brain.pt"}``; nothing but their sizes is checked.
        distillation: whether the student needs teachers.
        resume: whether the run is resumed.
        overwrite: whether results of an earlier run in the folder are replaced.
        dry_run: only say what the stages would do.
        config_files: the configuration files of the run; None takes those on the command line.

    Raises:
        ValueError: for an unknown stage.
        FileNotFoundError: if a file of `weights` does not exist.
    """

    def __init__(
        self,
        bundle_root: str,
        output_dir: str,
        anatomies: Sequence[str],
        stages: str | Sequence[str] = "all",
        weights: Mapping[str, str] | None = None,
        distillation: bool = True,
        resume: bool | str = False,
        overwrite: bool = False,
        dry_run: bool = False,
        config_files: Sequence[str] | None = None,
    ) -> None:
        self.anatomies = tuple(anatomies)
        teachers = [f"{_TEACHER}{name}" for name in self.anatomies] if distillation else []
        before = [Stage(_CLASSIFIER, (STAGE_FILES["classifier"],))]
        before += [
            Stage(name, (STAGE_FILES["teacher"],), {"teacher_of": name.removeprefix(_TEACHER)}) for name in teachers
        ]
        self.names = [*(stage.name for stage in before), STUDENT]
        selected = selected_stages(stages, self.names, {"teachers": teachers})
        super().__init__(bundle_root, output_dir, before, selected, weights, resume, overwrite, dry_run, config_files)

    def run(self) -> None:
        """Train the selected stages before the student's that are not finished.

        Raises:
            FileExistsError: if the folder holds an earlier run, which is neither to be resumed nor replaced.
            ValueError: if the configuration files of the run are not known.
        """
        before = [name for name in self.selected if name != STUDENT]
        if not before:
            return
        self._check_folder()
        self._train_stages(before, len(self.selected))
        if STUDENT in self.selected:
            logger.info("stage %d of %d: %s", len(before) + 1, len(before) + 1, STUDENT)
        else:
            self._mark(finished=True)

    def prepare(self, network: nn.Module) -> None:
        """Give the student the trained classifier, in place, and freeze it there.

        Args:
            network: the network of the run; one without a classifier stays as it is.

        Raises:
            ValueError: if a stage that the student needs is not finished, or the classifier's weights do not fit.
        """
        if not isinstance(network, UniversalVarNet):
            return
        if STUDENT in self.selected and not self.dry_run:
            for name in self.names[:-1]:
                if self._finished(name) is None:
                    raise ValueError(self._missing(name))
        weights = self._finished(_CLASSIFIER) if STUDENT in self.selected else None
        if weights is not None:
            load_weights(network.classifier, weights)
        network.classifier.requires_grad_(False)

    def teachers(self, make: Callable[[], nn.Module]) -> dict[str, nn.Module]:
        """The trained teachers.

        Args:
            make: makes an untrained one.

        Returns:
            One for each anatomy, by its name. One whose stage is not finished can be looked at, and raises ValueError
            when it is called; in a dry run it can be called, too.

        Raises:
            ValueError: if weights do not fit.
        """
        found: dict[str, nn.Module] = {}
        for name in self.names:
            if name.startswith(_TEACHER):
                network = found[name.removeprefix(_TEACHER)] = make()
                weights = self._finished(name) if STUDENT in self.selected else None
                if weights is not None:
                    load_weights(network, weights)
                elif not self.dry_run:
                    network.register_forward_pre_hook(partial(self._refuse, name))
        return found

    def _refuse(self, name: str, *_: Any) -> None:
        raise ValueError(self._missing(name))

    def _missing(self, name: str, needs: str = "the student needs") -> str:
        return super()._missing(name, needs)

    def _is_of(self, name: str, recorded: Mapping[str, Any]) -> bool:
        return _kind(recorded) == _kind(self._expected(name))


def _kind(record: Mapping[str, Any]) -> tuple[Any, Any]:
    """Which stage a record is of, wherever it lies."""
    settings = record["settings"]
    return settings["train"]["trainer"]["_target_"], settings.get("teacher_of")
