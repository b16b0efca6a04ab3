"""Networks with the weights that the bundles of the repository ship."""

from __future__ import annotations

from pathlib import Path

from torch import nn

import recon_monai
from recon_monai.networks import adopt_anatomies, load_weights

__all__ = ["bundle_folder", "shipped_network"]


def bundle_folder(name: str) -> Path:
    """Folder of a bundle: in the clone that the package lies in, or below the current folder.

    Args:
        name: of the bundle.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if it is in neither.
    """
    places = [Path(recon_monai.__file__).parents[1] / "bundles" / name, Path("bundles") / name]
    for folder in places:
        if (folder / "models" / "model.pt").is_file():
            return folder
    raise FileNotFoundError(
        f"no weights in {' or '.join(str(place / 'models') for place in places)}; the bundles are in the repository: "
        "run in a clone of it"
    )


def shipped_network(name: str) -> nn.Module:
    """The network of a bundle with its shipped weights, in evaluation mode on the CPU.

    Args:
        name: ``universal_varnet`` or ``weighted_dircn``.

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
