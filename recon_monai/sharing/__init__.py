"""Bundles for others: exported folders and zips, and the rules they keep."""

from __future__ import annotations

from recon_monai.sharing.bundle_folder import ExportedBundle, export_bundle
from recon_monai.sharing.bundle_version import raised, version_faults
from recon_monai.sharing.code_identity import check_code, code_digest
from recon_monai.sharing.large_files import FILE_LIMIT
from recon_monai.sharing.metadata_rules import SCHEMA, metadata_faults
from recon_monai.sharing.path_check import check_no_machine_paths, machine_paths
from recon_monai.sharing.requirements import requirement_lines

__all__ = [
    "FILE_LIMIT",
    "SCHEMA",
    "ExportedBundle",
    "check_code",
    "check_no_machine_paths",
    "code_digest",
    "export_bundle",
    "machine_paths",
    "metadata_faults",
    "raised",
    "requirement_lines",
    "version_faults",
]
