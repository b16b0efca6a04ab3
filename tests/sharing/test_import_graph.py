"""What a configuration reaches."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from recon_monai.sharing.import_graph import configured_names, reached


def test_names_of_a_configuration(tmp_path):
    file = tmp_path / "train.json"
    content = {
        "_desc_": "mentions recon_monai.losses.FocalSSIMLoss",
        "imports": ["$from recon_monai.engines import begin_command as begin", "$import os", "$from json import dumps"],
        "network_def": {"_target_": "recon_monai.networks.VarNet", "parts": [{"_target_": "torch.nn.L1Loss"}]},
        "expression": "$recon_monai.metrics.ssim(@a) if @b else None",
    }
    file.write_text(json.dumps(content))
    expected = {"recon_monai.engines.begin_command", "recon_monai.networks.VarNet", "recon_monai.metrics.ssim"}
    assert configured_names([file]) == expected


def test_one_network_does_not_reach_the_others():
    found = reached(["recon_monai.networks.MDCSRN"])
    assert "recon_monai.networks.nets.mdcsrn" in found.modules
    assert not [name for name in found.modules if "varnet" in name or "dircn" in name or ".engines" in name]
    assert found.passed_on["recon_monai.networks"] == {"MDCSRN"}
    assert "torch" in found.third_party and "math" not in found.third_party


def test_a_name_hides_the_module_of_the_same_name():
    """`from recon_monai.physics import low_resolution_maps` is the function, and so it must be in a copy."""
    found = reached(["recon_monai.networks.AnatomyClassifier"])
    assert "low_resolution_maps" in found.passed_on["recon_monai.physics"]
    assert "recon_monai.physics.low_resolution_maps" in found.modules


def test_lazy_and_optional_imports_count_and_those_for_type_checkers_do_not():
    found = reached(["recon_monai.data.built_in_dataset"])
    assert "recon_monai.data.demo.built_in" in found.modules
    assert "require" in found.passed_on["recon_monai.data"], "which code of the __init__ itself calls"
    assert "nilearn" in found.optional
    command = reached(["recon_monai.commands.release.release"])
    assert "recon_monai.networks.weights" in command.modules, "imported inside of a function"


def test_modules_that_python_loads_are_among_those_found():
    """An independent account: what an import really brings, in a process of its own."""
    code = (
        "import sys, recon_monai.losses.reconstruction\nprint([n for n in sys.modules if n.startswith('recon_monai')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in eval(done.stdout) if name.endswith((".reconstruction", ".ssim"))}
    found = reached(["recon_monai.losses.ReconstructionLoss"]).modules
    assert "recon_monai.losses.reconstruction" in loaded <= found


@pytest.mark.parametrize("name", ["recon_monai.networks.NoSuchNet", "recon_monai.physics.nothing"])
def test_a_name_that_leads_nowhere(name):
    with pytest.raises(ValueError, match=r"recon_monai\.\w+ has no \w+; a configuration or an import names it wrongly"):
        reached([name])
