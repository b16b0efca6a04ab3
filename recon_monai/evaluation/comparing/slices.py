"""One method on one file of k-space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from recon_monai.evaluation.comparing.acquisition import Acquisition, agreement_of
from recon_monai.evaluation.comparing.effort import Effort, measured_effort
from recon_monai.evaluation.comparing.kspace_cases import DATA_NAMES, KspaceCase
from recon_monai.evaluation.comparing.measures import downstream_numbers, slice_numbers
from recon_monai.evaluation.comparing.settings import ComparisonSettings
from recon_monai.evaluation.comparing.slice_methods import SliceMethod
from recon_monai.evaluation.comparing.spreads import calibration_numbers, slice_spread
from recon_monai.evaluation.comparing.store import CaseImages
from recon_monai.evaluation.comparison_maps import MapKind
from recon_monai.physics import center_crop_or_pad
from recon_monai.transforms import Undersampled

__all__ = ["KspaceReader", "reconstruct_case"]


class KspaceReader:
    """The slices of a case, as they are and undersampled.

    Args:
        case: the file and its acceleration.
        settings: the mask.

    Attributes:
        fields: what the rows of all methods share.
        target: ``(S, h, w)``; None without reference.
        attributes: of the image file.
    """

    def __init__(self, case: KspaceCase, settings: ComparisonSettings) -> None:
        self.case = case
        self._undersampled = Undersampled(settings.sampling(), file_mask=settings.file_mask)
        targets = []
        common: dict[Any, Any] = {}
        for _, common in self:
            if "target" in common:
                targets.append(common["target"][0])
        self.target = torch.stack(targets) if len(targets) == len(case.entries) else None
        self.spacing = _spacing(common["voxel_size"])
        first = case.entries[0]
        self.fields = {
            "file": first["file"],
            "subject": case.subject,
            "anatomy": first["anatomy"],
            "contrast": first["acquisition"],
            "data": data_of(case),
            "acceleration": int(common["acceleration"]),
            "effective_acceleration": float(common["effective_acceleration"]),
            "coils": int(first["coils"]),
        }
        known = [value if np.isfinite(value) else 1.0 for value in self.spacing]
        self.attributes = {
            "spacing": known,
            "file": first["file"],
            "anatomy": first["anatomy"],
            "contrast": first["acquisition"],
            "acceleration": self.fields["acceleration"],
            "first_slice": int(first["slice"]),
        }

    def __iter__(self) -> Iterator[tuple[dict[str, Any], dict[Any, Any]]]:
        """Items of the slices and the same undersampled, one at a time."""
        for entry in self.case.entries:
            raw = self.case.dataset.load(entry)
            copy: dict[Any, Any] = dict(raw)
            yield raw, self._undersampled(copy)


def data_of(case: KspaceCase) -> str:
    """Simulated or raw.

    Raises:
        ValueError: if the file does not say where its k-space comes from, so that it belongs to neither.
    """
    if case.source not in DATA_NAMES:
        raise ValueError(
            f"{case.path.name} does not say whether its k-space was simulated or measured, which are never put "
            "together; set its attribute source to simulated or measured"
        )
    return DATA_NAMES[case.source]


def reconstruct_case(
    method: SliceMethod, reader: KspaceReader, settings: ComparisonSettings
) -> tuple[dict[str, Any], CaseImages]:
    """Reconstruct all slices of a case and measure them.

    Args:
        method: that reconstructs.
        reader: of the case.
        settings: what is measured.

    Returns:
        The numbers of the row, and images and maps.

    Raises:
        ValueError: if the method changed the mask, or its images cannot be used. What the method raises passes.
    """
    effort = Effort()
    images: list[torch.Tensor] = []
    maps: dict[MapKind, list[torch.Tensor]] = {}
    squares = torch.zeros(5, dtype=torch.float64)
    device = torch.device(settings.device)
    for raw, common in reader:
        item = method.prepare(raw)
        _check_mask(item["mask"], common["mask"])
        if not method.is_warm:
            method.image(item)
            method.is_warm = True
        with measured_effort(effort, device):
            whole = method.image(item)
        if not bool(whole.isfinite().all()):
            raise ValueError(f"the image of slice {int(common['slice'])} holds NaN or infinity")
        images.append(center_crop_or_pad(whole, [int(side) for side in common["output_size"]])[0])
        if settings.consistency and reader.target is not None:
            agreement = agreement_of(Acquisition(raw, common), whole)
            squares += torch.tensor(agreement.squares, dtype=torch.float64)
            maps.setdefault("residual", []).append(agreement.residual[0])
            maps.setdefault("null_space", []).append(agreement.null_space[0])
        if settings.bootstrap:
            maps.setdefault("spread", []).append(slice_spread(method, item, common, settings)[0])
    image = torch.stack(images)
    stacks = {kind: torch.stack(parts) for kind, parts in maps.items()}
    numbers = {"seconds": effort.seconds, "peak_memory_mb": effort.peak_memory_mb, **_ratios(squares)}
    if reader.target is not None:
        numbers |= _against(reader.target, image, stacks.get("spread"), reader, settings)
    return numbers, CaseImages(image.numpy(), {kind: stack.numpy() for kind, stack in stacks.items()})


def _against(
    target: torch.Tensor,
    image: torch.Tensor,
    spread: torch.Tensor | None,
    reader: KspaceReader,
    settings: ComparisonSettings,
) -> dict[str, Any]:
    numbers: dict[str, Any] = slice_numbers(image, target, str(reader.fields["anatomy"]))
    if settings.downstream:
        try:
            numbers["downstream"] = downstream_numbers(image.numpy(), target.numpy(), reader.spacing)
        except ValueError as error:  # an image of one or two levels: nothing to segment, and the rest stays
            numbers["downstream"] = {"pitfalls": f"not segmented: {error}"}
    if spread is not None:
        numbers["calibration"] = calibration_numbers(spread, image, target)
    return numbers


def _ratios(squares: torch.Tensor) -> dict[str, float]:
    residual, samples, unseen, target, of_target = squares.tolist()
    found: dict[str, float] = {}
    if samples > 0:
        found |= {"kspace_residual": (residual / samples) ** 0.5}
        found |= {"kspace_residual_target": (of_target / samples) ** 0.5}
    if target > 0:
        found["null_space_error"] = (unseen / target) ** 0.5
    return found


def _check_mask(mask: torch.Tensor, common: torch.Tensor) -> None:
    """Rows of a mask of columns may have been cropped with the field of view; its samples may not have changed."""
    by_column = common.shape[-2] == 1 or bool((common == common[..., :1, :]).all())
    same = torch.equal(mask[..., :1, :], common[..., :1, :]) if by_column else torch.equal(mask, common)
    if not same:
        raise ValueError("its preprocessing left another mask than the other methods have, expected the same samples")


def _spacing(voxel_size: torch.Tensor) -> tuple[float, float, float]:
    """Slices, rows and columns in mm, from rows, columns, slices."""
    rows, columns, slices = (float(step) for step in voxel_size)
    return slices, rows, columns
