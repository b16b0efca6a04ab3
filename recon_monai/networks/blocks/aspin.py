"""Anatomy-specific instance normalization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.precision import full_precision
from recon_monai.physics import is_recorded

__all__ = ["ASPIN"]


class ASPIN(nn.Module):
    """Instance normalization with an affine map of its own for each anatomy (Liu et al. 2021, arXiv:2103.05214).

    ``gamma_a * (h - mean) / std + beta_a`` for each channel of each sample, with the sample's mean and (biased)
    standard deviation and the parameters of its anatomy ``a``. Given probabilities in place of an anatomy, parameters
    are mixed by them. With ``gamma = 1`` and ``beta = 0``, where training starts, it is plain instance normalization.

    Each anatomy has tensors of its own (``gamma[a]``, ``beta[a]``), so that one of them can be trained, added or taken
    away while the others stay bit for bit what they are.

    Args:
        anatomies: how many.
        channels: number of channels.
        eps: added to the variance.

    Raises:
        ValueError: if there is no anatomy or no channel.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import ASPIN
        >>> norm = ASPIN(anatomies=2, channels=8)
        >>> features = torch.randn(4, 8, 16, 16)
        >>> by_index = norm(features, torch.tensor([0, 1, 1, 0]))
        >>> by_weight = norm(features, torch.full((4, 2), 0.5))  # unsure: parameters are mixed
        >>> torch.allclose(by_index, torch.nn.functional.instance_norm(features), atol=1e-6)  # before training
        True
    """

    def __init__(self, anatomies: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        if anatomies < 1 or channels < 1:
            raise ValueError(f"ASPIN needs at least one anatomy and one channel, got {anatomies} and {channels}.")
        self.gamma = nn.ParameterList(torch.ones(channels) for _ in range(anatomies))
        self.beta = nn.ParameterList(torch.zeros(channels) for _ in range(anatomies))
        self.channels = channels
        self.eps = eps

    def forward(self, features: torch.Tensor, anatomy: torch.Tensor) -> torch.Tensor:
        """Normalize features.

        Args:
            features: shape ``(B, channels, H, W)``.
            anatomy: int64 index ``(B,)``, or weights (probabilities) ``(B, anatomies)``; one-hot int64 will do.

        Returns:
            A new tensor of the same shape and memory format.

        Raises:
            ValueError: if `anatomy` does not fit in dtype or shape, or an index is out of range. On a device other than
                the CPU, where reading an index would wait for all work before it, a sample whose index is out of range
                becomes NaN instead.
        """
        gamma, beta = (values.to(features.dtype).flatten() for values in self.affine(anatomy, features.shape[0]))
        batch, channels, height, width = features.shape
        if is_recorded():  # the number of groups would be that of one batch for ever
            normalized = torch.group_norm(features, self.channels, eps=self.eps)
            return torch.addcmul(beta.view(-1, self.channels, 1, 1), normalized, gamma.view(-1, self.channels, 1, 1))
        # One group per sample and channel: the kernel of group normalization is the fast one, and takes an affine map.
        grouped = features.contiguous().reshape(1, batch * channels, height, width)
        result = torch.group_norm(grouped, batch * channels, gamma, beta, self.eps).reshape(features.shape)
        return result if features.is_contiguous() else result.contiguous(memory_format=torch.channels_last)

    def affine(self, anatomy: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The parameters of each sample.

        Args:
            anatomy: as for `forward`.
            batch: number of samples.

        Returns:
            ``gamma`` and ``beta``, each of shape ``(B, channels)``.

        Raises:
            ValueError: as `forward`.
        """
        count, is_index = len(self.gamma), anatomy.dtype == torch.int64
        shapes = [(batch, count), (batch,)] if is_index else [(batch, count)]
        if not (is_index or anatomy.is_floating_point()) or anatomy.shape not in shapes:
            raise ValueError(
                f"anatomy must be an index ({batch},) of int64 or weights ({batch}, {count}), got {anatomy.dtype} of "
                f"shape {tuple(anatomy.shape)}."
            )
        if anatomy.ndim == 1:
            anatomy = _one_hot(anatomy, count)
        gamma, beta = torch.stack(list(self.gamma)), torch.stack(list(self.beta))
        with full_precision(gamma):
            # An anatomy of weight 0 adds exact zeros: one-hot weights give the parameters themselves.
            weights = anatomy.to(gamma.dtype)
            return weights @ gamma, weights @ beta

    def select(self, sources: Sequence[int | None]) -> None:
        """Change which anatomies there are, in place.

        Args:
            sources: for each anatomy from now on the index of the one whose parameters it takes over, or None for the
                mean of all there are.
        """
        self.gamma, self.beta = (_selected(list(values), sources) for values in (self.gamma, self.beta))

    def extra_repr(self) -> str:
        """Describe the layer in the printed network."""
        return f"{len(self.gamma)} anatomies, {self.channels}, eps={self.eps}"


def _one_hot(index: torch.Tensor, count: int) -> torch.Tensor:
    if index.device.type == "cpu":
        if not bool(((index >= 0) & (index < count)).all()):
            raise ValueError(f"anatomy is {index.tolist()}, expected indices from 0 to {count - 1}.")
        return F.one_hot(index, count)
    return _one_hot_or_nan(index, count)


def _one_hot_or_nan(index: torch.Tensor, count: int) -> torch.Tensor:
    # torch's own stops the whole process on a GPU where an index is out of range
    weights = (index[:, None] == torch.arange(count, device=index.device)).float()
    return weights.masked_fill(((index < 0) | (index >= count))[:, None], float("nan"))


def _selected(old: list[torch.Tensor], sources: Sequence[int | None]) -> nn.ParameterList:
    mean = torch.stack(old).detach().mean(dim=0)
    return nn.ParameterList(mean.clone() if source is None else old[source] for source in sources)
