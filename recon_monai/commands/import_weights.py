"""`recon-monai import-weights`: published weights into weights that a bundle loads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from recon_monai.networks import DIRCN, MDCSRN, VarNet

__all__ = ["import_dircn", "import_fastmri", "import_mdcsrn"]

logger = logging.getLogger(__name__)

# what inferring sizes, and making a network of them, ends with where the names are right and the tensors are not
_IMPOSSIBLE_SIZES = (ArithmeticError, LookupError, RuntimeError, TypeError)


def import_fastmri(file: str, *, output: str, overwrite: bool = False) -> None:
    """Turn weights of fastMRI's end-to-end variational network into weights for the bundle universal_varnet.

    Writes OUTPUT and, beside it, the sizes of the network as a configuration file, OUTPUT without its suffix and with
    _network.json. Both go to the bundle together:

        recon-monai import-weights fastmri knee_leaderboard_state_dict.pt --output knee.pt
        python -m monai.bundle run inference --ckpt knee.pt --dataset_dir FOLDER
            --config_file "['bundles/universal_varnet/configs/inference.json',
                'bundles/universal_varnet/configs/evaluate_plain.json', 'knee_network.json']"

    Args:
        file: a state dict of fastMRI's VarNet, or a Lightning checkpoint of its VarNetModule.
        output: the file for the weights, for example knee.pt.
        overwrite: replace files that exist.
    """
    from recon_monai.networks import varnet_from_fastmri

    _import(varnet_from_fastmri, file, output, overwrite)


def import_dircn(file: str, *, output: str, overwrite: bool = False) -> None:
    """Turn weights that the authors' own code of DIRCN wrote into weights for the bundle weighted_dircn.

    Writes OUTPUT and, beside it, the sizes of the network as a configuration file, OUTPUT without its suffix and with
    _network.json. Both go to the bundle together:

        recon-monai import-weights dircn state_dict.pt --output dircn.pt
        python -m monai.bundle run inference --ckpt dircn.pt --dataset_dir FOLDER
            --config_file "['bundles/weighted_dircn/configs/inference.json', 'dircn_network.json']"

    Args:
        file: a state dict of DIRCN with concatenation or with weighted sums, with data consistency by lambda.
        output: the file for the weights, for example dircn.pt.
        overwrite: replace files that exist.
    """
    from recon_monai.networks import dircn_from_original

    _import(dircn_from_original, file, output, overwrite)


def import_mdcsrn(file: str, *, output: str, overwrite: bool = False) -> None:
    """Turn weights of a published mDCSRN generator (the code of the course E6040) into weights for mdcsrn_wgan_gp.

    Writes OUTPUT and, beside it, the sizes of the network as a configuration file, OUTPUT without its suffix and with
    _network.json, by which the network makes the image itself and not what is added to its input. Both go to the
    bundle together:

        recon-monai import-weights mdcsrn state_dict.pt --output mdcsrn.pt
        python -m monai.bundle run inference --ckpt mdcsrn.pt --dataset_dir FILE_OR_FOLDER --target_spacing 0.7
            --config_file "['bundles/mdcsrn_wgan_gp/configs/inference.json', 'mdcsrn_network.json']"

    Args:
        file: a state dict of the generator, with batch normalization.
        output: the file for the weights, for example mdcsrn.pt.
        overwrite: replace files that exist.
    """
    from recon_monai.networks import mdcsrn_from_e6040

    _import(mdcsrn_from_e6040, file, output, overwrite)


def _import(
    convert: Callable[[dict[str, torch.Tensor]], VarNet | DIRCN | MDCSRN], file: str, output: str, overwrite: bool
) -> None:
    import torch

    from recon_monai.data import atomic_path
    from recon_monai.networks.published import network_overlay, read_state_dict

    if isinstance(output, bool) or not isinstance(overwrite, bool):
        raise ValueError("expected --output FILE, and --overwrite without a value")
    weights_file = Path(str(output))
    overlay_file = weights_file.with_name(f"{weights_file.stem}_network.json")
    existing = [str(path) for path in (weights_file, overlay_file) if path.exists()]
    if existing and not overwrite:
        raise ValueError(f"{' and '.join(existing)} exist(s) already; give --overwrite to replace, or another --output")
    try:
        published = read_state_dict(str(file))
        network = convert(published).float()
    except ValueError as error:
        raise ValueError(str(error) if str(file) in str(error) else f"{file}: {error}") from error
    except _IMPOSSIBLE_SIZES as error:
        raise ValueError(
            f"{file}: its tensors have shapes or types that weights of such a network cannot have ({error}); expected "
            "weights as their authors' code wrote them"
        ) from error
    overlay = {
        "_desc_": f"Overlay: the network whose weights are in {weights_file.name}, imported from {Path(file).name}",
        **network_overlay(network),
    }
    with atomic_path(weights_file) as temporary:
        torch.save(network.state_dict(), temporary)
    with atomic_path(overlay_file) as temporary:
        temporary.write_text(json.dumps(overlay, indent=4) + "\n")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    logger.info("matched: %s", _matched(network, published))
    logger.info("weights: %s (%s parameters, float32)", weights_file, f"{parameters:,}")
    logger.info("network: %s\n%s", overlay_file, json.dumps(overlay, indent=4))


def _matched(network: VarNet | DIRCN | MDCSRN, published: Mapping[str, torch.Tensor]) -> str:
    """How many tensors of a file the network has; loading would have failed if it had others."""
    added = ("_extra_state", "num_batches_tracked")  # our record, and counts that old files do not have
    used = sum(not name.endswith(added) for name in network.state_dict())
    used += sum(name.endswith("num_batches_tracked") for name in published)
    text = f"{used} of {len(published)} tensors of the file, all that the network has"
    if used == len(published):
        return text
    return f"{text}; {len(published) - used} left out, which have no part in a reconstruction"
