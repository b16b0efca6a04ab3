"""Networks as files of formats that run without this package, each checked against the network.

| format | sizes | runs with |
|---|---|---|
| ``torchscript`` | any | PyTorch (``torch.jit.load``), also from C++ |
| ``onnx`` | any | onnxruntime |
| ``torch_export`` | one | PyTorch (``torch.export.load``) |

Networks for k-space take it as real numbers ``(B, coil, H, W, 2)``, and a bool mask. A file reports no errors: where
the center of k-space was not sampled, it returns NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import nn

from recon_monai.networks.complex_pairs import complex_pairs
from recon_monai.networks.nets import MDCSRN
from recon_monai.networks.nets.reconstruction import ReconstructionNetwork
from recon_monai.optional import require

__all__ = ["TOLERANCE", "MaskKind", "ModelFormat", "as_torchscript", "check_model", "write_model"]

ModelFormat = Literal["torchscript", "onnx", "torch_export"]
MaskKind = Literal["columns", "any"]
Tensors = tuple[torch.Tensor, ...]

TOLERANCE = 1e-4
"""Largest relative difference between what a file computes and what its network does."""

_KSPACE_SIZES = ((1, 4, 48, 40), (1, 3, 33, 37), (2, 5, 64, 45), (1, 1, 50, 64), (1, 8, 31, 62))
_VOLUME_SIZES = ((1, 1, 16, 16, 16), (1, 1, 9, 11, 13), (2, 1, 17, 8, 12), (1, 1, 24, 15, 10), (1, 1, 8, 19, 21))
_OPSET = 18


class _KspaceForm(nn.Module):
    """Real k-space and mask to images; the form that is recorded."""

    def __init__(self, network: nn.Module, *, pairs: bool = False) -> None:
        super().__init__()
        self.network = network
        self.pairs = pairs

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.pairs:
            with complex_pairs():
                image = self.network(kspace, mask)
        else:
            image = self.network(kspace, mask)
        rows, columns = mask.shape[-2:]
        center = mask[:, :, rows // 2, columns // 2][..., None, None]
        return torch.where(center, image, torch.full_like(image, float("nan")))


class _VolumeForm(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)


class _ScriptedKspace(nn.Module):
    """What TorchScript keeps besides the recordings: which of them a mask needs, and what to do without a mask."""

    def __init__(self, columns: nn.Module, samples: nn.Module) -> None:
        super().__init__()
        self.columns = columns
        self.samples = samples

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if kspace.is_complex():
            kspace = torch.view_as_real(kspace)
        if kspace.dim() != 5 or kspace.size(4) != 2:
            raise ValueError("k-space must be complex (B, coil, H, W) or real (B, coil, H, W, 2)")
        if mask is None:
            sampled = (kspace != 0).any(dim=4).any(dim=1, keepdim=True)
            sampled = sampled | ~sampled.flatten(1).any(dim=1)[:, None, None, None]
            whole = sampled.any(dim=2, keepdim=True)
            mask = whole if bool((whole == sampled).all()) else sampled
        mask = mask != 0
        if mask.dim() != 4 or mask.size(1) != 1 or mask.size(3) != kspace.size(3):
            raise ValueError("mask must have the shape (B, 1, 1, W) or (B, 1, H, W) of k-space")
        if mask.size(2) == 1:
            return self.columns(kspace, mask)
        return self.samples(kspace, mask)


def as_torchscript(network: nn.Module) -> nn.Module:
    """Turn a network into a module that ``torch.jit.script`` takes, for all sizes.

    The network is recorded in evaluation mode; the module shares its weights.

    Args:
        network: a `ReconstructionNetwork`, called as ``module(kspace, mask=None)`` with k-space complex or real, or an
            `MDCSRN`, called as ``module(image)``.

    Returns:
        The module.

    Raises:
        ValueError: for other networks.
    """
    with _quiet(network):
        if not isinstance(network, ReconstructionNetwork):
            recorded = _trace(_VolumeForm(_known(network)), _example(network, _VOLUME_SIZES[1], "columns"))
            return _VolumeForm(recorded).eval()  # TorchScript takes no recording itself in place of a network
        form = _KspaceForm(network)
        columns, samples = (_trace(form, _example(network, _KSPACE_SIZES[2], kind)) for kind in get_args(MaskKind))
        return _ScriptedKspace(columns, samples).eval()


def write_model(
    network: nn.Module,
    path: str | Path,
    model_format: ModelFormat,
    *,
    mask: MaskKind = "columns",
    shape: Sequence[int] | None = None,
) -> None:
    """Write a network to a file, in evaluation mode.

    Args:
        network: a `ReconstructionNetwork` or an `MDCSRN`, on the CPU.
        path: the file, replaced if it exists.
        model_format: ``"torchscript"``, ``"onnx"`` or ``"torch_export"``.
        mask: of ONNX and torch.export: ``"columns"`` takes masks ``(B, 1, 1, W)``, ``"any"`` ``(B, 1, H, W)``.
            TorchScript takes both.
        shape: of torch.export, which keeps one size: of k-space without its parts, ``(B, coil, H, W)``, or of the
            volume ``(B, 1, D, H, W)``.

    Raises:
        ValueError: for another format, or a network that it cannot be offered for.
        ImportError: if ONNX is not installed.
    """
    if model_format not in get_args(ModelFormat):
        raise ValueError(f"unknown format {model_format!r}; use one of {', '.join(get_args(ModelFormat))}")
    if mask not in get_args(MaskKind):
        raise ValueError(f"unknown kind of masks {mask!r}; use one of {', '.join(get_args(MaskKind))}")
    if (model_format == "torch_export") != (shape is not None):
        raise ValueError(
            "the format torch_export needs a shape, as its files keep one size, and other formats take none"
        )
    writer = {"torchscript": _write_torchscript, "onnx": _write_onnx, "torch_export": _write_torch_export}[model_format]
    try:
        writer(_known(network), str(path), mask, shape)
    except (AttributeError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"the format {model_format} is not offered for {type(network).__name__}: {first}; use another format"
        ) from error


def check_model(
    network: nn.Module,
    path: str | Path,
    model_format: ModelFormat,
    *,
    mask: MaskKind = "columns",
    shape: Sequence[int] | None = None,
) -> dict[tuple[int, ...], float]:
    """Compare what a file computes with what the network does, on five sizes.

    Args:
        network: as for `write_model`.
        path: what this wrote.
        model_format: as for `write_model`.
        mask: as for `write_model`.
        shape: as for `write_model`; the comparison is on five inputs of this size.

    Returns:
        Relative difference (Euclidean norms) by size of the input, the largest of each size.

    Raises:
        ValueError: if one is above `TOLERANCE`, or the file computes no numbers.
    """
    run = _RUNNERS[model_format](str(path))
    sizes = _KSPACE_SIZES if isinstance(network, ReconstructionNetwork) else _VOLUME_SIZES
    found: dict[tuple[int, ...], float] = {}
    with _quiet(network):
        for seed, size in enumerate([tuple(shape)] * len(sizes) if shape is not None else sizes):
            given = _example(network, size, mask, seed)
            expected = network(*given)
            difference = float(torch.linalg.vector_norm(run(*given) - expected) / torch.linalg.vector_norm(expected))
            if not difference <= TOLERANCE:  # NaN too
                raise ValueError(
                    f"{path} differs from the network by {difference:.1e} for an input of size {size}, expected at "
                    f"most {TOLERANCE:.0e}; the format {model_format} is not offered for this {type(network).__name__}"
                )
            found[size] = max(found.get(size, 0.0), difference)
    return found


def _known(network: nn.Module) -> nn.Module:
    if not isinstance(network, ReconstructionNetwork | MDCSRN):
        raise ValueError(
            f"files of other formats can be made of networks from k-space to images and of MDCSRN, not of "
            f"{type(network).__name__}"
        )
    return network


@contextmanager
def _quiet(network: nn.Module) -> Any:
    """Evaluation mode without gradients, and without notes on what a recording does not keep, which is checked."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            for category in (torch.jit.TracerWarning, DeprecationWarning, UserWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        network.train(training)


