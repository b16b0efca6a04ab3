from __future__ import annotations

import pytest
from ignite.engine import Engine
from monai.handlers import ValidationHandler

from recon_monai.handlers import FinalValidation, validation_due


class Counter:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def run(self, epoch: int) -> None:
        self.epochs.append(epoch)


@pytest.mark.parametrize(
    ("interval", "epochs", "expected"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5]), (2, 4, [2, 4]), (10, 3, [3])]
)
def test_the_last_epoch_is_always_validated_and_once(interval, epochs, expected):
    counter = Counter()
    trainer = Engine(lambda engine, batch: None)
    handler = ValidationHandler(interval=interval, epoch_level=True)
    handler.validator = counter
    handler.attach(trainer)
    FinalValidation(counter, interval).attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert counter.epochs == expected
    assert [epoch for epoch in range(1, epochs + 1) if validation_due(epoch, interval, epochs)] == expected
