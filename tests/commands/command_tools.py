"""What tests of commands share."""

from __future__ import annotations

import pytest

from recon_monai.cli import main

__all__ = ["failure_of"]


def failure_of(command: str, caplog: pytest.LogCaptureFixture, *words: object) -> str:
    """The error that a command ends with.

    Args:
        command: its name, and that of a part of it after a space.
        caplog: keeps what is logged.
        words: the rest of the command line.

    Returns:
        The message.
    """
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), *map(str, words)])
    assert ended.value.code == 1
    return caplog.records[-1].getMessage()
