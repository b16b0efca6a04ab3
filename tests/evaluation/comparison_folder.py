"""A small folder as `recon-monai compare` writes it, with images and numbers made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

METHODS = [
    {"name": "zero_filled", "kind": "classical", "detail": "inverse FFT", "weights": None, "tuned_on": None},
    {"name": "cg_sense", "kind": "classical", "detail": "CG", "weights": None, "tuned_on": "6 validation files"},
    {"name": "l1_wavelet", "kind": "classical", "detail": "FISTA", "weights": None, "tuned_on": "6 validation files"},
    {"name": "varnet", "kind": "bundle", "detail": "universal_varnet", "weights": "model.pt 1f2e", "tuned_on": None},
    {"name": "dircn", "kind": "bundle", "detail": "weighted_dircn", "weights": "model.pt 3a4b", "tuned_on": None},
    {"name": "small", "kind": "checkpoint", "detail": "one epoch", "weights": "epoch_1.pt", "tuned_on": None},
]
LEVELS = {"zero_filled": 0.12, "cg_sense": 0.06, "l1_wavelet": 0.05, "varnet": 0.03, "dircn": 0.035, "small": 0.08}
Volume = Callable[[int], np.ndarray]


def blocks(number: int) -> np.ndarray:
    """A volume (3, 24, 20) of a bright box."""
    volume = np.full((3, 24, 20), 0.05, np.float32)
    volume[:, 5 + number % 3 : 18, 4:15] = 0.8
    return volume


def write_comparison(
    folder: Path,
    *,
    files: int = 4,
    volume: Volume = blocks,
    degrade: Callable[[np.ndarray, float, int], np.ndarray] | None = None,
    maps: bool = True,
) -> Path:
    """Write simulated files of two groups, a raw file without reference, and a volume.

    The raw file has a failed row; "small" is a network behind the classical methods.
    """
    (folder / "images").mkdir(parents=True)
    degrade = degrade or _noisy
    rows: list[dict[str, Any]] = []
    for number in range(files):
        knee = number % 2 == 1
        case = {
            "file": f"{'knee' if knee else 'brain'}_{number:02d}.h5",
            "subject": f"s{number:02d}",
            "anatomy": "knee" if knee else "brain",
            "contrast": "CORPD" if knee else "AXT2",
            "data": "simulated",
            "acceleration": 8 if knee else 4,
        }
        rows += _case(folder, case, number, volume(number), degrade, maps=maps)
    raw = {"file": "raw.h5", "subject": "r", "anatomy": "brain", "contrast": "AXT1", "data": "raw", "acceleration": 4}
    rows += _case(folder, raw, files, volume(files), degrade, maps=False, reference=False)
    rows[-1] |= {"failure": "out of memory on 2 GB </script><b>", "seconds": None, "kspace_residual": None}
    with h5py.File(folder / rows[-1]["images"], "a") as file:
        del file["methods"][rows[-1]["method"]]
    thick = {"file": "sub-1.nii.gz", "subject": "v", "anatomy": "brain", "contrast": "T1w", "data": "volume"}
    rows += _case(
        folder, thick | {"acceleration": "truncated 2x2x1"}, files + 1, volume(files + 1), degrade, maps=False
    )
    content = {
        "notice": "Research use only, not for diagnosis.",
        "convention": "SSIM: 7x7 window, data range: maximum of the volume",
        "created": "2026-11-22T10:00:00",
        "versions": {"recon_monai": "0.1.0", "torch": "2.13.0"},
        "methods": METHODS,
        "rows": rows,
        "differences": _differences(rows),
    }
    (folder / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _noisy(volume: np.ndarray, level: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(volume.shape)
    return np.abs(volume + level * noise).astype(np.float32)


def _case(
    folder: Path,
    case: dict[str, Any],
    number: int,
    target: np.ndarray,
    degrade: Callable[[np.ndarray, float, int], np.ndarray],
    *,
    maps: bool,
    reference: bool = True,
) -> list[dict[str, Any]]:
    path = f"images/case_{number:02d}.h5"
    rows = []
    with h5py.File(folder / path, "w") as file:
        file.attrs.update(spacing=[5.0, 0.7, 0.7], first_slice=4, **{key: case[key] for key in ("file", "anatomy")})
        if reference:
            file["target"] = target
        for index, (name, base) in enumerate(LEVELS.items()):
            level = base * (1 + 0.3 * np.random.default_rng(100 * number + index).standard_normal() ** 2)
            image = degrade(target, level, number)
            file[f"methods/{name}"] = image
            if maps:
                file[f"residual/{name}"] = (0.1 * np.abs(image - target)).astype(np.float32)
                file[f"null_space/{name}"] = (0.7 * np.abs(image - target)).astype(np.float32)
                if name in ("varnet", "dircn"):
                    file[f"spread/{name}"] = np.abs(degrade(target, level, 99) - target).astype(np.float32)
            quality = {
                "ssim": 1 - 3 * level,
                "psnr": -20 * float(np.log10(level)),
                "nmse": level**2,
                "foreground_ssim": 1 - 4 * level,
                "sharpness": 1 - level,
                "null_space_error": 0.7 * level**2 if maps else None,
                "downstream": {"Dice": 1 - level} if maps else None,
            }
            none = dict.fromkeys(quality)
            curve = [0.2 * level, 0.6 * level, level]
            calibrated = {"spread": curve, "error": [2 * one for one in curve], "slope": 2.0, "rank_correlation": 0.4}
            rows.append(
                {
                    **case,
                    "effective_acceleration": 3.5,
                    "coils": 8,
                    "method": name,
                    **(quality if reference else none),
                    "seconds": 0.02 * 5 ** (index % 4) * (1 + 0.1 * (number % 5)),
                    "peak_memory_mb": 100.0 + 50 * index,
                    "kspace_residual": 0.1 * level,
                    "calibration": calibrated if maps and name in ("varnet", "dircn") else None,
                    "failure": None,
                    "images": path,
                }
            )
    return rows


def _differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    differences = []
    groups = dict.fromkeys(
        (row["anatomy"], row["acceleration"], row["contrast"]) for row in rows if row["data"] == "simulated"
    )
    for group in groups:
        of_group = [row for row in rows if (row["anatomy"], row["acceleration"], row["contrast"]) == group]
        for metric in ("ssim", "psnr", "nmse"):
            base = [row[metric] for row in of_group if row["method"] == "l1_wavelet"]
            for method in ("cg_sense", "varnet", "dircn", "small"):
                own = [row[metric] for row in of_group if row["method"] == method]
                gains = np.subtract(own, base)
                half = 2 * float(gains.std()) / len(gains) ** 0.5 + 1e-4
                differences.append(
                    {
                        "data": "simulated",
                        "group": f"{group[0]}, {group[1]}x, {group[2]}",
                        "metric": metric,
                        "method": method,
                        "base": "l1_wavelet",
                        "mean": float(gains.mean()),
                        "low": float(gains.mean()) - half,
                        "high": float(gains.mean()) + half,
                        "files": len(gains),
                        "subjects": len(gains),
                    }
                )
    return differences
