"""What the tests of the bundle mdcsrn_wgan_gp have in common."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import torch

from recon_monai.networks import MDCSRN, load_weights

CONFIGS = "bundles/mdcsrn_wgan_gp/configs"

TINY_MDCSRN = {
    "network_def::blocks": 1,
    "network_def::units": 1,
    "network_def::growth": 2,
    "network_def::first_channels": 2,
    "window": 12,
}
"""The network; evaluation and inference take it too."""

TINY_TRAINING = {
    **TINY_MDCSRN,
    "critic_width": 2,
    "pretrain_steps": 4,
    "adversarial_steps": 12,
    "steps_per_epoch": 6,
    "critic_only_steps": 3,
    "critic_steps": 2,
    "extra_critic_every": 6,
    "extra_critic_steps": 2,
    "patch_size": 8,
    "val_recipes": ["isotropic2"],
    "num_workers": 0,
}

# turned about the first axis by a quarter of a right angle, the second one flipped
_TURN = np.array([[1, 0, 0], [0, -np.cos(0.4), -np.sin(0.4)], [0, -np.sin(0.4), np.cos(0.4)]])


def files(*names: str) -> str:
    """The option ``--config_file`` for a configuration of the bundle and overlays."""
    return str([f"{CONFIGS}/{name}.json" for name in names])


def tiny_mdcsrn(weights: str | Path) -> MDCSRN:
    """The network of `TINY_MDCSRN`, not by way of the bundle's configuration, with weights of a run."""
    return load_weights(MDCSRN(1, 1, 2, 2, residual=True), weights).eval()


def oblique(spacing: tuple[float, float, float], offset: tuple[float, float, float] = (3, -4, 5)) -> np.ndarray:
    """An affine with axes that are turned and flipped."""
    affine = np.eye(4)
    affine[:3, :3] = _TURN @ np.diag(spacing)
    affine[:3, 3] = offset
    return affine


def write_head(path: Path, seed: int, shape: tuple[int, int, int] = (16, 18, 14), affine: np.ndarray | None = None):
    """A bright ball in a bigger one, with noise, as 16-bit integers."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    inner = place - rng.uniform(-0.2, 0.2, 3)[:, None, None, None]
    values = 900.0 * ((place**2).sum(0) < 0.8) + 600 * ((inner**2).sum(0) < 0.2) + rng.normal(0, 10, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.abs(values).astype(np.int16), np.eye(4) if affine is None else affine), path)


def state_of(run: Path) -> dict:
    """The whole state of a run."""
    return torch.load(run / "last.pt", weights_only=True)
