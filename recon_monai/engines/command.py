"""The first thing a bundle's command does."""

from __future__ import annotations

from recon_monai.engines.command_line import configuration_files
from recon_monai.engines.errors import show_plain_errors
from recon_monai.engines.overrides import check_overrides

__all__ = ["begin_command"]


def begin_command() -> None:
    """Check the command line, and let bad data and settings end it with one line. First entry of ``initialize``.

    Does nothing where the bundle is run from Python.

    Raises:
        UnknownOptionError: if an option is no id of the configuration, or nothing there uses it.
    """
    if configuration_files():
        show_plain_errors()
        check_overrides()
