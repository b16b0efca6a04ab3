from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def typed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a command of the module's own `bundle`, without running it."""

    def set_command(*options: str, files: tuple[str, ...] = ("train",)) -> None:
        paths = str([str(bundle / "configs" / f"{name}.json") for name in files])
        monkeypatch.setattr("sys.argv", ["monai.bundle", "run", "training", "--config_file", paths, *options])

    set_command()
    return set_command
