"""One more anatomy for a trained universal network, which stays what it is for the others."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.runs import find_weights
from recon_monai.networks import UniversalVarNet, adopt_anatomies, load_weights
from recon_monai.networks.architecture import decode_record

__all__ = ["AnatomyAddition", "check_only_added", "joined_domain"]

_RECORD = "base.json"

logger = logging.getLogger(__name__)


class AnatomyAddition:
    """What a run starts from that adds an anatomy to a trained `UniversalVarNet`, and what it must leave alone.

    Takes the place of the stages in a training configuration: `run`, then `prepare`.

    Args:
        bundle_root: the bundle's folder.
        output_dir: the run's folder.
        anatomy: name of the new anatomy.
        base: file of the trained network; None takes the newest finished run of the architecture, else the weights
            that the bundle ships (see ``find_weights``).
        start_from: the new anatomy starts with the parameters of this one; None with the mean over all.
        resume: whether the run is resumed; it then goes on with the base it began with.

    Attributes:
        weights: the file of the base; empty before `prepare`.
    """

    def __init__(
        self,
        bundle_root: str,
        output_dir: str,
        anatomy: str | None,
        base: str | None = None,
        start_from: str | None = None,
        resume: bool | str = False,
    ) -> None:
        self.root = bundle_root
        self.folder = Path(output_dir)
        self.anatomy = anatomy
        self.base = base
        self.start_from = start_from
        self.resume = bool(resume)
        self.weights = ""
        self._before: dict[str, torch.Tensor] = {}

    def run(self) -> None:
        """Check what was asked for; there are no stages before this one.

        Raises:
            ValueError: if the new anatomy has no name.
        """
        if not isinstance(self.anatomy, str) or not self.anatomy:
            raise ValueError(f"--new_anatomy is {self.anatomy!r}, expected the name of an anatomy, for example mouse")

    def prepare(self, network: nn.Module) -> None:
        """Load the base, add the anatomy, and freeze all but its parameters, in place. Make optimizers after this.

        Args:
            network: a `UniversalVarNet` of the base's sizes, whatever its anatomies.

        Raises:
            TypeError: if it is another network.
            ValueError: if the base does not fit or knows the anatomy, ``start_from`` is unknown, the classifier has no
                feature statistics, or a resumed run began with another base.
            FileNotFoundError: if there is no base.
        """
        if not isinstance(network, UniversalVarNet):
            raise TypeError(f"the network is {type(network).__name__}, expected UniversalVarNet")
        self.run()
        self.weights = distributed.agree(self._find(network) if distributed.is_main() else "")
        load_weights(adopt_anatomies(network, self.weights), self.weights)
        self._check(network)
        self._before = {key: value.clone() for key, value in network.state_dict().items()}
        name = str(self.anatomy)
        network.set_anatomies([*network.anatomies, name])
        parameters = network.anatomy_parameters(name)
        if self.start_from is not None:
            with torch.no_grad():
                for own, other in zip(parameters, network.anatomy_parameters(self.start_from), strict=True):
                    own.copy_(other)
        network.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        logger.info(
            "%s is added to %s; %d of %d parameters are trained, which start as %s",
            name,
            ", ".join(network.anatomies[:-1]),
            sum(parameter.numel() for parameter in parameters),
            sum(parameter.numel() for parameter in network.parameters()),
            f"those of {self.start_from}" if self.start_from else "the mean over these anatomies",
        )

    def check_only_added(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Compare weights with the base, see `check_only_added`.

        Args:
            weights: a state dict of the network.

        Raises:
            RuntimeError: if anything but the new anatomy differs, or `prepare` has not been called.
        """
        if not self._before:
            raise RuntimeError("there is no base to compare with; call prepare first")
        check_only_added(self._before, weights)

    def describe(self, domain: Mapping[str, Any]) -> dict[str, Any]:
        """What the whole network was trained on.

        Args:
            domain: of the new anatomy, see ``training_domain``.

        Returns:
            It joined with that beside the base, and the name of the base and the new anatomy.

        Raises:
            RuntimeError: if `prepare` has not been called.
        """
        if not self._before:
            raise RuntimeError("there is no base to describe; call prepare first")
        weights = Path(self.weights)
        candidates = (weights.with_suffix(".json"), weights.with_name("model.json"))
        record = next((file for file in candidates if file.is_file()), None)
        if record is None:
            logger.warning("%s has no record beside it of what it was trained on; only the new data are", self.weights)
        known = {} if record is None else json.loads(record.read_text(encoding="utf-8"))
        base = {**self._identity(), "weights": weights.name}  # folders mean nothing where the weights go
        return {**joined_domain(known, domain), "added_anatomy": self.anatomy, "base": base}

    def remember(self) -> None:
        """Write which base the run has into its folder, for when it is resumed."""
        if distributed.is_main() and not (self.folder / _RECORD).is_file():
            with atomic_path(self.folder / _RECORD) as temporary:
                temporary.write_text(json.dumps(self._identity(), indent=2) + "\n", encoding="utf-8")

    def _identity(self) -> dict[str, str]:
        return {"weights": self.weights, "sha256": _hash(self.weights)}

    def _find(self, network: nn.Module) -> str:
        file = self.folder / _RECORD
        begun = json.loads(file.read_text(encoding="utf-8")) if self.resume and file.is_file() else {}
        found = find_weights(self.root, network, self.base or begun.get("weights"), option="--base")
        if begun and _hash(found) != begun["sha256"]:
            raise ValueError(
                f"{self.folder} was begun with {begun['weights']}, and {found} holds other weights; resume with the "
                "same --base, or start a new run"
            )
        return found

    def _check(self, network: UniversalVarNet) -> None:
        known = ", ".join(network.anatomies)
        if self.anatomy in network.anatomies:
            raise ValueError(
                f"{self.weights} knows the anatomy {self.anatomy!r} already ({known}); choose another --new_anatomy, "
                "or name weights that do not know it by --base"
            )
        if self.start_from is not None and self.start_from not in network.anatomies:
            raise ValueError(f"--start_from {self.start_from}: {self.weights} knows {known}; choose one of these")
        if not bool(network.classifier.feature_count.all()):
            raise ValueError(
                f"{self.weights}: the classifier has no feature statistics of its anatomies, so that no other can be "
                "told from them; train it by train.json"
            )


