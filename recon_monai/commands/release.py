"""`recon-monai release`: the weights of a finished run become those that a bundle ships."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

__all__ = ["release"]

_LIMIT = 25 * 10**6
_PLACES = ("dataset_dir", "output_dir", "run_name", "stage_weights", "resume")
_WEIGHTS = ("pretrained", "teacher_pretrained", "classifier_varnet")

logger = logging.getLogger(__name__)


def release(run: str, bundle: str, classifier: str | None = None, overwrite: bool = False) -> None:
    """Make the best weights of a finished run the shipped ones of a bundle: models/model.pt and models/model.json.

    They have to fit the network in the bundle's train.json (one size in configurations, metadata and weights), and to
    stay below 25 MB, the Model Zoo's limit for one file. model.json says what they were trained on, with which options
    and versions, and from which weights, back to the first run that is still there; paths of this machine are left out.

    Example:
        recon-monai release bundles/universal_varnet/eval/train-20260101-120000 --bundle bundles/universal_varnet

    Args:
        run: the run's folder; of a run of stages, its last one counts.
        bundle: the bundle's folder.
        classifier: folder of a finished run of train_classifier.json; its classifier takes the place of the run's own,
            which nothing else in the network depends on.
        overwrite: replace the weights that are shipped now.
    """
    import torch
    from monai.bundle import ConfigParser

    from recon_monai.data import atomic_path
    from recon_monai.engines.runs import FINISHED
    from recon_monai.networks import adopt_anatomies, load_weights

    source, root = _last_stage(Path(str(run))), Path(str(bundle))
    folders = [source, *([Path(str(classifier))] if classifier else [])]
    for path in (folder / file for folder in folders for file in (FINISHED, "run.json", "model.pt", "model.json")):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file, expected the folder of a finished run")
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train.json"))
    parser["anatomies"] = ["any"]
    network = parser.get_parsed_content("network_def")
    load_weights(adopt_anatomies(network, source / "model.pt"), source / "model.pt")
    if classifier:
        load_weights(network.classifier, folders[1] / "model.pt")
    target = root / "models" / "model.pt"
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; give --overwrite to replace it")
    size = (source / "model.pt").stat().st_size
    if size > _LIMIT:
        raise ValueError(f"{source / 'model.pt'} has {size / 1e6:.1f} MB, expected at most {_LIMIT / 1e6:.0f} MB")
    target.parent.mkdir(exist_ok=True)
    with atomic_path(target) as temporary:
        torch.save(network.state_dict(), temporary)
    record = {**json.loads((source / "model.json").read_text()), "training": _training(source)}
    if classifier:
        record["classifier_training"] = _training(folders[1])
    with atomic_path(target.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    logger.info("%s: %.1f MB, %s", target, size / 1e6, ", ".join(getattr(network, "anatomies", ())) or "one network")


def _last_stage(run: Path) -> Path:
    """The folder of the stage whose weights a run of stages ended with; of any other run its own."""
    finished = run / "finished.json"
    stages = json.loads(finished.read_text()).get("stages") if finished.is_file() else None
    if not stages or (run / "run.json").is_file():
        return run
    name, last = list(stages.items())[-1]
    return run / name if (run / name / "run.json").is_file() else Path(last["weights"]).parent


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
