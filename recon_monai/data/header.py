"""The part of an ISMRMRD header that Cartesian reconstruction needs: sizes, fields of view, acquired lines, body part.

Source: Inati et al., "ISMRM Raw data format: a proposed standard for MRI raw datasets", MRM 77 (2017), 411-421;
use in fastMRI files: Zbontar et al., arXiv:1811.08839, appendix on the data format.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["AcquisitionHeader", "EncodingLimits"]

NAMESPACE = "http://www.ismrm.org/ISMRMRD"

_AXES = ("x", "y", "z")


class EncodingLimits(NamedTuple):
    """Acquired phase-encoding lines, counted as the scanner counts them.

    Attributes:
        minimum: number of the first line.
        maximum: number of the last line (inclusive).
        center: number of the line through the center of k-space.
    """

    minimum: int
    maximum: int
    center: int


@dataclass(frozen=True)
class AcquisitionHeader:
    """Geometry of one Cartesian acquisition, and of what it is. What a file does not say is ``None``.

    In arrays of k-space ``(..., H, W)`` the readout x runs along H and the phase encoding y along W.

    Attributes:
        encoded_matrix: size (x, y, z) of the encoded k-space, readout oversampling included.
        recon_matrix: size (x, y, z) of the reconstructed image.
        encoded_fov: field of view (x, y, z) of the encoded space in mm.
        recon_fov: field of view (x, y, z) of the reconstructed image in mm; z is the slice thickness for 2-D scans.
        phase_limits: limits of ``kspace_encoding_step_1``.
        resonance_frequency: proton resonance frequency in Hz.
        body_part: ``bodyPartExamined`` of the study, for example ``HEAD``.
        protocol: ``protocolName`` of the measurement, as the operator called it.
    """

    encoded_matrix: tuple[int, int, int] | None = None
    recon_matrix: tuple[int, int, int] | None = None
    encoded_fov: tuple[float, float, float] | None = None
    recon_fov: tuple[float, float, float] | None = None
    phase_limits: EncodingLimits | None = None
    resonance_frequency: int | None = None
    body_part: str | None = None
    protocol: str | None = None

    @classmethod
    def from_xml(cls, document: bytes | str) -> AcquisitionHeader:
        """Read the header of the first encoding of an ISMRMRD document.

        Args:
            document: the XML text, as stored in the ``ismrmrd_header`` of a fastMRI file.

        Returns:
            The header; parts that the document lacks are ``None``.

        Raises:
            ValueError: if the text is not XML, is not an ISMRMRD header, or holds something other than a number
                where a number belongs.
        """
        try:
            root = ElementTree.fromstring(document)
        except (ElementTree.ParseError, ValueError) as error:
            raise ValueError(
                f"the ISMRMRD header is not well-formed XML ({error}); expected <ismrmrdHeader>"
            ) from error
        if root.tag.rpartition("}")[2] != "ismrmrdHeader":
            raise ValueError(f"the header's root element is <{root.tag}>, expected <ismrmrdHeader> (ISMRMRD XML)")
        encoded, recon = "encoding/encodedSpace", "encoding/reconSpace"
        limits = _numbers(root, "encoding/encodingLimits/kspace_encoding_step_1", ("minimum", "maximum", "center"))
        frequency = _numbers(root, "experimentalConditions", ("H1resonanceFrequency_Hz",))
        return cls(
            encoded_matrix=_integers(_numbers(root, f"{encoded}/matrixSize", _AXES)),
            recon_matrix=_integers(_numbers(root, f"{recon}/matrixSize", _AXES)),
            encoded_fov=_triple(_numbers(root, f"{encoded}/fieldOfView_mm", _AXES)),
            recon_fov=_triple(_numbers(root, f"{recon}/fieldOfView_mm", _AXES)),
            phase_limits=None if limits is None else EncodingLimits(*(int(value) for value in limits)),
            resonance_frequency=None if frequency is None else int(frequency[0]),
            body_part=_text(root, "studyInformation/bodyPartExamined"),
            protocol=_text(root, "measurementInformation/protocolName"),
        )

    def to_xml(self) -> bytes:
        """Write the header as an ISMRMRD document that ISMRMRD's own library parses.

        Parts that are ``None`` are left out, except the resonance frequency, which the schema demands (0 stands for
        unknown). The protocol is left out too: the schema wants the patient's position beside it. The document
        fulfills the schema completely if all matrices and fields of view are known.

        Returns:
            The XML text in UTF-8.
        """
        root = ElementTree.Element("ismrmrdHeader", {"xmlns": NAMESPACE})
        if self.body_part is not None:
            _append(ElementTree.SubElement(root, "studyInformation"), "bodyPartExamined", self.body_part)
        conditions = ElementTree.SubElement(root, "experimentalConditions")
        _append(conditions, "H1resonanceFrequency_Hz", self.resonance_frequency or 0)
        encoding = ElementTree.SubElement(root, "encoding")
        _append_space(encoding, "encodedSpace", self.encoded_matrix, self.encoded_fov)
        _append_space(encoding, "reconSpace", self.recon_matrix, self.recon_fov)
        limits = ElementTree.SubElement(encoding, "encodingLimits")
        if self.phase_limits is not None:
            step = ElementTree.SubElement(limits, "kspace_encoding_step_1")
            for name, value in self.phase_limits._asdict().items():
                _append(step, name, value)
        _append(encoding, "trajectory", "cartesian")
        return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)

    def padding(self, width: int) -> tuple[int, int]:
        """Columns of k-space that were acquired; the others were filled with zeros by the scanner.

        As fastMRI defines it (Zbontar et al., arXiv:1811.08839): ``left = encoded_y // 2 - center`` and
        ``right = left + maximum + 1``; both are limited to ``[0, width]``.

        Args:
            width: number of columns of the k-space array.

        Returns:
            ``(left, right)``: columns ``left <= column < right`` were acquired; ``(0, width)`` if the header does
            not say.

        Raises:
            ValueError: if the header's limits leave no column.
        """
        if self.encoded_matrix is None or self.phase_limits is None:
            return 0, width
        first = self.encoded_matrix[1] // 2 - self.phase_limits.center
        left, right = max(first, 0), min(first + self.phase_limits.maximum + 1, width)
        if left >= right:
            raise ValueError(
                f"the header's {self.phase_limits} and encoded matrix {self.encoded_matrix} leave no acquired column "
                f"in a k-space of {width} columns; correct the ismrmrd_header or remove its encodingLimits"
            )
        return left, right

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Distance of neighboring rows (x), columns (y) and slices (z) of the image in mm; NaN where unknown."""
        if self.recon_matrix is None or self.recon_fov is None:
            return math.nan, math.nan, math.nan
        x, y, z = (
            length / count if count > 0 and length > 0 else math.nan
            for length, count in zip(self.recon_fov, self.recon_matrix, strict=True)
        )
        return x, y, z


