"""Version and changelog belong together."""

from __future__ import annotations

import pytest

from recon_monai.sharing import raised, version_faults

METADATA = {"version": "0.10.0", "changelog": {"0.10.0": "Third", "0.9.0": "Second", "0.2.0": "First"}, "task": "x"}


def test_raised_together():
    new = raised(METADATA, "0.11.0", "Fourth")
    assert new["version"] == "0.11.0"
    assert next(iter(new["changelog"].items())) == ("0.11.0", "Fourth") and len(new["changelog"]) == 4
    assert METADATA["version"] == "0.10.0" and len(METADATA["changelog"]) == 3, "the old ones are left alone"
    assert raised(METADATA, None, None) == METADATA


@pytest.mark.parametrize(
    ("version", "changes", "message"),
    [
        ("0.11.0", None, "needs both"),
        (None, "New", "needs both"),
        ("0.11.0", "  ", "needs both"),
        ("0.9.1", "New", "0.9.1 is not above 0.10.0"),
        ("0.10.0", "New", "0.10.0 is not above 0.10.0"),
        ("1", "New", "--version 1 is no version such as 0.3.0"),
    ],
)
def test_refused(version, changes, message):
    with pytest.raises(ValueError, match=message):
        raised(METADATA, version, changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "0.9.0"}, "version is 0.9.0, and the changelog has 0.10.0 already"),
        ({"version": "0.12.0"}, "version 0.12.0 has no entry in the changelog, which ends with 0.10.0"),
        ({"version": "new"}, "'new' is no version"),
        ({"changelog": {}}, "expected a table"),
        ({"changelog": {"0.10.0": " "}}, "0.10.0 says nothing"),
    ],
)
def test_faults(change, message):
    metadata = {**METADATA, **change}
    assert message in "; ".join(version_faults(metadata))
    with pytest.raises(ValueError, match=r"metadata\.json: "):
        raised(metadata, None, None)
