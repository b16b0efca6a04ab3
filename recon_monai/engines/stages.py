"""Training in stages: the classifier, one teacher for each anatomy, then the student that they teach."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, create_workflow
from torch import nn

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.command_line import configuration_files, merged_configuration, overrides
from recon_monai.engines.runs import FINISHED, RUN_STATE, STAGE_RECORD, STAGES
from recon_monai.engines.stage_settings import STAGE_FILES, first_difference, stage_settings
from recon_monai.networks import UniversalVarNet, load_weights

__all__ = ["STUDENT", "TrainingStages"]

STUDENT = "student"
_CLASSIFIER = "classifier"
_TEACHER = "teacher_"

logger = logging.getLogger(__name__)


class TrainingStages:
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
        self.root = Path(bundle_root)
        self.folder = Path(output_dir)
        self.anatomies = tuple(anatomies)
        self.given = dict(weights or {})
        teachers = [f"{_TEACHER}{name}" for name in self.anatomies] if distillation else []
        self.names = [_CLASSIFIER, *teachers, STUDENT]
        self.selected = _selected(stages, self.names, teachers)
        self.resume = bool(resume)
        self.overwrite = overwrite
        self.dry_run = dry_run
        self._files = config_files
        self._weights: dict[str, str] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        unknown = sorted(set(self.given) - set(self.names[:-1]))
        if unknown:
            raise ValueError(f"there are no stages {unknown} to give weights for; the stages are {self.names[:-1]}.")
        for name, file in self.given.items():
            if not Path(file).is_file():
                raise FileNotFoundError(f"--stage_weights::{name} {file}: there is no such file")

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
        for position, name in enumerate(before, start=1):
            logger.info("stage %d of %d: %s", position, len(before) + (STUDENT in self.selected), name)
            if self._finished(name) is None:
                self._train(name)
            distributed.wait()
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

    def _missing(self, name: str) -> str:
        return (
            f"the student needs the stage {name}, and no finished one has these settings and data"
            f"{self._nearest(name)}; add it to --stages, or name its weights by --stage_weights::{name}"
        )

    def _check_folder(self) -> None:
        """Keep what an earlier run left, unless told otherwise."""
        marker = self.folder / STAGES
        # as the main process found it, which writes there next
        if distributed.agree(marker.exists()) and not (self.resume or self.overwrite or self.dry_run):
            raise FileExistsError(
                f"{self.folder} holds a run already; go on with it by --resume True, choose another --run_name, or "
                "give --overwrite True to replace it"
            )
        self._mark(finished=False)

    def _mark(self, finished: bool) -> None:
        """Write which stages the run may train, and whether that is all done."""
        if distributed.is_main() and not self.dry_run:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.folder / STAGES) as temporary:
                temporary.write_text(json.dumps({"stages": self.selected, "finished": finished}, indent=2) + "\n")

    def _finished(self, name: str) -> str | None:
        """The weights of a stage that is finished with the same settings and data; found, and named, once."""
        if name not in self._weights:
            if name in self.given:
                logger.info("%s: using %s, as given", name, self.given[name])
            weights = self.given[name] if name in self.given else distributed.agree(self._find(name))
            if weights is None:
                return None
            self._weights[name] = weights
        return self._weights[name]

    def _find(self, name: str) -> str | None:
        if not distributed.is_main() or not self._known_files():
            return None
        expected = self._expected(name)
        for folder in self._candidates(name):
            weights = folder / "model.pt"
            if (folder / FINISHED).is_file() and weights.is_file() and _recorded(folder) == expected:
                epochs = json.loads((folder / FINISHED).read_text()).get("epochs")
                logger.info("%s: using %s, finished with the same settings and data (%s epochs)", name, weights, epochs)
                return str(weights)
        return None

    def _candidates(self, name: str) -> list[Path]:
        """Folders of this stage, that of this run first, then the newest."""
        runs = self.root / "eval"
        # stages of other runs, and runs that are a stage themselves
        others = [*runs.glob(f"*/{name}/{FINISHED}"), *runs.glob(f"*/{FINISHED}")]
        others.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        return [self.folder / name, *(file.parent for file in others)]

    def _nearest(self, name: str) -> str:
        """What is different in the newest finished run of a stage."""
        for folder in self._candidates(name) if self._known_files() else ():
            recorded = _recorded(folder)
            if recorded is not None and (folder.name == name or _kind(recorded) == _kind(self._expected(name))):
                return f" (in {folder} {first_difference(self._expected(name), recorded) or 'it is not finished'})"
        return ""

    def _expected(self, name: str) -> dict[str, Any]:
        from recon_monai.handlers.record import data_fingerprint

        if name in self._settings:
            return self._settings[name]
        configuration = merged_configuration(self._command(name, resume=False))
        settings = stage_settings(configuration)  # before parsing puts contents in the place of references
        parser = ConfigParser(configuration)
        parser.parse()
        files = [file for part in ("train", "validate") for file in _files_of(parser, part)]
        self._settings[name] = {"settings": settings, "data": data_fingerprint(files)}
        return self._settings[name]

    def _train(self, name: str) -> None:
        folder = self.folder / name
        expected = self._expected(name)
        if distributed.is_main() and not self.dry_run:
            _put_aside(folder, expected, self.overwrite)
        distributed.wait()
        command = self._command(name, resume=(folder / RUN_STATE).is_file())
        with _as_typed(command):
            options = overrides()
            workflow = create_workflow(
                config_file=[str(file) for file in configuration_files()], run_id="training", **options
            )
            workflow.run()

    def _known_files(self) -> list[str]:
        """The configuration files of the run; none where it is not run by a command."""
        return [str(file) for file in (self._files or configuration_files())]

    def _command(self, name: str, resume: bool) -> list[str]:
        """The command that runs a stage by itself."""
        files = self._known_files()
        if not files:
            raise ValueError(
                "the stages run by the configuration files of the command, and there is no command; give config_files, "
                "or run each stage by its own configuration."
            )
        overlay = self.root / "configs" / STAGE_FILES["teacher" if name.startswith(_TEACHER) else name]
        fixed = [*ConfigParser.load_config_file(str(overlay)), "stages", "stage_weights", "run_name"]
        options = {
            key: value for key, value in overrides().items() if not any(_is_within(key, above) for above in fixed)
        }
        options |= {"output_dir": str(self.folder / name), "resume": resume, "dry_run": self.dry_run}
        if name.startswith(_TEACHER):
            options["teacher_of"] = name.removeprefix(_TEACHER)
        # without a name, resuming looks for the newest run that is not finished, which is not this one
        options["run_name"] = f"{self.folder.name}/{name}"
        words = [word for key, value in options.items() for word in (f"--{key}", _word(value))]
        return [sys.argv[0], "run", "training", "--config_file", str([*files, str(overlay)]), *words]


def _selected(stages: str | Sequence[str], names: Sequence[str], teachers: Sequence[str]) -> list[str]:
    """Stages in their order."""
    if stages == "all":
        return list(names)
    wanted = [stages] if isinstance(stages, str) else list(stages)
    asked = {name for word in wanted for name in (teachers if word == "teachers" else [word])}
    unknown = sorted(asked - set(names))
    if unknown:
        raise ValueError(f"there are no stages {unknown}; choose among {[*names, 'teachers']}, or 'all'.")
    return [name for name in names if name in asked]


def _is_within(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}::")


def _recorded(folder: Path) -> dict[str, Any] | None:
    file = folder / STAGE_RECORD
    return json.loads(file.read_text()) if file.is_file() else None


def _kind(record: Mapping[str, Any]) -> tuple[Any, Any]:
    """Which stage a record is of, wherever it lies."""
    settings = record["settings"]
    return settings["train"]["trainer"]["_target_"], settings.get("teacher_of")


def _files_of(parser: ConfigParser, part: str) -> list[str]:
    dataset = parser.get_parsed_content(f"{part}::dataset")
    return [str(file) for file in dataset.files]


def _put_aside(folder: Path, expected: Mapping[str, Any], overwrite: bool) -> None:
    """Rename a stage's folder whose settings or data were others, so that nothing of it is lost."""
    recorded = _recorded(folder)
    if not any((folder / name).exists() for name in (STAGE_RECORD, RUN_STATE, FINISHED)):
        return
    if recorded == expected and not overwrite:
        return
    aside = folder.with_name(f"{folder.name}-before-{time.strftime('%Y%m%d-%H%M%S')}")
    unknown = "its settings changed on the way"
    difference = unknown if recorded is None else first_difference(dict(expected), recorded) or "it is to be replaced"
    logger.warning("%s: %s, so it is trained anew; the old one is kept in %s", folder.name, difference, aside)
    folder.rename(aside)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


@contextlib.contextmanager
def _as_typed(command: list[str]) -> Iterator[None]:
    """Let a stage see the command that would run it by itself, which it records and checks."""
    previous = sys.argv
    sys.argv = command
    try:
        yield
    finally:
        sys.argv = previous