def _example(network: nn.Module, size: Sequence[int], mask: MaskKind, seed: int = 0) -> Tensors:
    """Random input, larger towards the center of k-space."""
    generator = torch.Generator().manual_seed(seed)
    if not isinstance(network, ReconstructionNetwork):
        return (torch.rand(*size, generator=generator),)
    batch, _, height, width = size
    rows, columns = (torch.arange(n) - n // 2 for n in (height, width))
    sampled = (columns % 3 == 0) | (columns.abs() < 5)
    sampled = sampled.expand(batch, 1, 1, width)
    if mask == "any":
        sampled = (sampled & (rows % 2 == 0)[:, None]) | ((rows.abs() < 6)[:, None] & (columns.abs() < 5))
    decay = torch.exp(-(rows[:, None] / height).square() * 20 - (columns / width).square() * 20)
    kspace = torch.randn(*size, 2, generator=generator) * (decay * sampled)[..., None]
    return kspace, sampled.contiguous()


def _trace(form: nn.Module, example: Tensors) -> nn.Module:
    return cast(nn.Module, torch.jit.trace(form.eval(), example, check_trace=False))


def _write_torchscript(network: nn.Module, path: str, mask: MaskKind, shape: Sequence[int] | None) -> None:
    with _quiet(network):
        torch.jit.save(torch.jit.script(network), path)  # by way of as_torchscript


def _write_onnx(network: nn.Module, path: str, mask: MaskKind, shape: Sequence[int] | None) -> None:
    require("onnx", extra="export")
    require("onnxruntime", extra="export")
    if isinstance(network, ReconstructionNetwork):
        form: nn.Module = _KspaceForm(network, pairs=True)
        size: tuple[int, ...] = _KSPACE_SIZES[2]
        plane = {2: "height", 3: "width"}
        axes = {
            "kspace": {0: "batch", 1: "coils", **plane},
            "mask": {0: "batch", 3: "width"},
            "image": {0: "batch", **plane},
        }
        if mask == "any":
            axes["mask"][2] = "height"
    else:
        form, size = _VolumeForm(network), _VOLUME_SIZES[1]
        axes = {name: {0: "batch", 2: "depth", 3: "height", 4: "width"} for name in ("volume", "image")}
    with _quiet(network):
        # the exporter that goes by a recording: sizes stay free, where torch.export takes them as constants
        torch.onnx.export(
            form.eval(),
            _example(network, size, mask),
            path,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[name for name in axes if name != "image"],
            output_names=["image"],
            dynamic_axes=axes,
        )


def _write_torch_export(network: nn.Module, path: str, mask: MaskKind, shape: Sequence[int] | None) -> None:
    assert shape is not None
    form = _KspaceForm(network) if isinstance(network, ReconstructionNetwork) else _VolumeForm(network)
    with _quiet(network):
        torch.export.save(torch.export.export(form.eval(), _example(network, shape, mask)), path)


def _run_torchscript(path: str) -> Callable[..., torch.Tensor]:
    return torch.jit.load(path, map_location="cpu")


def _run_torch_export(path: str) -> Callable[..., torch.Tensor]:
    return torch.export.load(path).module()


def _run_onnx(path: str) -> Callable[..., torch.Tensor]:
    runtime = require("onnxruntime", extra="export")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda *given: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})[0]
    )


_RUNNERS: dict[str, Callable[[str], Callable[..., torch.Tensor]]] = {
    "torchscript": _run_torchscript,
    "onnx": _run_onnx,
    "torch_export": _run_torch_export,
}
