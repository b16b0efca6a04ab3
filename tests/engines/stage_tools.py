"""What the tests of trainings in stages have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ignite.engine import Engine
from monai.bundle import ConfigParser

from recon_monai.engines.command_line import overrides
from recon_monai.handlers import RunRecord


class Workflow:
    """Stands in for MONAI's workflow of a stage, and leaves what a training leaves.

    Attributes:
        commands: what the commands of the stages changed, in their order; of all workflows.
    """

    commands: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, config_file: list[str], run_id: str, **options: Any) -> None:
        self.parser = ConfigParser()
        self.parser.read_config(config_file)
        for name, value in options.items():
            self.parser[name] = value

    def run(self) -> None:
        """Leave the files."""
        Workflow.commands.append(overrides())
        folder = Path(self.parser["output_dir"])
        files = {part: self.parser[f"{part}::dataset::files"] for part in ("train", "validate")}
        record = RunRecord(
            str(folder), files["train"], resume=self.parser["resume"], validation_files=files["validate"]
        )
        trainer = Engine(lambda engine, batch: (folder / "last.pt").write_text("state"))
        record.attach(trainer)
        trainer.run([0])
        (folder / "model.pt").write_text("weights")
