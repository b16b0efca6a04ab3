"""`recon-monai release`: the weights of a finished run become those that a bundle ships."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon_monai.sharing.large_files import FILE_LIMIT

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

__all__ = ["release"]

_SHIPPED = "model"
_PLACES = ("dataset_dir", "output_dir", "run_name", "stage_weights", "resume")
_WEIGHTS = ("pretrained", "teacher_pretrained", "classifier_varnet")

logger = logging.getLogger(__name__)


def release(
    run: str, bundle: str, stage: str | None = None, classifier: str | None = None, overwrite: bool = False
) -> None:
    """Make the best weights of a finished run the shipped ones of a bundle: models/model.pt and models/model.json.

    They have to fit the network in the bundle's train.json (one size in configurations, metadata and weights), and to
    stay below 25 MB, the Model Zoo's limit for one file. model.json says what they were trained on, with which options
    and versions, and from which weights, back to the first run that is still there; paths of this machine are left out.

    Of a run of stages the last one's weights count. Stages before it that have a "release" in the sequence of
    train.json are shipped beside them under that name, with a record of their own.

    Example:
        recon-monai release bundles/universal_varnet/eval/train-20260101-120000 --bundle bundles/universal_varnet

    Args:
        run: the run's folder; a run of stages, or a stage that ran by itself.
        bundle: the bundle's folder.
        stage: release this stage alone, and leave the weights of the others as they are.
        classifier: folder of a finished run of train_classifier.json; its classifier takes the place of the run's own,
            which nothing else in the network depends on.
        overwrite: replace the weights that are shipped now.
    """
    import torch
    from monai.bundle import ConfigParser

    from recon_monai.data import atomic_path

    root = Path(str(bundle))
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train.json"))
    chosen = _chosen(Path(str(run)), _sequence(parser), None if stage is None else str(stage))
    other = Path(str(classifier)) if classifier else None
    for folder in [*chosen.values(), *([other] if other else [])]:
        _check_finished(folder)
    parser["anatomies"] = ["any"]
    targets = {root / "models" / f"{name}.pt": folder for name, folder in chosen.items()}
    networks = {
        target: _network(parser, folder, other if target.stem == _SHIPPED else None)
        for target, folder in targets.items()
    }
    existing = [str(target) for target in targets if target.exists()]
    if existing and not overwrite:
        raise FileExistsError(f"{' and '.join(existing)} exist(s) already; give --overwrite to replace it")
    for target, folder in targets.items():
        target.parent.mkdir(exist_ok=True)
        with atomic_path(target) as temporary:
            torch.save(networks[target].state_dict(), temporary)
        record = {**json.loads((folder / "model.json").read_text()), "training": _training(folder)}
        if other and target.stem == _SHIPPED:
            record["classifier_training"] = _training(other)
        with atomic_path(target.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        known = ", ".join(getattr(networks[target], "anatomies", ())) or "one network"
        logger.info("%s: %.1f MB, %s, of %s", target, target.stat().st_size / 1e6, known, folder)


def _sequence(parser: ConfigParser) -> list[dict[str, Any]]:
    """The stages of the bundle's training; none where it has no fixed ones."""
    found = parser.get("sequence")
    return found if isinstance(found, list) else []


def _check_finished(folder: Path) -> None:
    for path in (folder / file for file in ("finished.json", "run.json", "model.pt", "model.json")):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file, expected the folder of a finished run")


def _network(parser: ConfigParser, folder: Path, classifier: Path | None) -> Any:
    """The bundle's network with the weights of a run, and the classifier of another."""
    from recon_monai.networks import adopt_anatomies, load_weights

    weights = folder / "model.pt"
    if (size := weights.stat().st_size) > FILE_LIMIT:
        raise ValueError(f"{weights} has {size / 1e6:.1f} MB, expected at most {FILE_LIMIT / 1e6:.0f} MB")
    network: Any = copy.deepcopy(parser.get_parsed_content("network_def"))
    load_weights(adopt_anatomies(network, weights), weights)
    if classifier:
        load_weights(network.classifier, classifier / "model.pt")
    return network


