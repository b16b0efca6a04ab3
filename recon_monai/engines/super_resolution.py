"""From a NIfTI file or DICOM series to a super-resolved volume on an exact grid, with a record of what was done."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recon_monai import RESEARCH_NOTICE, __version__
from recon_monai.data import InputVolume, VolumeInput, atomic_path, contrast_of, find_inputs, write_volume
from recon_monai.engines.super_resolution_domain import (
    differences_from_training,
    differences_of_preparation,
    read_domain,
    uncompared_contrast,
    uncompared_resolution,
)
from recon_monai.inferers import SeamlessInferer
from recon_monai.networks.precision import bfloat16_autocast
from recon_monai.physics import Grid, kspace_support, resample_to_grid
from recon_monai.transforms.scaling import ScaleToReferenced

__all__ = ["SuperResolution", "SuperResolver", "output_grid"]

Interpolation = Literal["fourier", "linear", "cubic"]
Outside = Literal["refuse", "warn"]
Inferer = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]

_ROUNDING = 1e-6
_FULL = 0.9  # support above which a volume counts as having the resolution of its voxels
_EDGE_KNOWN_TO = 0.05  # of Nyquist
_JUDGED_FROM = 16  # samples along an axis; fewer show no interpolation
_NEGATIVE = 0.02  # of the intensity scale; interpolation overshoots by less below zero
_SIGNED = 1e-3  # share of voxels below that

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SuperResolution:
    """What was written for one volume.

    Args:
        image: ``<name>_sr.nii.gz``.
        difference: ``<name>_difference.nii.gz``, the image minus plain interpolation.
        record: ``<name>.json``.
        warnings: what speaks against trusting the image, as in the record.
    """

    image: Path
    difference: Path
    record: Path
    warnings: tuple[str, ...]


class SuperResolver:
    """Super-resolve volumes as they come from a site. Research use only, not for diagnosis.

    A volume is interpolated to the grid asked for, divided by its robust maximum, given to the network window by
    window, and multiplied again. Nothing is reoriented: the output has the axes of the input and lies exactly where the
    input's header says. A generator draws detail that was likely in its training set; what it added to plain
    interpolation is written beside the image, and volumes unlike the training set are refused.

    Args:
        network: makes an image ``(n, 1, d, h, w)`` of an interpolated one; set to evaluation, on its own device.
        weights: the file its weights came from, beside which lies the record of their training; None for a network
            without record.
        inferer: runs the network over a volume; None for ``SeamlessInferer`` with a progress bar.
        interpolation: to the new grid: ``"fourier"``, ``"linear"`` or ``"cubic"``. None takes that of the training's
            record, else ``"fourier"``, the zero-filling that generators are commonly trained on.
        scale: see ``ScaleToReferenced``. None takes that of the training's record, else ``"percentile"``.
        percentile: see ``ScaleToReferenced``. None takes that of the training's record, else 99.9.
        outside: what to do with volumes whose spacing, resolution or contrast was never trained: ``"refuse"`` or
            ``"warn"``.
        amp: run the network in bfloat16; an inferer that does so by itself is left to it.

    Raises:
        ValueError: if a setting is unknown, or the record of the weights is damaged.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | Path | None = None,
        inferer: Inferer | None = None,
        interpolation: Interpolation | None = None,
        scale: Literal["percentile", "maximum"] | float | None = None,
        percentile: float | None = None,
        outside: Outside = "refuse",
        amp: bool = False,
    ) -> None:
        if outside not in ("refuse", "warn"):
            raise ValueError(f"outside is {outside!r}, expected 'refuse' or 'warn'")
        self.network = network.eval()
        parameter = next(network.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        self.weights = None if weights is None else Path(weights)
        self.domain = None if weights is None else read_domain(weights)
        self.inferer = SeamlessInferer(network_device=self.device, progress=True) if inferer is None else inferer
        self.interpolation: Interpolation = interpolation or (self.domain or {}).get("interpolation") or "fourier"
        if self.interpolation not in ("fourier", "linear", "cubic"):
            raise ValueError(f"interpolation is {self.interpolation!r}, expected 'fourier', 'linear' or 'cubic'")
        known = self.domain or {}
        self.scaling = ScaleToReferenced(
            ["image"],
            reference="image",
            scale=known.get("scale", "percentile") if scale is None else scale,
            percentile=(known.get("percentile") or 99.9) if percentile is None else percentile,
        )
        self.outside = outside
        self.amp = amp

    def run(
        self,
        inputs: str | Path | Sequence[str | Path | VolumeInput],
        output_dir: str | Path,
        *,
        target_spacing: float | Sequence[float] | None = None,
        factor: float | Sequence[float] | None = None,
        contrast: str | None = None,
        frame: int | None = None,
        series: str | None = None,
        overwrite: bool = False,
    ) -> list[SuperResolution]:
        """Super-resolve files.

        A volume that cannot be used does not keep the others from being done.

        Args:
            inputs: NIfTI files, folders of them, DICOM files and folders of series, or patterns; or what
                ``recon_monai.data.find_inputs`` found.
            output_dir: folder of the results; made when needed.
            target_spacing: voxel size of the output in mm, exactly; one number or one per axis of the file.
            factor: or how many times finer the grid becomes, over exactly the same field of view.
            contrast: of all inputs, such as ``"T1"``, in any case; None reads it from file names and series'
                descriptions.
            frame: which volume of 4-D files, or image of each position of a DICOM series; not for found inputs.
            series: regular expression that the description of a DICOM series has to match; not for found inputs.
            overwrite: replace results that are there.

        Returns:
            What was written, in the order of the inputs.

        Raises:
            FileNotFoundError: if an input matches no file.
            ValueError: if settings are wrong or volumes could not be used; the message has a line for each.
        """
        sources = _sources(inputs, frame, series)
        _one_of("target_spacing", target_spacing, "factor", factor, sources)
        done, problems = [], []
        for source in sources:
            try:
                files = self._files(source, Path(output_dir), overwrite)
                done.append(self._one(source, files, target_spacing, factor, contrast))
            except (ValueError, FileExistsError) as error:
                problems.append(str(error))
        if problems:
            count = f"{len(problems)} of {len(problems) + len(done)} volumes were not super-resolved:\n"
            raise ValueError((count if len(problems) + len(done) > 1 else "") + "\n".join(problems))
        return done

    def resolve(self, volume: Tensor, grid: Grid, fine: Grid) -> tuple[Tensor, Tensor]:
        """Super-resolve a volume in memory.

        Args:
            volume: real, ``(D, H, W)``.
            grid: where its voxels lie.
            fine: the grid of the output, along the same axes.

        Returns:
            The super-resolved volume and the interpolated one that it was made of, both float32 with the shape of
            ``fine``, in the units of the input.

        Raises:
            ValueError: if the volume is constant, holds NaN or infinity, or is not on its grid; or the network's output
                is not finite.
        """
        plain, output, _ = self._resolve(volume, grid, fine, "the volume")
        return output, plain

    @torch.inference_mode()
    def _resolve(self, volume: Tensor, grid: Grid, fine: Grid, where: str) -> tuple[Tensor, Tensor, float]:
        item = self.scaling({"image": volume.to(torch.float32)[None], "file": where})
        scaled, scale = item["image"], float(item["scale"])
        image = resample_to_grid(scaled, grid, fine, self.interpolation)
        with self._precision():
            output = self.inferer(image[None], self.network)[0, 0].to("cpu", torch.float32)
        # inputs are finite, so a network whose weights are not shows here
        if not bool(torch.isfinite(output).all()):
            raise ValueError(f"{where}: the network's output holds NaN or infinity; check or replace its weights")
        return image[0] * scale, output * scale, scale

    def _precision(self) -> Any:
        if self.amp and not getattr(self.inferer, "amp", False):
            return bfloat16_autocast(self.device.type, enabled=True)
        return contextlib.nullcontext()

    def _files(self, source: VolumeInput, folder: Path, overwrite: bool) -> tuple[Path, Path, Path]:
        files = tuple(folder / f"{source.name}{end}" for end in ("_sr.nii.gz", "_difference.nii.gz", ".json"))
        there = next((file for file in files if file.exists()), None)
        if there is not None and not overwrite:
            raise FileExistsError(
                f"{source.place}: {there} exists already; choose another --output_dir, or give --overwrite True"
            )
        return files[0], files[1], files[2]

    def _one(
        self,
        source: VolumeInput,
        files: tuple[Path, Path, Path],
        target_spacing: float | Sequence[float] | None,
        factor: float | Sequence[float] | None,
        contrast: str | None,
    ) -> SuperResolution:
        started = time.monotonic()
        volume = source.read()
        if contrast is not None:
            volume = dataclasses.replace(volume, contrast=contrast_of(contrast) or contrast)
        try:
            fine = output_grid(volume.grid, target_spacing=target_spacing, factor=factor)
        except ValueError as error:
            raise ValueError(f"{source.place}: {error}") from error
        # first of all what refuses volumes that are no images: their spectrum would say nothing
        scaled = self.scaling({"image": volume.values[None], "file": source.place})
        support = kspace_support(volume.values)
        warnings, outside = self._judge(volume, fine, support)
        signed = _doubt_of_sign(volume.values, float(scaled["scale"]))
        if signed is not None:
            warnings.insert(0, signed)
        if outside and self.outside == "refuse":
            raise ValueError(
                f"{source.place}: {'; '.join(outside)}. Choose another grid or other weights, or give --outside warn"
            )
        warnings += outside
        for warning in warnings:
            logger.warning("%s: %s", source.place, warning)
        plain, output, scale = self._resolve(volume.values, volume.grid, fine, source.place)
        difference = output - plain
        write_volume(files[0], output, fine, space=volume.space)
        write_volume(files[1], difference, fine, space=volume.space)
        record = self._record(source, volume, fine, support, scale, warnings)
        record["difference"] = {
            "mean_absolute": float(difference.abs().mean()) / scale,
            "largest_absolute": float(difference.abs().max()) / scale,
            "unit": "of the intensity scale",
        }
        record["files"] = [file.name for file in files[:2]]
        record["seconds"] = round(time.monotonic() - started, 1)
        with atomic_path(files[2]) as temporary:
            temporary.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        logger.info("%s: %s (%s)", source.place, files[0], RESEARCH_NOTICE)
        return SuperResolution(*files, warnings=tuple(warnings))

    def _judge(self, volume: InputVolume, fine: Grid, support: Sequence[float]) -> tuple[list[str], list[str]]:
        """Warnings, and differences from the training."""
        warnings = [*volume.notes, *_doubts_of_support(volume.grid, support)]
        if self.domain is None:
            warnings.append("nothing says what the weights were trained on, so volumes unlike that go unnoticed")
            return warnings, []
        warnings += differences_of_preparation(
            self.domain,
            interpolation=self.interpolation,
            scale=self.scaling.scale,
            percentile=self.scaling.percentile,
        )
        uncompared = uncompared_contrast(self.domain, volume.contrast)
        if uncompared is not None:
            warnings.append(uncompared if volume.contrast else f"{uncompared}; name it by --contrast")
        resolution_unknown = uncompared_resolution(self.domain)
        if resolution_unknown is not None:
            warnings.append(resolution_unknown)
        return warnings, self._differences(volume, fine, support)

    def _differences(self, volume: InputVolume, fine: Grid, support: Sequence[float]) -> list[str]:
        """From the training, by the found resolution or one that it cannot be told from."""
        assert self.domain is not None
        found = []
        for moved in (0.0, _EDGE_KNOWN_TO, -_EDGE_KNOWN_TO):
            resolution = _resolution(volume.grid, support, moved)
            factor = [old / new for old, new in zip(resolution, fine.spacing, strict=True)]
            found.append(
                differences_from_training(self.domain, spacing=fine.spacing, factor=factor, contrast=volume.contrast)
            )
        # what is refused has to be outside wherever the edge lies
        return min(found, key=len)

    def _record(
        self,
        source: VolumeInput,
        volume: InputVolume,
        fine: Grid,
        support: Sequence[float],
        scale: float,
        warnings: Sequence[str],
    ) -> dict[str, Any]:
        # folders, and all names of DICOM files, may name a patient
        name = source.name if source.path is None else source.path.name
        return {
            "notice": RESEARCH_NOTICE,
            "input": {"name": name, "kind": source.kind, "contrast": volume.contrast, **_described(volume.grid)},
            "output": _described(fine),
            "factor": [old / new for old, new in zip(volume.grid.spacing, fine.spacing, strict=True)],
            # null where it could not be judged
            "kspace_support": [None if math.isnan(part) else part for part in support],
            "interpolation": self.interpolation,
            "intensity_scale": scale,
            "intensity_scale_by": self.scaling.scale,
            "percentile": self.scaling.percentile if self.scaling.scale == "percentile" else None,
            "inferer": _settings(self.inferer),
            "network": type(self.network).__name__,
            "weights": None if self.weights is None else _identity(self.weights),
            "trained_on": self.domain,
            "bfloat16": self.amp or bool(getattr(self.inferer, "amp", False)),
            "device": str(self.device),
            "warnings": list(warnings),
            "versions": {"recon-monai": __version__, **{name: version(name) for name in ("torch", "monai")}},
        }


def _sources(
    inputs: str | Path | Sequence[str | Path | VolumeInput], frame: int | None, series: str | None
) -> list[VolumeInput]:
    entries = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    found = [entry for entry in entries if isinstance(entry, VolumeInput)]
    named = [entry for entry in entries if not isinstance(entry, VolumeInput)]
    return [*found, *(find_inputs(named, frame=frame, series=series) if named or not found else [])]


def output_grid(
    grid: Grid,
    *,
    target_spacing: float | Sequence[float] | None = None,
    factor: float | Sequence[float] | None = None,
) -> Grid:
    """The grid of a super-resolved volume: along the same axes, about the same middle.

    Args:
        grid: of the input.
        target_spacing: voxel size in mm, exactly; the field of view grows or shrinks by less than half a voxel at
            either end where it is no whole number of them.
        factor: or how many times finer; the field of view is exactly that of the input, and the voxel size the nearest
            that divides it.

    Returns:
        The grid.

    Raises:
        ValueError: unless one of both is given; if an axis would become coarser; or a single slice would have to become
            several.
    """
    _one_of("target_spacing", target_spacing, "factor", factor)
    if target_spacing is not None:
        wanted = _three("target_spacing", target_spacing)
        coarser = [axis for axis in range(3) if wanted[axis] > grid.spacing[axis] * (1 + _ROUNDING)]
        if coarser:
            least = ",".join(f"{min(new, old):.6g}" for new, old in zip(wanted, grid.spacing, strict=True))
            raise ValueError(
                f"a voxel size of {' x '.join(f'{one:g}' for one in wanted)} mm is coarser than the volume's "
                f"{' x '.join(f'{one:.6g}' for one in grid.spacing)} mm along axis {coarser[0]}, and super-resolution "
                f"takes no resolution away; give --target_spacing {least}"
            )
        fine = grid.refined(spacing=wanted, keep="spacing")
    else:
        factors = _three("factor", factor)
        if min(factors) < 1 - _ROUNDING:
            raise ValueError(f"factor is {factors}, expected at least 1 along each axis")
        fine = grid.refined(factor=factors)
    single = [axis for axis in range(3) if grid.shape[axis] == 1 and fine.shape[axis] > 1]
    if single:
        raise ValueError(
            f"the volume has a single voxel along axis {single[0]}, between which and no other nothing can be refined; "
            "leave that axis as it is"
        )
    return fine


def _one_of(name: str, value: Any, other: str, alternative: Any, sources: Sequence[VolumeInput] = ()) -> None:
    if (value is None) == (alternative is None):
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        where = f"{sources[0].place}{more}: " if sources else ""
        raise ValueError(
            f"{where}give either --{name} or --{other}, for example --{name} 0.7 or --{other} 2; got {value} and "
            f"{alternative}"
        )


def _three(name: str, value: Any) -> list[float]:
    numbers = [value] * 3 if isinstance(value, int | float) else list(value)
    known = len(numbers) == 3 and all(isinstance(one, int | float) and math.isfinite(one) for one in numbers)
    if isinstance(value, str) or not known or min(numbers) <= 0:
        raise ValueError(f"{name} is {value!r}, expected one positive number or three, such as 0.7 or 0.7,0.7,1")
    return [float(one) for one in numbers]


def _described(grid: Grid) -> dict[str, Any]:
    return {"shape": list(grid.shape), "spacing_mm": list(grid.spacing), "affine": grid.affine.tolist()}


def _identity(weights: Path) -> dict[str, str]:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "unknown"
    return {"file": weights.name, "sha256": digest}


def _settings(inferer: Any) -> dict[str, Any]:
    found = {"name": type(inferer).__name__}
    names = {"roi_size": "window", "window": "window", "overlap": "overlap", "margin": "margin"}
    return found | {shown: getattr(inferer, name) for name, shown in names.items() if hasattr(inferer, name)}


def _doubts_of_support(grid: Grid, support: Sequence[float]) -> list[str]:
    """What the k-space of a volume says against its voxel size, or leaves open."""
    found = []
    if any(part < _FULL for part in support):
        shown = " x ".join("unknown" if math.isnan(part) else f"{part:.0%}" for part in support)
        resolution = " x ".join(f"{step:.3g}" for step in _resolution(grid, support))
        found.append(
            f"the volume was interpolated before: its k-space holds signal up to {shown} of the Nyquist frequency at "
            f"most, so its resolution is at best about {resolution} mm; the volume as it was measured is better"
        )
    unknown = [n for n, part in enumerate(support) if math.isnan(part) and grid.shape[n] >= _JUDGED_FROM]
    if unknown:
        found.append(
            f"whether the volume was interpolated before cannot be judged along axes {', '.join(map(str, unknown))}, "
            "as most of it is exactly 0 (a mask) and too little signal lies in unbroken lines; look at the volume from "
            "before the mask"
        )
    return found


def _resolution(grid: Grid, support: Sequence[float], moved: float = 0.0) -> list[float]:
    """Voxel sizes that hold what was found, in mm; where the edges that were found may be moved, as a fraction."""
    parts = [min(1.0, part + moved) if part < _FULL else 1.0 if math.isnan(part) else part for part in support]
    return [step / part for step, part in zip(grid.spacing, parts, strict=True)]


def _doubt_of_sign(values: Tensor, scale: float) -> str | None:
    """What speaks against a magnitude image; slight overshoots of an interpolation below zero do not."""
    share = float((values < -_NEGATIVE * scale).to(torch.float32).mean())
    if share <= _SIGNED:
        return None
    return (
        f"{share:.1%} of the voxels are negative, down to {float(values.min()):.3g}, so that this is no magnitude "
        "image as those of the training; take the magnitude image, or shift the values to begin at 0"
    )
