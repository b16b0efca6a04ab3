"""The commands of `recon-monai`, one module each; they import what takes seconds only when they run."""

from __future__ import annotations

from recon_monai.commands.check import check
from recon_monai.commands.compare import compare
from recon_monai.commands.export import export
from recon_monai.commands.export_model import export_model
from recon_monai.commands.gallery import gallery
from recon_monai.commands.import_weights import import_dircn, import_fastmri, import_mdcsrn
from recon_monai.commands.prepare import prepare
from recon_monai.commands.release import release
from recon_monai.commands.repack import repack
from recon_monai.commands.report import report
from recon_monai.commands.tune_baseline import tune, tune_cg_sense, tune_l1_wavelet

__all__ = [
    "COMMANDS",
    "check",
    "compare",
    "export",
    "export_model",
    "gallery",
    "import_dircn",
    "import_fastmri",
    "import_mdcsrn",
    "prepare",
    "release",
    "repack",
    "report",
    "tune",
    "tune_cg_sense",
    "tune_l1_wavelet",
]

COMMANDS = {
    "check": check,
    "compare": compare,
    "export": export,
    "export_model": export_model,
    "gallery": gallery,
    "import_weights": {"dircn": import_dircn, "fastmri": import_fastmri, "mdcsrn": import_mdcsrn},
    "prepare": prepare,
    "release": release,
    "repack": repack,
    "report": report,
    "tune": tune,
    "tune_cg_sense": tune_cg_sense,
    "tune_l1_wavelet": tune_l1_wavelet,
}
"""Name on the command line to function, or to a dictionary of functions for a group of commands."""
