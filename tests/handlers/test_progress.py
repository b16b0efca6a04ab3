"""Progress over a whole run, and epochs told to transforms."""

from __future__ import annotations

import pytest
from ignite.engine import Engine
from monai.data import Dataset
from monai.transforms import Compose

from recon_monai.handlers.epoch import EpochNotifier
from recon_monai.handlers.progress import TrainingProgress
from recon_monai.physics import RandomMask
from recon_monai.transforms import Undersampled


def test_bar_counts_all_epochs_and_shows_the_loss(capsys):
    engine = Engine(lambda engine, batch: {"loss": 0.25})
    bar = TrainingProgress()
    bar.attach(engine)
    engine.run([0, 1, 2], max_epochs=2)
    assert bar._bar.n == bar._bar.total == 6
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "loss=0.2500" in shown


def test_bar_is_closed_and_the_error_kept_when_training_breaks(capsys):
    def step(engine, batch):
        raise FloatingPointError("nan")

    engine = Engine(step)
    bar = TrainingProgress()
    bar.attach(engine)
    with pytest.raises(FloatingPointError):
        engine.run([0])
    assert bar._bar.disable, "a closed tqdm bar disables itself"


def test_epochs_are_told_before_the_first_item():
    transform = Undersampled(RandomMask([0.1], [2]), random=True)
    seen = []
    engine = Engine(lambda engine, batch: seen.append(transform.epoch))
    EpochNotifier(Dataset([0], Compose([transform]))).attach(engine)
    engine.run([0, 1], max_epochs=3)
    assert seen == [1, 1, 2, 2, 3, 3]
