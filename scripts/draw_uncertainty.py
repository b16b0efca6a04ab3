"""Make the example of docs/uncertainty.md: one slice of the built-in set, its spreads, calibration and null space.

Run in the root of the repository (some minutes on two cores; needs the extras demo, baselines and report):

    python scripts/draw_uncertainty.py [FOLDER]

It writes uncertainty.png and uncertainty_calibration.png into the folder (docs) and prints the tables of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recon_monai.data import FastMRISliceDataset, built_in_dataset
from recon_monai.evaluation import (
    Calibration,
    CGSense,
    NullSpaceError,
    Spread,
    calibration,
    calibration_figure,
    coil_combination,
    downstream_check,
    espirit_maps,
    estimate_noise,
    kspace_residual,
    mask_bootstrap,
    noise_bootstrap,
    noise_ratio,
    null_space_error,
    zero_filled,
)
from recon_monai.metrics import psnr, sharpness, ssim
from recon_monai.networks import NormUNet, SensitivityNetwork, UniversalVarNet, adopt_anatomies, load_weights
from recon_monai.optional import require
from recon_monai.physics import EquispacedFractionMask, correlated_noise, keyed_generator
from recon_monai.transforms import Undersampled

WEIGHTS = "bundles/universal_varnet/models/model.pt"
FILE, SLICE, ACCELERATION = "brain-10_AXT2.h5", 5, 4
REPLICAS, KEEP, WEIGHT, LOUDER = 16, 0.8, 0.01, 4.0
Net = Callable[[Tensor, Tensor], Tensor]


class Result(NamedTuple):
    """What there is of one method on one acquisition."""

    image: Tensor
    spreads: dict[str, Spread]
    calibrations: dict[str, Calibration]


def load() -> dict[str, Any]:
    """The slice, undersampled by its name, with its complete k-space."""
    data = FastMRISliceDataset([Path(built_in_dataset()) / FILE], accelerations=[ACCELERATION])
    item = data[SLICE]
    complete = item["kspace"].clone()
    return {**Undersampled(EquispacedFractionMask([0.08], [ACCELERATION]))(item), "complete": complete}


def network() -> UniversalVarNet:
    """The shipped one."""
    net = UniversalVarNet(
        ["brain"],
        8,
        sensitivity_network=SensitivityNetwork(4, 4),
        refinement=partial(NormUNet, 9, 4),
    )
    return load_weights(adopt_anatomies(net, WEIGHTS), WEIGHTS).eval()


def methods(net: UniversalVarNet) -> dict[str, Net]:
    """By their names on the page."""
    return {
        "zero-filled": lambda kspace, mask: zero_filled(kspace),
        "CG-SENSE": CGSense(0.01, 10, "calibration"),
        "universal_varnet": net,
    }


def bootstrap(name: str, net: Net, kspace: Tensor, mask: Tensor, target: Tensor, covariance: Tensor) -> Result:
    """Image, spreads and how well they predict the error."""
    with torch.no_grad():
        image = net(kspace[None], mask[None])[0]
    options: dict[str, Any] = {"replicas": REPLICAS, "key": (FILE, SLICE), "progress": True}
    noise = noise_bootstrap(net, kspace, mask, covariance=covariance, **options)
    lines = mask_bootstrap(net, kspace, mask, keep=KEEP, **options)
    both = Spread(image, torch.hypot(noise.std, lines.std), REPLICAS)
    spreads = {"noise": noise, "lines": lines, "both": both}
    return Result(
        image,
        spreads,
        {kind: calibration(spread=one.std, prediction=image, target=target) for kind, one in spreads.items()},
    )


def print_calibrations(title: str, results: dict[str, Result]) -> None:
    """A table of the page."""
    print(f"\n{title}\n")
    print("| method | spread of | slope | rank correlation | within 1 spread | within 2 | calibration error |")
    print("|---|---|---|---|---|---|---|")
    for name, result in results.items():
        for kind, one in result.calibrations.items():
            slope, rank = one.curve.slope, one.rank_correlation
            shares = f"{one.coverage_1:.0%} | {one.coverage_2:.0%} | {one.curve.relative_calibration_error:.2f}"
            print(f"| {name} | {kind} | {slope:.2f} | {rank:.2f} | {shares} |")


def consistency(item: dict[str, Any], net: UniversalVarNet, results: dict[str, Result]) -> dict[str, NullSpaceError]:
    """Residuals, null space and downstream check: a table of the page; the parts of the picture."""
    kspace, mask, target = item["kspace"], item["mask"], item["target"]
    maps = espirit_maps(item["complete"], torch.ones_like(mask))
    truth = coil_combination(item["complete"], maps)
    covariance = estimate_noise(item["complete"], torch.ones_like(mask)).covariance
    print(f"\nresidual that noise alone gives: {noise_ratio(kspace, mask, covariance):.3f}\n")
    print("| method | SSIM | PSNR | sharpness | residual | null space / target | share of the error | bright: Dice |")
    print("|---|---|---|---|---|---|---|---|")
    parts = {}
    spacing = item["voxel_size"][[2, 0, 1]].tolist()
    for name, result in results.items():
        residual = kspace_residual(result.image, kspace, mask, maps, phase=truth)
        part = parts[name] = null_space_error(result.image, truth, mask, maps, weight=WEIGHT)
        pair = {"prediction": result.image, "target": target}
        dice = downstream_check(**pair, spacing=spacing)["target_thresholds"]["bright"]["dice"]
        print(
            f"| {name} | {ssim(**pair):.3f} | {psnr(**pair):.1f} | {sharpness(**pair, axes=(1, 2)):.2f} | "
            f"{residual.ratio:.3f} | {part.ratio:.3f} | {part.share:.0%} | {dice:.3f} |"
        )
    with torch.no_grad():
        coil_images = net.reconstruct(kspace[None], mask[None]).coil_images[0]
    print(f"\nresidual of universal_varnet's own coil images: {kspace_residual(coil_images, kspace, mask).ratio:.3f}")
    for weight, iterations in ((0.0, 10), (0.0, 100), (0.0, 1000), (0.1, 200), (0.01, 200), (0.001, 500)):
        found = null_space_error(
            results["universal_varnet"].image, truth, mask, maps, weight=weight, iterations=iterations, tolerance=1e-5
        )
        print(f"weight {weight:g}, {iterations} steps: share {found.share:.3f}, remainder {found.remainder:.1e}")
    return parts


def draw(path: Path, target: Tensor, results: dict[str, Result], parts: dict[str, NullSpaceError]) -> None:
    """Image, error, spreads and null space of each method; all but the image on one scale."""
    figure = require("matplotlib.figure", extra="report").Figure(figsize=(11, 7.4), layout="constrained")
    axes = figure.subplots(len(results), 5)
    top = float(target.max())
    for row, (name, result) in zip(axes, results.items(), strict=True):
        error = (result.image - target).abs()
        spreads = [result.spreads[kind].std for kind in ("noise", "lines")]
        panels = [result.image, error, *spreads, parts[name].image]
        titles = [
            "image",
            "|error|",
            "spread by noise",
            f"spread by lines ({KEEP:.0%} kept)",
            "error in the null space",
        ]
        for place, panel, title in zip(row, panels, titles, strict=True):
            is_image = title == "image"
            shown = place.imshow(
                panel[0], cmap="gray" if is_image else "magma", vmin=0, vmax=top if is_image else top / 10
            )
            place.set(xticks=[], yticks=[])
            place.set_title(title, fontsize=9)
        row[0].set_ylabel(name, fontsize=10)
        figure.colorbar(shown, ax=row[-1], fraction=0.05)
    figure.supxlabel("simulated; research use only, not for diagnosis", fontsize=8)
    figure.savefig(path, dpi=80)


def main(folder: Path) -> None:
    """Everything."""
    item = load()
    kspace, mask, target = item["kspace"], item["mask"], item["target"]
    net = network()
    found = estimate_noise(kspace, mask)
    level = (float(found.covariance.diagonal().real.mean()) / 2) ** 0.5
    print(f"noise: {level:.4g} in real and imaginary part; the volume's maximum is {item['maximum']:.4g}")
    print(f"estimated from {found.samples} samples, trend {found.trend:.2f}")
    results = {name: bootstrap(name, one, kspace, mask, target, found.covariance) for name, one in methods(net).items()}
    print_calibrations("As it is: the target shares the noise of the measured samples", results)
    parts = consistency(item, net, results)
    # noise that is in the samples and not in the target
    covariance = LOUDER**2 * found.covariance
    noisy = kspace + mask * correlated_noise(kspace.shape, covariance, keyed_generator("louder"))
    louder = {
        name: bootstrap(name, one, noisy, mask, target, covariance + found.covariance)
        for name, one in methods(net).items()
    }
    print_calibrations(f"With {LOUDER:g} times the noise, of which the target has none", louder)
    draw(folder / "uncertainty.png", target, results, parts)
    curves = dict(results["universal_varnet"].calibrations)
    curves["noise, noisier scan"] = louder["universal_varnet"].calibrations["noise"]
    curves["both, noisier scan"] = louder["universal_varnet"].calibrations["both"]
    calibration_figure(curves, folder / "uncertainty_calibration.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
