from __future__ import annotations

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon_monai import distributed
from recon_monai.handlers import CurveWriter


def steps(folder) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


def test_nothing_is_written_until_something_is_drawn(tmp_path):
    writer = CurveWriter(tmp_path / "run")
    writer.flush()
    writer.close()
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_hides_what_it_draws_again(tmp_path):
    first = CurveWriter(tmp_path)
    for step in range(1, 8):
        first.add_scalar("loss", 1.0, step)
    first.add_image("picture", np.zeros((4, 4, 3), dtype=np.uint8), 1, dataformats="HWC")
    first.close()
    second = CurveWriter(tmp_path)
    second.continue_after(4)
    for step in range(5, 9):
        second.add_scalar("loss", 2.0, step)
    second.close()
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    writer = CurveWriter(tmp_path / "run")
    writer.add_scalar("loss", 1.0, 1)
    writer.close()
    assert not (tmp_path / "run").exists()
