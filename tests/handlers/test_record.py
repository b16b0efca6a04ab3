"""What a run leaves behind about itself."""

from __future__ import annotations

import json

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


def test_the_mark_of_an_earlier_run_of_the_same_name_is_taken_away(tmp_path):
    (tmp_path / "finished.json").write_text("{}")
    engine = Engine(lambda engine, batch: (tmp_path / "finished.json").exists())
    RunRecord(str(tmp_path)).attach(engine)
    seen = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.output))
    engine.run([0])
    assert seen == [False]


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
