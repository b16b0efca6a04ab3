"""Networks with the weights that the bundles of the repository ship."""

from __future__ import annotations

from torch import nn

from recon_monai.inference import bundle_folder
from recon_monai.networks import adopt_anatomies, load_weights

__all__ = ["NOTE", "bundle_folder", "shipped_network"]

NOTE = "shipped weights, trained on other data"
"""What tables say of them."""


def shipped_network(name: str) -> nn.Module:
    """The network of a bundle with its shipped weights, in evaluation mode on the CPU.

    Args:
        name: ``universal_varnet``, ``weighted_dircn`` or ``mdcsrn_wgan_gp``.

    Returns:
        The network.

    Raises:
        FileNotFoundError: if the bundle is not there.
        ValueError: if weights and configuration do not fit each other.
    """
    from monai.bundle import ConfigParser

    folder = bundle_folder(name)
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "evaluate.json"))
    weights = folder / "models" / "model.pt"
    network = adopt_anatomies(parser.get_parsed_content("network_def"), weights)
    return load_weights(network, weights).eval()
