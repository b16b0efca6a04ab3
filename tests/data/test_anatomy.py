"""Which anatomy a file shows: default rules, given rules, their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recon_monai.data import AnatomyRule, FastMRIFile, FastMRISliceDataset, find_anatomy, parse_anatomy_rules


def make(path: Path, *, body_part: str = "", protocol: str = "", **attributes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((1, 1, 4, 4), np.complex64)
        file["ismrmrd_header"] = (
            '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
            f"<studyInformation><bodyPartExamined>{body_part}</bodyPartExamined></studyInformation>"
            f"<measurementInformation><protocolName>{protocol}</protocolName></measurementInformation>"
            "</ismrmrdHeader>"
        )
        file.attrs.update(attributes)
    return path


def anatomy_of(path: Path, rules: list[dict[str, Any]] | None = None) -> str:
    return FastMRISliceDataset([path], anatomy_rules=rules)[0]["anatomy"]


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("a.h5", {}, "unknown"),
        ("a.h5", {"acquisition": "AXT2"}, "brain"),
        ("a.h5", {"acquisition": "CORPDFS_FBK"}, "knee"),
        ("a.h5", {"acquisition": "SAG"}, "unknown"),
        ("a.h5", {"acquisition": "AXT2", "anatomy": "Spine"}, "Spine"),
        ("a.h5", {"acquisition": "AXT2", "body_part": "KNEE"}, "brain"),
        ("a.h5", {"body_part": "Knee"}, "knee"),
        ("a.h5", {"body_part": "HEAD"}, "brain"),
        ("a.h5", {"body_part": "FOREHEAD"}, "unknown"),
        ("a.h5", {"protocol": "knee"}, "unknown"),
        ("brain_acc4_12.h5", {}, "brain"),
        ("knee_acc8_12.h5", {}, "knee"),
        ("knee_test3.h5", {}, "knee"),
        ("my_knee_acc8_12.h5", {}, "unknown"),
    ],
)
def test_default_rules(tmp_path: Path, name: str, facts: dict[str, str], expected: str) -> None:
    path = make(tmp_path / name, **facts)
    assert anatomy_of(path) == expected
    with FastMRIFile(path) as file:
        assert file.info.anatomy == expected


def test_the_first_rule_that_fits_wins(tmp_path: Path) -> None:
    rules = json.loads(
        '[{"look_at": "file", "pattern": "^leg", "anatomy": "knee"},'
        ' {"look_at": "protocol", "pattern": "(spine|heart)"},'
        ' {"look_at": "folder", "pattern": "/phantoms(/|$)", "anatomy": "phantom"},'
        ' {"look_at": "acquisition", "pattern": "^AXT2", "anatomy": "head"}]'
    )
    facts = {"acquisition": "AXT2", "protocol": "t2 heart cine"}
    found = [
        anatomy_of(make(tmp_path / "phantoms" / "leg1.h5", **facts), rules),
        anatomy_of(make(tmp_path / "phantoms" / "b.h5", **facts), rules),
        anatomy_of(make(tmp_path / "phantoms" / "c.h5", acquisition="AXT2"), rules),
        anatomy_of(make(tmp_path / "d.h5", acquisition="AXT2"), rules),
        anatomy_of(make(tmp_path / "e.h5", acquisition="AXT1"), rules),
        anatomy_of(make(tmp_path / "f.h5"), rules),
    ]
    assert found == ["knee", "heart", "phantom", "head", "brain", "unknown"]
    assert FastMRISliceDataset([tmp_path / "f.h5"], anatomy="wrist", anatomy_rules=rules)[0]["anatomy"] == "wrist"


def test_rules_look_at_a_file_wherever_it_was_indexed(tmp_path: Path) -> None:
    """What depends on the folder is not remembered with the file."""
    rules = [{"look_at": "folder", "pattern": "/(brains|knees)$"}]
    path = make(tmp_path / "brains" / "a.h5")
    assert anatomy_of(path, rules) == "brains"
    path.parent.rename(tmp_path / "knees")
    assert anatomy_of(tmp_path / "knees" / "a.h5", rules) == "knees"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"look_at": "file"}, "expected a list like"),
        ("knee", "expected a list like"),
        ([{"look_at": "name", "pattern": "a"}], "looks at 'name', expected one of"),
        ([{"look_at": "file", "pattern": "("}], r"pattern '\(' of an anatomy rule is no regular expression"),
        ([{"look_at": "file", "pattern": 3}], "is no regular expression"),
        ([{"look_at": "file", "pattern": "a", "anatomy": 1}], "gives the anatomy 1, expected a word"),
        ([{"look_at": "file"}], "anatomy rule 0 is .*, expected the keys look_at, pattern"),
        ([{"look_at": "file", "pattern": "a", "anatomie": "b"}], "anatomy rule 0 is .*, expected the keys"),
    ],
)
def test_rules_that_are_none(rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_anatomy_rules(rules)


def test_rules_may_be_given_as_objects(tmp_path: Path) -> None:
    with FastMRIFile(make(tmp_path / "arm.h5")) as file:
        assert find_anatomy(file.info, [AnatomyRule("file", "^arm", "elbow")]) == "elbow"
