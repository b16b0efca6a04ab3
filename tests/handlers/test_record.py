"""What a run leaves behind about itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events

from recon_monai.handlers.record import RunRecord, data_fingerprint


def test_fingerprint_follows_names_and_sizes_not_the_folder(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.h5").write_bytes(b"123")
        (tmp_path / folder / "b.h5").write_bytes(b"4567")
    one, two = (sorted((tmp_path / folder).iterdir()) for folder in ("one", "two"))
    assert data_fingerprint(one) == data_fingerprint(reversed(two))
    (tmp_path / "two" / "b.h5").write_bytes(b"45678")
    assert data_fingerprint(one) != data_fingerprint(two)


@pytest.mark.parametrize("place", [0, 5_000, 50_000, 62_000, 75_000, 99_999])
def test_fingerprint_follows_content(tmp_path, place):
    content = bytearray(range(250)) * 400
    for folder in ("one", "two", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.h5").write_bytes(content)
    os.utime(tmp_path / "two" / "a.h5", (1e9, 1e9))
    # other values from here on, or up to here, as data of another noise would have
    changed = bytes(255 - value for value in content)
    mixed = content[:place] + changed[place:] if place < 60_000 else changed[:place] + content[place:]
    (tmp_path / "other" / "a.h5").write_bytes(mixed)
    one, two, other = (data_fingerprint([tmp_path / folder / "a.h5"]) for folder in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_a_small_or_empty_file_has_a_fingerprint(tmp_path):
    file = tmp_path / "a.h5"
    found = set()
    for content in (b"", b"1", b"2", b"1" * 4096, b"1" * 4097):
        file.write_bytes(content)
        found.add(data_fingerprint([file]))
    assert len(found) == 5


def test_record_at_start_and_mark_at_the_end(tmp_path, caplog):
    caplog.set_level("INFO")
    data = tmp_path / "data.h5"
    data.write_bytes(b"1")
    output = tmp_path / "run"
    engine = Engine(lambda engine, batch: (output / "run.json").exists() and not (output / "finished.json").exists())
    RunRecord(str(output), [data]).attach(engine)
    seen = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.output))
    state = engine.run([0, 1], max_epochs=3)
    assert seen == [True] * 6, "the record is there from the start, the mark only at the end"
    record = json.loads((output / "run.json").read_text())
    assert record["data"]["files"] == 1
    assert record["data"]["folders"] == [str(tmp_path)]
    assert record["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    finished = json.loads((output / "finished.json").read_text())
    assert (finished["epochs"], finished["iterations"]) == (3, state.iteration)
    assert str(tmp_path) in caplog.text


@pytest.mark.parametrize(("file", "message"), [("finished.json", "a finished run"), ("last.pt", "not finished; go on")])
def test_an_earlier_run_is_not_overwritten(tmp_path, file, message):
    (tmp_path / file).write_text("{}")
    (tmp_path / "model.pt").write_text("weights")
    engine = Engine(lambda engine, batch: None)
    RunRecord(str(tmp_path)).attach(engine)
    with pytest.raises(FileExistsError, match=message):
        engine.run([0])
    assert (tmp_path / file).read_text() == "{}"
    assert (tmp_path / "model.pt").read_text() == "weights"
    assert not (tmp_path / "run.json").exists()


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def test_an_earlier_run_is_overwritten_when_asked(tmp_path):
    names = ("finished.json", "run.json")
    for name in names:
        (tmp_path / name).write_text("old")
    (tmp_path / "model.pt").write_text("weights")
    (tmp_path / "notes.txt").write_text("mine")
    engine = Engine(lambda engine, batch: [name for name in names if _holds(tmp_path / name, "old")])
    RunRecord(str(tmp_path), overwrite=True).attach(engine)
    seen = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.output))
    engine.run([0])
    assert seen == [[]]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "model.pt").read_text() == "weights", "weights are not the record's to remove"


def test_a_resumed_run_keeps_its_record_and_notes_what_changed(tmp_path, caplog):
    data = tmp_path / "data.h5"
    data.write_bytes(b"1")
    for resume in (False, True, True):
        engine = Engine(lambda engine, batch: None)
        RunRecord(str(tmp_path / "run"), [data], resume=resume).attach(engine)
        engine.run([0])
        data.write_bytes(data.read_bytes() + b"1")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(record["resumed"]) == 2
    assert record["resumed"][0]["data"]["fingerprint"] != record["data"]["fingerprint"]
    assert "the data differ from those the run began with" in caplog.text


def test_a_run_that_breaks_off_is_not_finished(tmp_path):
    def step(engine, batch):
        raise ZeroDivisionError

    engine = Engine(step)
    RunRecord(str(tmp_path)).attach(engine)
    try:
        engine.run([0])
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("the error must reach the caller")
    assert (tmp_path / "run.json").exists()
    assert not (tmp_path / "finished.json").exists()


@pytest.mark.parametrize("training", [False, True])
def test_what_a_stage_is_known_by_is_written_for_trainings_only(tmp_path, monkeypatch, training):
    config = tmp_path / "train.json"
    config.write_text(json.dumps({"rate": 1, "train": {"trainer": {"rate": "@rate"}}}))
    monkeypatch.setattr("sys.argv", ["monai.bundle", "run", "--config_file", str(config), "--rate", "3"])
    files = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for file in files:
        file.write_text(file.name)
    (tmp_path / "run").mkdir()
    stage = tmp_path / "run" / "stage.json"
    stage.write_text("{}")  # of a run that was here before
    record = RunRecord(str(tmp_path / "run"), files[:1], validation_files=files[1:] if training else None)
    engine = Engine(lambda engine, batch: None)
    record.attach(engine)
    engine.run([0])
    assert stage.exists() == training
    if training:
        settings = {"rate": 3, "train": {"trainer": {"rate": "@rate"}}}
        assert json.loads(stage.read_text()) == {"settings": settings, "data": data_fingerprint(files)}