def _chosen(run: Path, sequence: Sequence[Mapping[str, Any]], stage: str | None) -> dict[str, Path]:
    """Folders of runs by the name that their weights are shipped under."""
    names = {str(entry["name"]): entry.get("release") for entry in sequence}
    if names:
        names[list(names)[-1]] = _SHIPPED
    if stage is not None and names.get(stage) is None:
        known = ", ".join(name for name, shipped in names.items() if shipped) or "none"
        raise ValueError(f"--stage {stage}: the bundle ships no such stage; stages it ships: {known}")
    finished = run / "finished.json"
    stages = json.loads(finished.read_text()).get("stages") if finished.is_file() else None
    alone = (run / "run.json").is_file()
    if stage is not None:
        files = next(entry.get("files") or () for entry in sequence if entry["name"] == stage)
        folder = run if alone else _stage_folder(run, stage, (stages or {}).get(stage))
        _check_stage(folder, stage, [files] if isinstance(files, str) else files)
        return {str(names[stage]): folder}
    if alone or not stages:
        return {_SHIPPED: run}
    shipped = {name: str(names[name]) for name in stages if names.get(name)} | {list(stages)[-1]: _SHIPPED}
    return {file: _stage_folder(run, name, stages[name]) for name, file in shipped.items()}


def _stage_folder(run: Path, name: str, entry: Mapping[str, str] | None) -> Path:
    """Where the run of a stage lies whose weights a run of stages used."""
    from recon_monai.engines.stage_settings import weight_identity

    if entry is None:  # the run did not come to its end
        return run / name
    for folder in (run / name, Path(entry["weights"]).parent):
        weights = folder / "model.pt"
        content = entry.get("content")  # a folder may hold another training of the stage by now
        if weights.is_file() and (folder / "run.json").is_file() and content in (None, weight_identity(weights)):
            return folder
    raise FileNotFoundError(
        f"the weights that {run} used as its stage {name} ({entry['weights']}) are not there any more, or nothing "
        "beside them says how they were trained; choose another stage by --stage"
    )


def _check_stage(folder: Path, stage: str, files: Iterable[str]) -> None:
    """Whether a run was made by the configuration of a stage."""
    from recon_monai.engines.command_line import configuration_files

    _check_finished(folder)
    used = {Path(file).name for file in configuration_files(json.loads((folder / "run.json").read_text())["command"])}
    missing = sorted({Path(file).name for file in files} - used)
    if missing:
        raise ValueError(f"{folder} was trained without {', '.join(missing)}, so it is no stage {stage}")


def _training(source: Path) -> dict[str, Any]:
    """How a run was trained, without the paths of the machine it ran on."""
    from recon_monai.engines.command_line import configuration_files, overrides

    record = json.loads((source / "run.json").read_text())
    given = overrides(record["command"])
    started_from = {name: _origin(source, str(given[name])) for name in _WEIGHTS if given.get(name)}
    return {
        "configurations": [Path(file).name for file in configuration_files(record["command"])],
        "options": {name: value for name, value in given.items() if name not in (*_PLACES, *_WEIGHTS)},
        **({"started_from": started_from} if started_from else {}),
        "epochs": json.loads((source / "finished.json").read_text())["epochs"],
        "data": {key: record["data"][key] for key in ("files", "fingerprint")},
        "versions": record["versions"],
        "git_revision": record["git_revision"] or "unknown",
    }


def _origin(source: Path, path: str) -> dict[str, Any]:
    """Weights that a run started from: which file it was, and how these were trained in their turn."""
    from recon_monai.engines.stage_settings import weight_identity

    weights = Path(path)
    if not weights.is_file() or weights.stat().st_mtime > (source / "run.json").stat().st_mtime:
        logger.warning("%s started from %s, which is not there any more or was changed since", source, weights)
        return {"file": f"{weights.name}, not kept"}
    known = (weights.with_name("run.json").is_file(), weights.with_name("finished.json").is_file())
    return {"file": weight_identity(weights), **({"training": _training(weights.parent)} if all(known) else {})}
