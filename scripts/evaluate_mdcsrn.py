"""Quality of a generator on the test volumes, for the comparison of `scripts/ablation.py`.

    python scripts/evaluate_mdcsrn.py FOLDER SETTINGS

SETTINGS is JSON: ``dataset_dir`` (a copy by `ablation_parts.volume_data`), ``weights``, ``network`` (sizes of `MDCSRN`)
and ``window``. FOLDER gets ``volumes.csv``, a row for each volume; ``patches.npz``, the middle of one slice of the
first volume of each recipe: low resolution, output and target; and ``finished.json``.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from ablation_parts.measuring import write_json
from ablation_parts.volume_data import DESCRIPTION, block_of, measure_volume

from recon_monai.data import VolumeDataset, atomic_path
from recon_monai.evaluation.tables import csv_text
from recon_monai.inferers import SeamlessInferer
from recon_monai.networks import MDCSRN, load_weights

PATCH = 64


def main() -> None:
    """Evaluate as the command line says."""
    signal.signal(signal.SIGTERM, _stop)
    evaluate(Path(sys.argv[1]), json.loads(sys.argv[2]))


def evaluate(folder: Path, settings: dict[str, Any]) -> None:
    """Measure all test volumes.

    Args:
        folder: of the results.
        settings: see the script.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = MDCSRN(*settings["network"], residual=True)
    network = load_weights(network, settings["weights"]).to(device).eval()
    inferer = SeamlessInferer(settings["window"], network_device=device)
    source = Path(settings["dataset_dir"])
    factors = json.loads((source / DESCRIPTION).read_text())["factors"]
    data = VolumeDataset(source, "test", layout="paired", cache=False)
    rows: list[dict[str, Any]] = []
    patches: dict[str, np.ndarray] = {}
    for entry in data.data:
        item = data.load(entry)
        image, target = (torch.as_tensor(item[key]) for key in ("image", "target"))
        with torch.no_grad():
            output = inferer(image[None], network)[0]
        recipe = Path(entry["file"]).stem.rpartition("_")[2]
        found = measure_volume(output[0], target[0], factors[entry["file"]])
        rows.append({"file": entry["file"], "subject": entry["subject"], "recipe": recipe, **found})
        print(json.dumps(rows[-1]), flush=True)
        shown = {"input": image, "output": output, "target": target}
        for name, volume in shown.items():
            patches.setdefault(f"{recipe}/{name}", _patch(volume[0]))
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "volumes.csv") as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8")
    with atomic_path(folder / "patches.npz") as temporary, temporary.open("wb") as stream:
        np.savez(stream, **patches)  # type: ignore[arg-type]
    write_json(folder / "finished.json", {"volumes": len(rows)})


def _patch(volume: torch.Tensor) -> np.ndarray:
    """Middle of the slice in the middle of the third axis, the second axis upwards."""
    middle = volume[:, :, volume.shape[2] // 2]
    return middle[block_of(middle.shape, PATCH)].T.flip(0).numpy().astype(np.float32)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
