"""A run made of stages, each a run of its own by a configuration of the bundle, and found again when it is finished."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import BundleWorkflow, ConfigParser, create_workflow

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.command_line import configuration_files, merged_configuration, overrides
from recon_monai.engines.runs import FINISHED, RUN_STATE, STAGE_RECORD, STAGES
from recon_monai.engines.stage_settings import first_difference, stage_settings

__all__ = ["Stage", "StagedRun", "selected_stages"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One training of several.

    Attributes:
        name: of the stage and of its folder.
        files: overlays in the bundle's ``configs``, which go over the configuration of the whole run.
        options: values by id that go over all files.
    """

    name: str
    files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


class StagedRun:
    """Runs stages one after the other, each in a folder of its own below the run's, by the bundle's own configuration.

    What was typed for the whole run holds for each stage, except what the stage sets itself. A stage that is finished
    with the same settings, data and weights to start from, in this run, in another one of the bundle or as a run of its
    own there, is used as it is; one that was stopped goes on where it stopped if the run is resumed.

    Args:
        bundle_root: the bundle's folder.
        output_dir: the run's folder.
        stages: in their order.
        selected: names of those stages that this run may train, in their order; others must be finished already. Names
            of stages that the subclass runs by other means may be among them.
        weights: files to use for stages in place of training them, by their names; nothing but their sizes is checked.
        resume: whether the run is resumed.
        overwrite: whether results of an earlier run in the folder are replaced.
        dry_run: only say what the stages would do.
        config_files: the configuration files of the run; None takes those on the command line.

    Raises:
        ValueError: if weights are given for an unknown stage.
        FileNotFoundError: if a file of `weights` does not exist.
    """

    run_id = "training"
    """What of its configuration a stage runs."""

    def __init__(
        self,
        bundle_root: str,
        output_dir: str,
        stages: Sequence[Stage],
        selected: Sequence[str],
        weights: Mapping[str, str] | None = None,
        resume: bool | str = False,
        overwrite: bool = False,
        dry_run: bool = False,
        config_files: Sequence[str] | None = None,
    ) -> None:
        self.root = Path(bundle_root)
        self.folder = Path(output_dir)
        self.stages = {stage.name: stage for stage in stages}
        self.selected = list(selected)
        self.given = dict(weights or {})
        self.resume = bool(resume)
        self.overwrite = overwrite
        self.dry_run = dry_run
        self._files = config_files
        self._weights: dict[str, str] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._began = False
        replaceable = self._replaceable()
        unknown = sorted(set(self.given) - set(replaceable))
        if unknown:
            raise ValueError(f"there are no stages {unknown} to give weights for; the stages are {replaceable}.")
        for name, file in self.given.items():
            if not Path(file).is_file():
                raise FileNotFoundError(f"--stage_weights::{name} {file}: there is no such file")

    def _replaceable(self) -> list[str]:
        """Stages that weights may be given for."""
        return list(self.stages)

    def _train_stages(self, names: Sequence[str], total: int) -> None:
        """Train those that are not finished, as the first of `total`."""
        try:
            for position, name in enumerate(names, start=1):
                logger.info("stage %d of %d: %s", position, total, name)
                if self._finished(name) is None:
                    self._train(name)
                distributed.wait()
        except BaseException:
            self._unmark()
            raise

    def _missing(self, name: str, needs: str) -> str:
        """What to do about a stage that is not finished, but needed."""
        return (
            f"{needs} the stage {name}, and no finished one has these settings and data"
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
        self._began = not marker.exists()
        self._mark(finished=False)

    def _mark(self, finished: bool) -> None:
        """Write which stages the run may train, and whether that is all done."""
        if distributed.is_main() and not self.dry_run:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.folder / STAGES) as temporary:
                temporary.write_text(json.dumps({"stages": self.selected, "finished": finished}, indent=2) + "\n")

    def _unmark(self) -> None:
        """Where this run began, and was refused before a stage left anything to go on from, it may begin anew."""
        folders = [self.folder / name for name in self.stages]
        left = (folder / name for folder in folders for name in (RUN_STATE, FINISHED))
        if not (self._began and distributed.is_main()) or self.dry_run or any(file.exists() for file in left):
            return
        (self.folder / STAGES).unlink(missing_ok=True)
        for folder in (*folders, self.folder):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

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
        # stages of all runs, those put aside when settings changed, and runs that are a stage themselves
        others = [file for stage in (name, f"{name}-before-*") for file in runs.glob(f"*/{stage}/{FINISHED}")]
        others += runs.glob(f"*/{FINISHED}")
        others.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        return [self.folder / name, *(file.parent for file in others)]

    def _is_of(self, name: str, recorded: Mapping[str, Any]) -> bool:
        """Whether a record of a run that is a stage itself, under any name, is of this stage."""
        return False

    def _nearest(self, name: str) -> str:
        """What is different in the newest finished run of a stage."""
        for folder in self._candidates(name) if self._known_files() else ():
            recorded = _recorded(folder)
            if recorded is not None and (folder.name == name or self._is_of(name, recorded)):
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

    def _train(self, name: str) -> BundleWorkflow:
        """Run a stage; returns what ran."""
        folder = self.folder / name
        expected = self._expected(name)
        if distributed.is_main() and not self.dry_run:
            _put_aside(folder, expected, self.overwrite)
        distributed.wait()
        command = self._command(name, resume=(folder / RUN_STATE).is_file())
        with _as_typed(command):
            options = overrides()
            workflow = create_workflow(
                config_file=[str(file) for file in configuration_files()], run_id=self.run_id, **options
            )
            workflow.run()
        return workflow

    def _known_files(self) -> list[str]:
        """The configuration files of the run; none where it is not run by a command."""
        return [str(file) for file in (self._files or configuration_files())]

    def _options(self, stage: Stage) -> dict[str, Any]:
        """What a stage sets itself, besides its files."""
        return dict(stage.options)

    def _command(self, name: str, resume: bool) -> list[str]:
        """The command that runs a stage by itself."""
        files = self._known_files()
        if not files:
            raise ValueError(
                "the stages run by the configuration files of the command, and there is no command; give config_files, "
                "or run each stage by its own configuration."
            )
        stage = self.stages[name]
        overlays = [str(self.root / "configs" / file) for file in stage.files]
        own = self._options(stage)
        set_by_stage = [key for file in overlays for key in ConfigParser.load_config_file(file)]
        fixed = [*set_by_stage, *own, "stages", "stage_weights", "run_name"]
        options = {
            key: value for key, value in overrides().items() if not any(_is_within(key, above) for above in fixed)
        }
        options |= {"output_dir": str(self.folder / name), "resume": resume, "dry_run": self.dry_run, **own}
        # without a name, resuming looks for the newest run that is not finished, which is not this one
        options["run_name"] = f"{self.folder.name}/{name}"
        words = [word for key, value in options.items() for word in (f"--{key}", _word(value))]
        return [sys.argv[0], "run", self.run_id, "--config_file", str([*files, *overlays]), *words]


def selected_stages(
    stages: str | Sequence[str], names: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Stages in their order.

    Args:
        stages: ``"all"``, or names of stages and groups.
        names: those that there are.
        groups: names of several by one word.

    Raises:
        ValueError: for an unknown stage.
    """
    if stages == "all":
        return list(names)
    groups = groups or {}
    wanted = [stages] if isinstance(stages, str) else list(stages)
    asked = {name for word in wanted for name in groups.get(word, [word])}
    unknown = sorted(asked - set(names))
    if unknown:
        raise ValueError(f"there are no stages {unknown}; choose among {[*names, *groups]}, or 'all'.")
    return [name for name in names if name in asked]


def _is_within(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}::")


def _recorded(folder: Path) -> dict[str, Any] | None:
    file = folder / STAGE_RECORD
    return json.loads(file.read_text()) if file.is_file() else None


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
