"""What the headers of a file say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recon_monai.data.anatomy import find_anatomy
from recon_monai.data.header import AcquisitionHeader, EncodingLimits

__all__ = ["FastMRIInfo"]

_PATHS = ("path", "image_path")


@dataclass(frozen=True)
class FastMRIInfo:
    """What the headers of a file say; no array of the size of a slice is read for it.

    Attributes:
        path: the file.
        image_path: the file of its images, in the paired layout; else None.
        num_slices: slices in the file.
        kspace_shape: ``(coil, H, W)`` of a slice; one coil for the single-coil layout.
        target_name: ``reconstruction_rss``, ``reconstruction_esc`` or, paired, ``image_label``; None without target.
        target_shape: ``(h, w)`` of a target slice; None without target.
        has_mask: whether the file holds a sampling mask.
        acceleration: the nominal one of the file's mask, rounded: attribute ``acceleration``, in the paired layout else
            by the name; None if the file does not say or has no mask.
        maximum: attribute ``max``, the maximum of the target volume; None if the file does not say.
        stated_anatomy: attribute ``anatomy``; None if the file does not say.
        acquisition: attribute ``acquisition``, else ``"unknown"``.
        source: attribute ``source``, else ``"measured"`` for files with an acquisition, else ``"unknown"``.
        header: the ISMRMRD header; all parts None if the file has none.
        padding: columns ``[left, right)`` that were acquired.
    """

    path: Path
    image_path: Path | None
    num_slices: int
    kspace_shape: tuple[int, int, int]
    target_name: str | None
    target_shape: tuple[int, int] | None
    has_mask: bool
    acceleration: int | None
    maximum: float | None
    stated_anatomy: str | None
    acquisition: str
    source: str
    header: AcquisitionHeader
    padding: tuple[int, int]

    @property
    def anatomy(self) -> str:
        """Anatomy by the default rules, see :mod:`recon_monai.data.anatomy`; ``"unknown"`` if none of them fits."""
        return find_anatomy(self)

    @property
    def coils(self) -> int:
        """Number of coils."""
        return self.kspace_shape[0]

    @property
    def output_size(self) -> tuple[int, int]:
        """Size ``(h, w)`` of the image: of the target, else of the header's reconstruction, else of k-space."""
        if self.target_shape is not None:
            return self.target_shape
        if self.header.recon_matrix is not None and min(self.header.recon_matrix[:2]) > 0:
            return self.header.recon_matrix[0], self.header.recon_matrix[1]
        return self.kspace_shape[1], self.kspace_shape[2]

    def to_json(self) -> dict[str, Any]:
        """Everything but the paths, as plain JSON."""
        return {name: value for name, value in asdict(self).items() if name not in _PATHS}

    @classmethod
    def from_json(cls, path: Path, image_path: Path | None, content: dict[str, Any]) -> FastMRIInfo:
        """The inverse of :meth:`to_json`.

        Args:
            path: the file.
            image_path: the file of its images.
            content: what `to_json` gave.

        Raises:
            ValueError: if it is not what `to_json` gives; KeyError or TypeError likewise.
        """
        values = {name: _tuple(value) for name, value in content.items()}
        header = {name: _tuple(value) for name, value in values["header"].items()}
        if header["phase_limits"] is not None:
            header["phase_limits"] = EncodingLimits(*header["phase_limits"])
        values["header"] = AcquisitionHeader(**header)
        info = cls(path=path, image_path=image_path, **values)
        coils, height, width = info.kspace_shape
        left, right = info.padding
        counts = (info.num_slices, coils, height, width, left, right, *(info.target_shape or ()))
        texts = (info.acquisition, info.source, info.target_name or "", info.stated_anatomy or "")
        numbers = (info.acceleration or 1, info.maximum or 1.0)
        kinds = ((counts, int), ((info.has_mask,), bool), (texts, str), (numbers, (int, float)))
        paired = (info.target_name is None) == (info.target_shape is None)
        if not paired or not all(isinstance(value, kind) for values_of, kind in kinds for value in values_of):
            raise ValueError(f"these are no headers of a file: {content}")
        return info


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
