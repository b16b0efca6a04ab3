"""Whole networks."""

from __future__ import annotations

from recon_monai.networks.nets.varnet import Reconstruction, VarNet, VarNetCascade

__all__ = ["Reconstruction", "VarNet", "VarNetCascade"]