def _numbers(root: ElementTree.Element, path: str, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """The numbers ``names`` below ``path`` in any namespace, or None if one of them is missing."""
    parent = root.find("/".join(f"{{*}}{part}" for part in path.split("/")))
    if parent is None:
        return None
    values = []
    for name in names:
        text = parent.findtext(f"{{*}}{name}")
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"the ISMRMRD header holds {text!r} at {path}/{name}, expected a finite number")
        values.append(value)
    return tuple(values)


def _text(root: ElementTree.Element, path: str) -> str | None:
    """The text at ``path`` in any namespace; None if it is missing or empty."""
    return (root.findtext("/".join(f"{{*}}{part}" for part in path.split("/"))) or "").strip() or None


def _triple(values: tuple[float, ...] | None) -> tuple[float, float, float] | None:
    return None if values is None else (values[0], values[1], values[2])


def _integers(values: tuple[float, ...] | None) -> tuple[int, int, int] | None:
    return None if values is None else (int(values[0]), int(values[1]), int(values[2]))


def _append(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name).text = str(value)


def _append_space(
    encoding: ElementTree.Element,
    name: str,
    matrix: tuple[int, int, int] | None,
    fov: tuple[float, float, float] | None,
) -> None:
    space = ElementTree.SubElement(encoding, name)
    for part, values in (("matrixSize", matrix), ("fieldOfView_mm", fov)):
        if values is not None:
            element = ElementTree.SubElement(space, part)
            for axis, value in zip(_AXES, values, strict=True):
                _append(element, axis, value)
