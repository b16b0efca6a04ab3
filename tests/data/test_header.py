from __future__ import annotations

import math
from dataclasses import replace

import pytest

from recon_monai.data import AcquisitionHeader, EncodingLimits

KNEE = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <experimentalConditions><H1resonanceFrequency_Hz>123204000</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace>
      <matrixSize><x>640</x><y>368</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>280.0</x><y>161.0</y><z>4.5</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>320</x><y>320</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>140.0</x><y>160.0</y><z>4.5</z></fieldOfView_mm>
    </reconSpace>
    <trajectory>cartesian</trajectory>
    <encodingLimits>
      <kspace_encoding_step_0><minimum>0</minimum><maximum>639</maximum><center>320</center></kspace_encoding_step_0>
      <kspace_encoding_step_1><minimum>0</minimum><maximum>331</maximum><center>166</center></kspace_encoding_step_1>
    </encodingLimits>
  </encoding>
</ismrmrdHeader>"""

FULL = AcquisitionHeader(
    encoded_matrix=(640, 368, 1),
    recon_matrix=(320, 320, 1),
    encoded_fov=(280.0, 161.0, 4.5),
    recon_fov=(140.0, 160.0, 4.5),
    phase_limits=EncodingLimits(minimum=0, maximum=331, center=166),
    resonance_frequency=123204000,
)


@pytest.mark.parametrize("document", [KNEE, KNEE.encode(), KNEE.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', "")])
def test_reads_all_parts(document: str | bytes) -> None:
    assert AcquisitionHeader.from_xml(document) == FULL


def test_first_encoding_counts() -> None:
    second = "<encoding><encodedSpace><matrixSize><x>1</x><y>2</y><z>3</z></matrixSize></encodedSpace></encoding>"
    assert AcquisitionHeader.from_xml(KNEE.replace("</ismrmrdHeader>", second + "</ismrmrdHeader>")) == FULL


def test_missing_parts_are_none() -> None:
    empty = AcquisitionHeader.from_xml('<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"/>')
    assert empty == AcquisitionHeader()
    no_center = AcquisitionHeader.from_xml(KNEE.replace("<center>166</center>", ""))
    assert no_center.phase_limits is None
    assert no_center.recon_matrix == (320, 320, 1)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"\x00\x01 nonsense", "not well-formed XML"),
        ("", "not well-formed XML"),
        (KNEE.replace("</encoding>", ""), "not well-formed XML"),
        ("<html/>", "root element is <html>"),
        (KNEE.replace("<x>640</x>", "<x>many</x>"), "'many' at encoding/encodedSpace/matrixSize/x"),
        (KNEE.replace("<x>140.0</x>", "<x>nan</x>"), "'nan' at encoding/reconSpace/fieldOfView_mm/x"),
    ],
)
def test_malformed_documents_are_refused(document: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AcquisitionHeader.from_xml(document)


def test_padding_as_in_fastmri() -> None:
    # 368 // 2 - 166 = 18 zero columns left, then lines 0 to 331
    assert FULL.padding(368) == (18, 350)
    assert AcquisitionHeader().padding(372) == (0, 372)
    complete = AcquisitionHeader(encoded_matrix=(640, 372, 1), phase_limits=EncodingLimits(0, 371, 186))
    assert complete.padding(372) == (0, 372)


def test_padding_stays_inside_the_array() -> None:
    shifted = AcquisitionHeader(encoded_matrix=(640, 372, 1), phase_limits=EncodingLimits(0, 400, 190))
    assert shifted.padding(372) == (0, 372)
    wrong = AcquisitionHeader(encoded_matrix=(640, 372, 1), phase_limits=EncodingLimits(0, 10, 500))
    with pytest.raises(ValueError, match="leave no acquired column in a k-space of 372 columns"):
        wrong.padding(372)


def test_voxel_size_is_row_column_slice() -> None:
    assert FULL.voxel_size == (140 / 320, 0.5, 4.5)
    assert all(math.isnan(size) for size in AcquisitionHeader(recon_fov=(1.0, 1.0, 1.0)).voxel_size)
    sizes = AcquisitionHeader(recon_fov=(100.0, 100.0, 0.0), recon_matrix=(50, 100, 1)).voxel_size
    assert sizes[:2] == (2.0, 1.0)
    assert math.isnan(sizes[2])


def test_body_part_and_protocol() -> None:
    study = "<studyInformation><studyID>1</studyID><bodyPartExamined> KNEE </bodyPartExamined></studyInformation>"
    measurement = "<measurementInformation><protocolName>t2 cor</protocolName></measurementInformation>"
    document = KNEE.replace("<experimentalConditions>", f"{study}{measurement}<experimentalConditions>")
    header = AcquisitionHeader.from_xml(document)
    assert (header.body_part, header.protocol) == ("KNEE", "t2 cor")
    empty = AcquisitionHeader.from_xml(document.replace(" KNEE ", " ").replace("t2 cor", ""))
    assert empty == FULL


@pytest.mark.parametrize(
    "header",
    [FULL, AcquisitionHeader(), AcquisitionHeader(recon_matrix=(3, 2, 1)), AcquisitionHeader(body_part="HEAD")],
)
def test_round_trip(header: AcquisitionHeader) -> None:
    read = AcquisitionHeader.from_xml(header.to_xml())
    frequency = header.resonance_frequency or 0
    assert read == AcquisitionHeader(**{**vars(header), "resonance_frequency": frequency})


def test_the_library_of_ismrmrd_reads_it() -> None:
    xsd = pytest.importorskip("ismrmrd.xsd")
    read = xsd.CreateFromDocument(replace(FULL, body_part="KNEE").to_xml())
    assert read.studyInformation.bodyPartExamined == "KNEE"
    encoding = read.encoding[0]
    matrix, fov = encoding.encodedSpace.matrixSize, encoding.reconSpace.fieldOfView_mm
    assert (matrix.x, matrix.y, matrix.z) == FULL.encoded_matrix
    assert (fov.x, fov.y, fov.z) == FULL.recon_fov
    limits = encoding.encodingLimits.kspace_encoding_step_1
    assert (limits.minimum, limits.maximum, limits.center) == FULL.phase_limits


def test_reads_what_the_library_of_ismrmrd_writes() -> None:
    xsd = pytest.importorskip("ismrmrd.xsd")
    document = xsd.ToXML(xsd.CreateFromDocument(KNEE))
    assert AcquisitionHeader.from_xml(document) == FULL
