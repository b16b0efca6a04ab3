"""Stages that follow each other; their trainings are replaced by one that only leaves its files."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from stage_tools import Workflow

from recon_monai.engines import StageSequence, name_run, staged_run
from recon_monai.engines.stage_settings import weight_identity

SEQUENCE: list[dict[str, Any]] = [
    {"name": "base"},
    {"name": "grow", "files": ["grow.json"], "options": {"size": 3, "epochs": 5}},
    {"name": "fine", "files": ["fine.json"], "options": {"size": 3}},
]
TRAIN: dict[str, Any] = {
    "output_dir": "somewhere",
    "run_name": "run",
    "dry_run": False,
    "resume": False,
    "overwrite": False,
    "pretrained": None,
    "rate": 0.1,
    "frozen": [],
    "size": 2,
    "epochs": 2,
    "seed": 0,
    "module": {"_target_": "Network", "size": "@size", "start": "@pretrained", "frozen": "@frozen"},
    "train": {"trainer": {"_target_": "Trainer", "of": "@module", "rate": "@rate", "for": "@epochs", "by": "@seed"}},
    "validate": {},
}
OVERLAYS: dict[str, dict[str, Any]] = {"grow": {"frozen": ["old"], "rate": 0.3}, "fine": {"frozen": ["new"]}}


class Training(Workflow):
    """Ends with weights that tell what they came from; can be stopped in a stage."""

    stop_in = ""
    refuse = ""
    """Stage that cannot be built, or ("begin" before it) fails in its first step."""

    def __init__(self, config_file: list[str], run_id: str, **options: Any) -> None:
        super().__init__(config_file, run_id, **options)
        assert run_id == "train_network"

    def run(self) -> None:
        folder = Path(self.parser["output_dir"])
        if Training.refuse == folder.name:
            raise ValueError("refused")
        super().run()
        if Training.refuse == f"begin {folder.name}":
            for name in ("last.pt", "finished.json", "model.pt"):
                (folder / name).unlink()
            raise ValueError("refused")
        if folder.name == Training.stop_in:
            (folder / "finished.json").unlink()
            raise KeyboardInterrupt
        start = self.parser["pretrained"]
        before = Path(start).read_text() if start else "nothing"
        (folder / "model.pt").write_text(f"{self.parser['frozen']} {self.parser['rate']} from {before}")
        (folder / "model.json").write_text(json.dumps({"of": folder.name}))


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    content = dict(TRAIN)
    for part in ("train", "validate"):
        file = tmp_path / f"{part}.h5"
        file.write_text(part)
        content[part] = {**TRAIN[part], "dataset": {"_target_": "types.SimpleNamespace", "files": [str(file)]}}
    for name, values in {"train": content, **OVERLAYS}.items():
        (configs / f"{name}.json").write_text(json.dumps(values))
    monkeypatch.setattr(staged_run, "create_workflow", Training)
    monkeypatch.setattr(Workflow, "commands", [])
    monkeypatch.setattr(Training, "stop_in", "")
    monkeypatch.setattr(Training, "refuse", "")
    return configs.parent


def sequence(bundle: Path, run: str = "run", stages: Any = "all", **options: Any) -> StageSequence:
    return StageSequence(str(bundle), str(bundle / "eval" / run), options.pop("sequence", SEQUENCE), stages, **options)


def trained() -> list[str]:
    """Stages that were run, in their order, since this was asked last."""
    names = [Path(command["output_dir"]).name for command in Workflow.commands]
    Workflow.commands.clear()
    return names


def test_each_stage_goes_on_from_the_one_before_by_its_own_options(bundle: Path, typed: Any) -> None:
    (bundle / "given.pt").write_text("given")
    typed("--rate", "0.2", "--seed", "4", "--size", "7", "--stages", "all", "--pretrained", str(bundle / "given.pt"))
    sequence(bundle).run()
    run = bundle / "eval" / "run"
    common = {"seed": 4, "resume": False, "dry_run": False}

    def command(name: str, **options: Any) -> dict[str, Any]:
        return {**common, "output_dir": str(run / name), "run_name": f"run/{name}", **options}

    assert Workflow.commands == [
        command("base", rate=0.2, size=7, pretrained=str(bundle / "given.pt")),
        command("grow", size=3, epochs=5, pretrained=str(run / "base" / "model.pt")),
        command("fine", size=3, rate=0.2, pretrained=str(run / "grow" / "model.pt")),
    ]


def test_the_last_weights_are_those_of_the_run(bundle: Path, typed: Any) -> None:
    sequence(bundle).run()
    run = bundle / "eval" / "run"
    assert (run / "model.pt").read_text() == "['new'] 0.1 from ['old'] 0.3 from [] 0.1 from nothing"
    assert json.loads((run / "model.json").read_text()) == {"of": "fine"}
    finished = json.loads((run / "finished.json").read_text())
    assert finished["epochs"] == 1
    weights = {name: str(run / name / "model.pt") for name in ("base", "grow", "fine")}
    assert {name: stage["weights"] for name, stage in finished["stages"].items()} == weights
    contents = {name: stage["content"] for name, stage in finished["stages"].items()}
    assert contents == {name: weight_identity(file) for name, file in weights.items()}
    assert len(set(contents.values())) == len(weights)
    assert not (run / "last.pt").exists(), "it has no state of its own to go on from"


def test_a_run_that_was_stopped_goes_on_in_that_stage(bundle: Path, typed: Any) -> None:
    Training.stop_in = "grow"
    with pytest.raises(KeyboardInterrupt):
        sequence(bundle).run()
    assert trained() == ["base", "grow"]
    Training.stop_in = ""
    with pytest.raises(FileExistsError, match="holds a run already; go on with it by --resume True"):
        sequence(bundle).run()
    assert name_run(str(bundle), resume=True, staged=True) == "run"
    sequence(bundle, resume=True).run()
    assert [command["resume"] for command in Workflow.commands] == [True, False]
    assert trained() == ["grow", "fine"]
    assert not list((bundle / "eval" / "run").glob("*-before-*"))
    # once more: nothing is left to do
    sequence(bundle, resume=True).run()
    assert trained() == []
    assert (bundle / "eval" / "run" / "finished.json").is_file()


@pytest.mark.parametrize("refuse", ["base", "begin base"])
def test_a_run_that_was_refused_can_be_begun_again(bundle: Path, typed: Any, refuse: str) -> None:
    run = bundle / "eval" / "run"
    Training.refuse = refuse
    for _ in range(2):
        with pytest.raises(ValueError, match="refused"):
            sequence(bundle).run()
    assert run.exists() == refuse.startswith("begin"), "what a stage wrote stays"
    assert not (run / "stages.json").exists()
    Training.refuse = ""
    trained()
    sequence(bundle).run()
    assert trained() == ["base", "grow", "fine"]
    assert (run / "finished.json").is_file()


def test_a_run_whose_later_stage_was_refused_is_gone_on_with(bundle: Path, typed: Any) -> None:
    Training.refuse = "grow"
    with pytest.raises(ValueError, match="refused"):
        sequence(bundle).run()
    Training.refuse = ""
    with pytest.raises(FileExistsError, match="holds a run already; go on with it by --resume True"):
        sequence(bundle).run()
    with pytest.raises(ValueError, match="to give weights for"):
        sequence(bundle, resume=True, weights={"gone": "base.pt"}).run()
    assert (bundle / "eval" / "run" / "stages.json").is_file()
    trained()
    sequence(bundle, resume=True).run()
    assert trained() == ["grow", "fine"]


def test_a_refusal_leaves_what_an_earlier_run_began(bundle: Path, typed: Any) -> None:
    """Stages of it were used from elsewhere, so that its folder holds nothing but the mark."""
    sequence(bundle, stages=["base"]).run()
    sequence(bundle, "other", stages=["base"]).run()
    mark = bundle / "eval" / "other" / "stages.json"
    assert [path.name for path in mark.parent.iterdir()] == ["stages.json"]
    Training.refuse = "grow"
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="refused"):
            sequence(bundle, "other", **options).run()
        assert mark.is_file()
    with pytest.raises(ValueError, match="refused"):
        sequence(bundle, "third").run()
    assert not (bundle / "eval" / "third").exists(), "which used the stage, and left nothing of its own"


def test_stages_are_used_again_up_to_the_first_that_differs(
    bundle: Path, typed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sequence(bundle).run()
    trained()

    def other(**options: Any) -> list[dict[str, Any]]:
        return [SEQUENCE[0], {**SEQUENCE[1], "options": {**SEQUENCE[1]["options"], **options}}, SEQUENCE[2]]

    sequence(bundle, "faster", sequence=other(rate=0.4)).run()
    assert f"base: using {bundle}/eval/run/base/model.pt" in caplog.text
    assert trained() == ["grow", "fine"]
    sequence(bundle, "longer", sequence=other(epochs=6)).run()
    assert trained() == ["grow"], (
        "this training ends with the same weights whatever its epochs, and that is what counts"
    )
    typed("--rate", "0.2")
    sequence(bundle, "other").run()
    assert trained() == ["base", "grow", "fine"], "what they start from differs, be their own settings the same"


def test_a_run_that_is_a_stage_counts(bundle: Path, typed: Any) -> None:
    sequence(bundle, stages=["base"]).run()
    start = bundle / "eval" / "run" / "base" / "model.pt"
    options = {"size": 3, "epochs": 5, "pretrained": str(start)}
    typed(*(word for name, value in options.items() for word in (f"--{name}", str(value))), files=("train", "grow"))
    files = [str(bundle / "configs" / f"{name}.json") for name in ("train", "grow")]
    Training(files, "train_network", output_dir=str(bundle / "eval" / "alone"), **options).run()
    Workflow.commands.clear()
    typed()
    whole = sequence(bundle, "whole")
    whole.run()
    assert trained() == ["fine"]
    assert whole._finished("grow") == str(bundle / "eval" / "alone" / "model.pt")


def test_given_weights_make_the_stages_before_needless(bundle: Path, typed: Any, tmp_path: Path) -> None:
    given = tmp_path / "grown.pt"
    given.write_text("given")
    sequence(bundle, weights={"grow": str(given)}).run()
    assert trained() == ["fine"]
    assert (bundle / "eval" / "run" / "model.pt").read_text() == "['new'] 0.1 from given"
    with pytest.raises(
        ValueError, match=r"no stages \['fine'\] to give weights for; the stages are \['base', 'grow'\]"
    ):
        sequence(bundle, weights={"fine": str(given)})
    with pytest.raises(FileNotFoundError, match=r"--stage_weights::base gone\.pt: there is no such file"):
        sequence(bundle, weights={"base": "gone.pt"})


def test_some_stages_now_and_the_others_later(bundle: Path, typed: Any) -> None:
    sequence(bundle, stages="base").run()
    run = bundle / "eval" / "run"
    assert not (run / "finished.json").exists(), "it has no weights of the last stage"
    assert json.loads((run / "stages.json").read_text()) == {"stages": ["base"], "finished": True}
    with pytest.raises(ValueError, match=r"no unfinished run .* \(1 finished ones\)"):
        name_run(str(bundle), resume=True, staged=True)
    with pytest.raises(ValueError, match=r"fine starts from the stage grow, and no finished one .* add it to --stages"):
        sequence(bundle, stages=["fine"], resume=True).run()
    sequence(bundle, stages=["fine", "grow"], resume=True).run()
    assert trained() == ["base", "grow", "fine"]
    assert (run / "finished.json").is_file()


def test_what_differs_is_named_in_the_first_stage_that_is_missing(bundle: Path, typed: Any) -> None:
    sequence(bundle).run()
    typed("--seed", "1")
    with pytest.raises(
        ValueError, match=r"fine starts from the stage grow, that from the stage base.* settings::seed was 0 and is 1"
    ):
        sequence(bundle, "other", stages=["fine"]).run()


def test_a_run_without_stages_in_the_folder_is_kept(bundle: Path, typed: Any) -> None:
    run = bundle / "eval" / "run"
    Training([str(bundle / "configs" / "train.json")], "train_network", output_dir=str(run), rate=7).run()
    before = (run / "model.pt").read_text()
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r"holds finished\.json and last\.pt .* of a run without stages"):
            sequence(bundle, resume=resume).run()
    assert (run / "model.pt").read_text() == before
    sequence(bundle, overwrite=True).run()
    assert (run / "model.pt").read_text().startswith("['new'] 0.1")
    assert not (run / "last.pt").exists()


@pytest.mark.parametrize(
    ("stages", "error", "message"),
    [
        ([], ValueError, "one or more stages of different names"),
        ([{"name": "a"}, {"name": "a"}], ValueError, r"these are \['a', 'a'\]"),
        ([{"name": "a/b"}], ValueError, "needs a name of letters"),
        ([{"files": []}], ValueError, "needs a name"),
        ([{"name": "a", "file": "grow.json"}], ValueError, r"unknown entries \['file'\]"),
        ([{"name": "a", "files": ["gone.json"]}], FileNotFoundError, r"stage a is configured by \['gone.json'\]"),
    ],
)
def test_a_sequence_that_is_none(bundle: Path, stages: list[dict[str, Any]], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        sequence(bundle, sequence=stages)


def test_stages_that_are_none(bundle: Path) -> None:
    with pytest.raises(ValueError, match=r"no stages \['shrink'\]; choose among \['base', 'grow', 'fine'\], or 'all'"):
        sequence(bundle, stages=["shrink"])
    with pytest.raises(ValueError, match="trains nothing"):
        sequence(bundle, stages=[])


def test_the_sequence_of_the_bundle() -> None:
    """Five cascades, one more with the old frozen, the coil maps alone, the cascades alone."""
    configs = Path(__file__).parents[2] / "bundles" / "weighted_dircn" / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / f"{name}.json") for name in ("train", "transfer")])
    assert (parser["network_def::num_cascades"], parser["max_epochs"], parser["learning_rate"]) == (5, 50, 1e-3)
    stages = parser.get_parsed_content("sequence")
    frozen = {}
    for stage in stages:
        (file,) = stage.get("files") or ["train.json"]
        frozen[stage["name"]] = json.loads((configs / file).read_text())["frozen"]
    assert frozen == {
        "base": [],
        "grow": ["sensitivity", "old_cascades"],
        "sensitivity": ["cascades"],
        "cascades": ["sensitivity"],
    }
    assert [stage.get("options") for stage in stages] == [
        None,
        {"network_def::num_cascades": 6, "max_epochs": 20, "learning_rate": 1e-3},
        {"network_def::num_cascades": 6, "max_epochs": 20, "learning_rate": 2e-5},
        {"network_def::num_cascades": 6, "max_epochs": 20, "learning_rate": 2e-5},
    ]
