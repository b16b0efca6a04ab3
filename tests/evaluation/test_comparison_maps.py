"""Maps in the image files of a comparison come back as they were written, and only where they fit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon_monai.evaluation import write_comparison_map
from recon_monai.physics import center_crop_or_pad

SHAPE = (3, 6, 7)


def test_maps_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {kind: rng.random(SHAPE) for kind in ("residual", "null_space", "spread")}
    whole = torch.from_numpy(rng.random((3, 1, 11, 10)))
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        for method in ("net", "cg"):
            file[f"methods/{method}"] = np.zeros(SHAPE, np.float32)
        for kind, image in maps.items():
            write_comparison_map(file, kind, "net", image)
        write_comparison_map(file, "spread", "cg", whole)
    with h5py.File(path) as file:
        for kind, image in maps.items():
            assert file[kind]["net"].dtype == np.float32
            np.testing.assert_array_equal(file[f"{kind}/net"], image.astype(np.float32))
        expected = center_crop_or_pad(whole[:, 0], SHAPE[1:]).float().numpy()
        np.testing.assert_array_equal(file["spread/cg"], expected)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    image = np.ones(SHAPE)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["methods/net"] = np.zeros(SHAPE, np.float32)
        with pytest.raises(ValueError, match="kind is 'error', expected one of"):
            write_comparison_map(file, "error", "net", image)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"there is no methods/other in .*images\.h5"):
            write_comparison_map(file, "spread", "other", image)
        for bad in (image[:2], image[:, 1:], image[0]):
            with pytest.raises(ValueError, match=r"spread/net has shape .*, expected .*\(3, 6, 7\)"):
                write_comparison_map(file, "spread", "net", bad)
        for bad in (-image, image * np.nan, image * 1j):
            with pytest.raises(ValueError, match="complex, negative or not finite"):
                write_comparison_map(file, "spread", "net", bad)
        assert "spread" not in file
        write_comparison_map(file, "spread", "net", image)
        with pytest.raises(ValueError, match="has spread/net already"):
            write_comparison_map(file, "spread", "net", image)