def check_only_added(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights of a `UniversalVarNet` in which more than anatomies after the old ones is new.

    Args:
        before: the state dict without the new anatomies.
        after: the state dict with them. Every tensor of ``before`` is in it with the same bits, outputs of the
            classifier and its statistics as the first rows.

    Raises:
        RuntimeError: if something differs; names it.
    """
    for key, old in before.items():
        now = after.get(key)
        if now is not None and key.endswith("_extra_state"):
            records = decode_record(old), decode_record(now)
            same = _without_new(records[1], records[0]) == records[0]
        else:
            same = now is not None and _same_bits(old, now[: len(old)] if old.ndim else now)
        if not same:
            raise RuntimeError(
                f"{key} is not what it was before the anatomy was added, so the results of the old anatomies would "
                "change; the weights are not written"
            )


def joined_domain(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What weights were trained on that were trained on one set of data and then another.

    Args:
        known: as of ``training_domain``, or part of it; other entries are left out.
        new: as of ``training_domain``.

    Returns:
        Slices added, lists united, ranges spanned; the kind of mask is that of ``known``.
    """
    joined = dict(new)
    for key in ("anatomies", "acquisitions", "sources"):
        names = {**known.get(key, {}), **new[key]}
        joined[key] = {name: known.get(key, {}).get(name, 0) + new[key].get(name, 0) for name in names}
    for key in ("coils", "accelerations", "center_fractions"):
        joined[key] = sorted({*known.get(key, ()), *new[key]})
    if "image_sizes" in joined and "image_sizes" in known:
        sides = [*known["image_sizes"], *new["image_sizes"]]
        joined["image_sizes"] = [min(sides), max(sides)]
    elif known:
        joined.pop("image_sizes", None)
    joined["mask"] = known.get("mask", new["mask"])
    return joined


def _without_new(record: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """A record as it was before anatomies came after the old ones."""
    if "anatomies" not in record:
        return record
    return {**record, "anatomies": record["anatomies"][: len(old.get("anatomies", ()))]}


def _same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Also where a comparison of numbers would not see it, as of 0 and -0, or would, as of NaN and itself."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return torch.equal(*(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8) for value in (first, second)))


def _hash(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
