"""Networks that write what they are built of into their state dict, and check it on loading."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

__all__ = ["RecordedModule", "decode_record", "encode_record", "first_difference"]


class RecordedModule(nn.Module):
    """Module whose sizes travel with its weights.

    The record is one more tensor in the state dict (PyTorch's "extra state"), so that every tool that handles tensors
    (`torch.load` with ``weights_only=True``, MONAI's `CheckpointLoader`, federated averaging) handles it too.
    `load_state_dict` refuses weights whose record differs.

    Attributes:
        architecture: names and values (numbers, strings, lists of them) of what the module is built of, in the order
            in which differences are reported. Subclasses set it in ``__init__``.
    """

    architecture: dict[str, Any]

    def get_extra_state(self) -> torch.Tensor:
        """Return the record as a tensor."""
        return encode_record(self.architecture)

    def difference(self, record: dict[str, Any]) -> str | None:
        """Compare with the record of weights.

        Args:
            record: what `decode_record` read.

        Returns:
            The first difference in words; None if the weights fit.
        """
        return first_difference(self.architecture, record)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Check a record that came with weights.

        Args:
            state: what `get_extra_state` returned when the weights were saved.

        Raises:
            ValueError: if it is the record of another architecture; the message names the first difference.
        """
        difference = self.difference(decode_record(state))
        if difference is not None:
            raise ValueError(
                f"these weights belong to another {type(self).__name__}: {difference}; build the network with the "
                "sizes of the weights, or load the weights of this network."
            )


def encode_record(record: dict[str, Any]) -> torch.Tensor:
    """Turn a record into a tensor: the bytes of its JSON text, ``uint8``."""
    return torch.tensor(list(json.dumps(record).encode()), dtype=torch.uint8)


def decode_record(state: torch.Tensor) -> dict[str, Any]:
    """Read a record back, also from a tensor that an averaging tool turned into floating point numbers."""
    return json.loads(bytes(state.round().to(torch.uint8).tolist()))


def first_difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Describe the first difference between the record of a network and that of weights; None if there is none."""
    # the kind of network first: it decides which sizes there are
    for key in sorted([*expected, *found], key=lambda name: name != "strategy"):
        ours, theirs = expected.get(key), found.get(key)
        if ours != theirs:
            return f"the weights have {key}={theirs}, the network has {key}={ours}"
    return None
