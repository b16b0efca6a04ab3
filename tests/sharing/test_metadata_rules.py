"""The rules of the metadata schema."""

from __future__ import annotations

import copy

import pytest

from recon_monai.sharing import metadata_faults


def test_a_bundle_that_keeps_them(metadata):
    assert metadata_faults(metadata) == []


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("task",), None, "task missing"),
        (("changelog",), None, "changelog missing"),
        (("task",), "", "task is '', expected text"),
        (("monai_version",), 1.6, "monai_version is 1.6, expected text"),
        (("schema",), "https://example.org/schema.json", "expected https://github.com/Project-MONAI"),
        (("version",), "0.1.5", "0.1.5 has no entry"),
        (("required_packages_version",), [], "no table of names and versions"),
        (("required_packages_version",), {"h5py": 3}, "no table of names and versions"),
        (("optional_packages_version",), {}, "deprecated"),
        (("supported_apps",), [], "supported_apps is no table"),
        (("network_data_format", "outputs"), {}, "network_data_format has no outputs"),
        (
            ("network_data_format", "inputs", "image", "dtype"),
            None,
            "network_data_format::inputs::image: dtype missing",
        ),
        (
            ("network_data_format", "inputs", "image", "num_channels"),
            "4",
            "num_channels is '4', expected a whole number",
        ),
        (("network_data_format", "inputs", "image", "spatial_shape"), "*", "spatial_shape is '*', expected a list"),
        (("network_data_format", "inputs", "image", "channel_def"), {"0": "coil"}, "names 1 channels of 4"),
        (("critic_data_format",), {"inputs": {}}, "critic_data_format has no inputs"),
    ],
)
def test_faults(place, value, message, metadata):
    changed = copy.deepcopy(metadata)
    *above, last = place
    within = changed
    for key in above:
        within = within[key]
    if value is None:
        del within[last]
    else:
        within[last] = value
    assert message in "; ".join(metadata_faults(changed))
