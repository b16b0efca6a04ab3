"""`recon-monai export-model`: the network of a bundle as a file that runs without this package."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from recon_monai.networks.model_files import MaskKind, ModelFormat

__all__ = ["export_model"]

logger = logging.getLogger(__name__)


def export_model(
    bundle: str,
    *,
    format: str,
    output: str,
    ckpt: str | None = None,
    overlays: str | Sequence[str] | None = None,
    mask: str = "columns",
    shape: Sequence[int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write the network of a bundle as TorchScript, ONNX or torch.export, and check it against the network.

    On five sizes, odd ones among them, what the file computes may differ from the network by at most 1e-4 (relative,
    float32); if it does by more, no file is left. K-space goes in as real numbers (B, coil, H, W, 2), with a bool mask.

    Examples:
        recon-monai export-model bundles/weighted_dircn --format torchscript --output model.ts
        recon-monai export-model bundles/universal_varnet --format onnx --output model.onnx
        recon-monai export-model bundles/mdcsrn_wgan_gp --format torch_export
            --output model.pt2 --shape "[1,1,64,64,64]"

    Args:
        bundle: the bundle's folder.
        format: torchscript, onnx or torch_export.
        output: the file to write.
        ckpt: weights; without it models/model.pt of the bundle.
        overlays: configuration files over inference.json, a name or a list, for example of imported weights.
        mask: of ONNX and torch_export: columns takes masks (B, 1, 1, W), any (B, 1, H, W). TorchScript takes both.
        shape: of torch_export, whose files keep one size: [B, coil, H, W] of k-space, [B, 1, D, H, W] of a volume.
        overwrite: replace a file that exists.
    """
    from recon_monai.data import atomic_path
    from recon_monai.networks.model_files import check_model, write_model

    if isinstance(output, bool) or not isinstance(overwrite, bool):
        raise ValueError("expected --output FILE, and --overwrite without a value")
    target = Path(str(output))
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; give --overwrite to replace it, or another --output")
    sizes = _sizes(shape)
    network = _network(Path(str(bundle)), ckpt, overlays)
    options: dict[str, Any] = {"mask": cast("MaskKind", str(mask)), "shape": sizes}
    kind = cast("ModelFormat", str(format))
    with atomic_path(target) as temporary:
        write_model(network, temporary, kind, **options)
        found = check_model(network, temporary, kind, **options)
    logger.info("%s: %s, %.1f MB", target, kind, target.stat().st_size / 1e6)
    for size, difference in found.items():
        logger.info("  input %s: relative difference %.1e", " x ".join(map(str, size)), difference)
    logger.info("Research use only, not for diagnosis.")


def _sizes(shape: Any) -> tuple[int, ...] | None:
    if shape is None:
        return None
    if not isinstance(shape, list | tuple) or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f'--shape is {shape!r}, expected positive integers, for example "[1,4,320,320]"')
    return tuple(shape)


def _network(bundle: Path, ckpt: str | None, overlays: str | Sequence[str] | None) -> Any:
    """The network of the bundle's inference with weights, on the CPU."""
    from monai.bundle import ConfigParser

    from recon_monai.networks import adopt_anatomies, load_weights

    config = bundle / "configs" / "inference.json"
    given = [] if overlays is None else [overlays] if isinstance(overlays, str) else [str(file) for file in overlays]
    for file in (config, *map(Path, given)):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: there is no such file, expected a configuration of a bundle")
    weights = Path(str(ckpt)) if ckpt is not None else bundle / "models" / "model.pt"
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: there are no such weights; give those of a training with --ckpt FILE")
    parser = ConfigParser()
    parser.read_config([str(config), *given])
    network = parser.get_parsed_content("network_def")
    return load_weights(adopt_anatomies(network, weights), weights).eval()
