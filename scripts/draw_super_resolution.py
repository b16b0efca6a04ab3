"""Draw a picture of docs/results_super_resolution.md: interpolation, weights of mdcsrn_wgan_gp and target side by side.

    python scripts/draw_super_resolution.py DATA PICTURE --file NAME --weights pretrained=FILE adversarial=FILE

Run in the root of the repository. A block out of the middle of one test volume, as evaluation would see it; two rows
for each recipe, the images and their errors, by PSNR and SSIM of the block.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser

from recon_monai.handlers.image_panels import save_picture
from recon_monai.handlers.pictures import choose_window, color_error, contact_sheet, panel, panel_boxes
from recon_monai.metrics import quality_3d
from recon_monai.networks import load_weights

CONFIG = Path("bundles/mdcsrn_wgan_gp/configs/evaluate.json")
SHOWN = ("trilinear", "sinc")
ERROR_SCALE = 5.0


def main() -> None:
    """Draw what the command line says."""
    arguments = read_arguments()
    sheets = [sheet for recipe in arguments.recipes for sheet in draw(arguments, recipe)]
    save_picture(arguments.picture, contact_sheet(sheets))
    print(f"{arguments.picture}: {arguments.picture.stat().st_size / 1000:.0f} kB")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of volumes, split by subject")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--file", required=True, help="name of a test volume")
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME=FILE", help="what is compared")
    parser.add_argument("--recipes", nargs="+", default=["isotropic2", "thick4mm"], help="of low resolution")
    parser.add_argument("--size", type=int, default=120, help="voxels of the block along each axis")
    parser.add_argument("--axis", type=int, default=0, help="the plane shown lies across this axis")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arguments.weights = dict(text.split("=", 1) for text in arguments.weights)
    torch.set_num_threads(arguments.threads)
    return arguments


def draw(arguments: argparse.Namespace, recipe: str) -> list[np.ndarray]:
    """Images and errors of one recipe.

    Args:
        arguments: of the command line.
        recipe: its name.

    Returns:
        Two pictures, uint8 RGB.
    """
    volumes = reconstruct(arguments, recipe)
    target = volumes["target"]
    found = {name: quality_3d(prediction=one, target=target) for name, one in volumes.items() if name != "target"}
    captions = {name: f"PSNR {one['psnr']:.2f} dB   SSIM {one['ssim']:.4f}" for name, one in found.items()}
    plane = target.shape[arguments.axis] // 2
    images = {name: one.select(arguments.axis, plane).numpy().T[::-1] for name, one in volumes.items()}
    window = choose_window(images["target"])
    titled = f"{arguments.file}   ·   {recipe}"
    errors = {f"error of {name}": np.abs(one - images["target"]) for name, one in images.items() if name != "target"}
    high = window[1] / ERROR_SCALE
    return [
        panel(images, title=titled, captions=captions, window=window, error_of=""),
        _error_row(errors, f"{recipe}: errors times {ERROR_SCALE:g} in the same window", high),
    ]


def reconstruct(arguments: argparse.Namespace, recipe: str) -> dict[str, torch.Tensor]:
    """The same block of each method and of the target, ``(D, H, W)``.

    Args:
        arguments: of the command line.
        recipe: of low resolution.
    """
    config = ConfigParser()
    config.read_config(str(CONFIG))
    config.update({"dataset_dir": str(arguments.data), "test_recipes": [recipe], "baselines": list(SHOWN)})
    dataset = config.get_parsed_content("dataset")
    places = [index for index, entry in enumerate(dataset.data) if Path(entry["file"]).name == arguments.file]
    if not places:
        raise SystemExit(
            f"{arguments.file} is no test volume of {arguments.data}; those are "
            f"{', '.join(sorted({Path(entry['file']).name for entry in dataset.data}))}"
        )
    item = config.get_parsed_content("postprocessing")(dataset[places[0]])
    block = _middle(item["image"].shape[1:], arguments.size)
    volumes = {name: _cut(item[name], block) for name in SHOWN}
    for name, file in arguments.weights.items():
        network = load_weights(config.get_parsed_content("network_def"), file).eval()
        with torch.inference_mode():
            volumes[name] = network(_cut(item["image"], block)[None, None])[0, 0]
    return {**volumes, "target": _cut(item["target"], block)}


def _middle(shape: Any, size: int) -> tuple[slice, ...]:
    starts = [max((length - size) // 2, 0) for length in shape]
    return tuple(slice(start, start + size) for start in starts)


def _cut(image: Any, block: tuple[slice, ...]) -> torch.Tensor:
    return torch.as_tensor(image)[0][block].float()


def _error_row(errors: dict[str, np.ndarray], title: str, high: float) -> np.ndarray:
    """A row of error maps in the places of the images above."""
    empty = {name: np.zeros_like(error) for name, error in errors.items()}
    canvas = panel(empty, title=title, window=(0.0, high), error_of="")
    height, width = next(iter(errors.values())).shape
    for box, error in zip(panel_boxes(len(errors), height, width), errors.values(), strict=True):
        factor = (box.bottom - box.top) // height
        canvas[box.top : box.bottom, box.left : box.right] = np.kron(
            color_error(error, high), np.ones((factor, factor, 1), np.uint8)
        )
    return canvas


if __name__ == "__main__":
    main()
