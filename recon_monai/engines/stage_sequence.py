"""Training in stages that follow each other, each from the weights that the one before it ended with."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import BundleWorkflow

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.runs import FINISHED, RUN_STATE, STAGES
from recon_monai.engines.stage_settings import weight_identity
from recon_monai.engines.staged_run import Stage, StagedRun, selected_stages

__all__ = ["StageSequence"]

_KEYS = {"name", "files", "options", "release"}
_RESULTS = ("model.pt", "model.json")

logger = logging.getLogger(__name__)


class StageSequence(StagedRun):
    """Stages of one network's training, like growing it and freezing parts of it in turn.

    Each runs in ``<run>/<name>`` by what ``train_network`` is in the command's configuration, with the stage's files
    and options over it; its ``pretrained`` is the ``model.pt`` of the stage before. The first one starts as the command
    says. The weights of the last stage become those of the run. Stages are used again, and gone on with, as of
    ``StagedRun``; those before one whose weights are given are not needed.

    Args:
        bundle_root: the bundle's folder.
        output_dir: the run's folder; a stage's one is below it.
        sequence: the stages in their order, each with a ``name`` and, as needed, ``files`` (overlays in the bundle's
            ``configs``) and ``options`` (values by id), like
            ``{"name": "grow", "files": ["grow.json"], "options": {"max_epochs": 20}}``; and ``release``, the name
            under which ``recon-monai release`` ships its weights beside those of the last stage. Options that are typed
            for the whole run hold for every stage, except what its files and options set.
        stages: ``"all"``, or a list of names: what this run may train. Others must be finished already.
        weights: files to use for stages in place of training them, by their names; the last one has none. Nothing but
            their sizes is checked.
        resume: whether the run is resumed.
        overwrite: whether results of an earlier run in the folder are replaced.
        dry_run: only say what the stages would do; untrained weights stand in for trained ones.
        network: id of the network in a stage's configuration, whose weights these are.
        config_files: the configuration files of the run; None takes those on the command line.

    Raises:
        ValueError: if the sequence is not as above, or for an unknown stage.
        FileNotFoundError: if a file of a stage or of `weights` does not exist.
    """

    run_id = "train_network"

    def __init__(
        self,
        bundle_root: str,
        output_dir: str,
        sequence: Sequence[Mapping[str, Any]],
        stages: str | Sequence[str] = "all",
        weights: Mapping[str, str] | None = None,
        resume: bool | str = False,
        overwrite: bool = False,
        dry_run: bool = False,
        network: str = "module",
        config_files: Sequence[str] | None = None,
    ) -> None:
        listed = _read(sequence, Path(bundle_root) / "configs")
        self.names = [stage.name for stage in listed]
        selected = selected_stages(stages, self.names)
        if not selected:
            raise ValueError(f"--stages {stages} trains nothing; choose among {self.names}, or 'all'.")
        super().__init__(bundle_root, output_dir, listed, selected, weights, resume, overwrite, dry_run, config_files)
        self._network = network
        self._stand_ins = Path()

    def run(self) -> None:
        """Train the selected stages that are not finished, and take over the weights of the last one.

        Raises:
            FileExistsError: if the folder holds an earlier run, which is neither to be resumed nor replaced.
            ValueError: if a stage starts from one that is not finished, or the configuration files of the run are not
                known.
        """
        self._check_folder()
        names = [name for name in self.selected if self.names.index(name) >= self._first()]
        with tempfile.TemporaryDirectory() as folder:
            self._stand_ins = Path(folder)
            self._train_stages(names, len(names))
            last = self.names[-1]
            if last in names and not self.dry_run:
                self._publish(last)
        self._mark(finished=True)

    def _first(self) -> int:
        """Number of the first stage that is needed."""
        return max((self.names.index(name) for name in self.given), default=0)

    def _replaceable(self) -> list[str]:
        return self.names[:-1]

    def _before(self, name: str) -> str | None:
        """The stage that a stage starts from."""
        number = self.names.index(name)
        return self.names[number - 1] if number else None

    def _check_folder(self) -> None:
        present = [name for name in (FINISHED, RUN_STATE, *_RESULTS) if (self.folder / name).exists()]
        # as the main process found it, which writes there next
        other = distributed.agree(present if not (self.folder / STAGES).exists() else [])
        if other and not (self.overwrite or self.dry_run):
            raise FileExistsError(
                f"{self.folder} holds {' and '.join(other)} of a run without stages; choose another --run_name, or "
                "give --overwrite True to replace it"
            )
        super()._check_folder()
        if distributed.is_main() and not self.dry_run and (self.overwrite or self.names[-1] in self.selected):
            for name in (FINISHED, *((RUN_STATE, *_RESULTS) if self.overwrite else ())):
                (self.folder / name).unlink(missing_ok=True)

    def _finished(self, name: str) -> str | None:
        before = self._before(name)
        # what a stage is known by includes the weights that it starts from
        if name not in self.given and before is not None and self._finished(before) is None:
            return None
        return super()._finished(name)

    def _missing(self, name: str, needs: str) -> str:
        before = self._before(name)
        if before is not None and self._finished(before) is None:
            return self._missing(before, f"{needs} the stage {name}, that from")
        return super()._missing(name, needs)

    def _options(self, stage: Stage) -> dict[str, Any]:
        before = self._before(stage.name)
        return {**stage.options, **({} if before is None else {"pretrained": self._weights[before]})}

    def _train(self, name: str) -> BundleWorkflow:
        before = self._before(name)
        if before is not None and self._finished(before) is None:
            raise ValueError(self._missing(before, f"{name} starts from"))
        workflow = super()._train(name)
        if self.dry_run:
            self._weights[name] = str(self._stand_ins / f"{name}.pt")
            torch.save(workflow.parser.get_parsed_content(self._network).state_dict(), self._weights[name])
        return workflow

    def _publish(self, last: str) -> None:
        """Make the weights of the last stage those of the run."""
        weights = self._finished(last)
        if weights is None:
            raise ValueError(self._missing(last, "the run ends with"))
        if not distributed.is_main():
            return
        folder = Path(weights).parent
        for name in _RESULTS:
            with atomic_path(self.folder / name) as temporary:
                shutil.copyfile(folder / name, temporary)
        content = json.loads((folder / FINISHED).read_text())
        # a folder may later hold another training of the stage; the content tells which one it was
        content["stages"] = {
            name: {"weights": self._weights[name], "content": weight_identity(self._weights[name])}
            for name in self.names
            if name in self._weights
        }
        with atomic_path(self.folder / FINISHED) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        logger.info("%s: the weights of the stage %s", self.folder / "model.pt", last)


def _read(sequence: Sequence[Mapping[str, Any]], configs: Path) -> list[Stage]:
    """The stages of a sequence, checked."""
    stages: list[Stage] = []
    for entry in sequence:
        name = str(entry.get("name", ""))
        unknown = sorted(set(entry) - _KEYS)
        if unknown or not re.fullmatch(r"\w[\w-]*", name):
            problem = f"has unknown entries {unknown}" if unknown else "needs a name of letters, digits, _ and -"
            raise ValueError(f"the stage {dict(entry)} of the sequence {problem}; a stage has {sorted(_KEYS)}.")
        files = entry.get("files") or ()
        stage = Stage(name, (files,) if isinstance(files, str) else tuple(files), dict(entry.get("options") or {}))
        missing = [file for file in stage.files if not (configs / file).is_file()]
        if missing:
            raise FileNotFoundError(f"the stage {name} is configured by {missing}, and {configs} holds no such file")
        stages.append(stage)
    names = [stage.name for stage in stages]
    if not names or len(set(names)) < len(names) or "all" in names:
        raise ValueError(f"a sequence is one or more stages of different names, none of them 'all'; these are {names}.")
    return stages
