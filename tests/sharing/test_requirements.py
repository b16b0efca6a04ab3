"""Packages that an exported bundle states."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from recon_monai.sharing import requirement_lines
from recon_monai.sharing.requirements import packages_of


def test_lines_for_pip(metadata):
    metadata["required_packages_version"] = {"h5py": "3.16.0", "scipy": "scipy>=1.11,<2", "recon-monai": "0.1.0"}
    lines = requirement_lines(metadata)
    assert {"monai==1.6.1", "torch==2.13.0", "h5py==3.16.0", "recon-monai==0.1.0"} <= set(lines)
    assert lines == sorted(lines) and len(lines) == 6


def test_distributions_of_modules():
    """Names of imports and of distributions differ, and one module may come from several."""
    found = packages_of({"ignite", "PIL", "itk", "torch", "monai", "numpy", "scipy"}, {"scipy": "1.2.3"})
    assert found["pytorch-ignite"] == version("pytorch-ignite") and found["pillow"] == version("pillow")
    assert found["scipy"] == "1.2.3", "what the bundle declares holds"
    assert "itk" in found and "itk-segmentation" not in found
    assert {"fire", "tensorboard"} <= found.keys(), "MONAI imports them when it runs a bundle"
    assert not {"torch", "monai", "numpy"} & found.keys(), "these have keys of their own"


def test_one_package_has_one_name():
    found = packages_of({"pytorch_optimizer"}, {"pytorch-optimizer": "4.1.0"})
    assert [name for name in found if "optimizer" in name] == ["pytorch-optimizer"]


def test_a_module_that_is_not_installed():
    with pytest.raises(ValueError, match="need the module no_such_module, which is not installed here"):
        packages_of({"no_such_module"}, {})
