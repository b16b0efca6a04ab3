"""The densely interconnected residual cascading network, DIRCN, and its variant with weighted sums.

Ottesen et al. 2023 (MAGMA, "A densely interconnected network for deep learning accelerated MRI"). Dense connections
between cascades as weighted sums in place of concatenation follow the weighted feature aggregation of Liu et al. 2020
("WAFPN").

Multi-coil k-space is never kept between cascades; see `Estimate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from recon_monai.networks.blocks.data_consistency import combine_measured, combine_sampled, correct_measured
from recon_monai.networks.blocks.res_xunet import NormResXUNet
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.reconstruction import Reconstruction, ReconstructionNetwork
from recon_monai.networks.nets.varnet import Acquisition, Checkpointing
from recon_monai.networks.precision import full_precision
from recon_monai.physics import decenter_mask, rss

__all__ = ["DIRCN", "Aggregation", "DIRCNCascade", "DIRCNPart", "DataConsistency"]

Aggregation = Literal["none", "concat", "sum", "normalized_sum"]
DataConsistency = Literal["soft", "variational"]
DIRCNPart = Literal["sensitivity", "cascades", "old_cascades"]

_INITIAL_WEIGHT = {"soft": 0.01, "variational": 1.0}  # of data consistency
_INITIAL_AGGREGATION = {"sum": 1.0, "normalized_sum": math.log(math.expm1(1))}  # softplus of the latter is 1


class Estimate(NamedTuple):
    """K-space of all coils as two images, which is exact.

    ``k = weight * M k0 + F S everywhere + M F S where_sampled`` with measured k-space ``k0``, mask ``M``, Fourier
    transform ``F`` and coil maps ``S``. Both kinds of data consistency keep this form.

    Attributes:
        weight: share of the measured samples, real, shape ``(1,)``.
        everywhere: complex image, shape ``(B, 1, H, W)``.
        where_sampled: complex image, shape ``(B, 1, H, W)``.
    """

    weight: torch.Tensor
    everywhere: torch.Tensor
    where_sampled: torch.Tensor


class Passed(NamedTuple):
    """What a cascade passes to the next one.

    Attributes:
        estimate: of k-space.
        history: the images that entered refinement networks so far, complex: all of them, newest first, for
            ``"concat"``; their sum ``(B, 1, H, W)`` for the sums; None for ``"none"``.
        features: of the refinement network, for interconnections; None without.
    """

    estimate: Estimate
    history: torch.Tensor | None
    features: list[torch.Tensor] | None


class DIRCNCascade(nn.Module):
    """One iteration: combine the coils, refine the image with what came before, expand it, trust what was measured.

    ``x_i = S^H F^-1 k_i`` is refined to ``y_i`` together with the images of earlier cascades and the features of the
    last one. With ``"soft"`` data consistency the next k-space is ``F S y_i`` where nothing was measured, and
    ``(k0 + lambda F S y_i) / (1 + lambda)`` where something was; with ``"variational"`` it is
    ``k_i - eta M (k_i - k0) - F S y_i`` as in `VarNetCascade`.

    `data_consistency_weight` is lambda (0.01 at first) or eta (1 at first). Neither is bounded, so that published
    weights keep their meaning. A lambda below 0 steps beyond the measured samples, away from the network's, and the
    result grows without bound towards the pole at -1. Training does go there: the weights of `weighted_dircn` have
    lambdas from -0.9 to -0.2, so that images within the cascade are larger than the one that comes out.

    Args:
        refinement: as `NormResXUNet`: ``refinement.refine(images, interconnections, newest=...)`` returns an image and
            features.
        aggregation: as of `DIRCN`.
        data_consistency: as of `DIRCN`.
        first: whether it is the first cascade, to which none passes anything.
        interconnections: whether features are passed on, and taken unless it is the first.
    """

    def __init__(
        self,
        refinement: nn.Module,
        *,
        aggregation: Aggregation,
        data_consistency: DataConsistency,
        first: bool,
        interconnections: bool,
    ) -> None:
        super().__init__()
        self.aggregation = aggregation
        self.data_consistency = data_consistency
        self.interconnections = interconnections
        self.refinement = refinement
        self.data_consistency_weight = nn.Parameter(torch.full((1,), _INITIAL_WEIGHT[data_consistency]))
        summed = aggregation in _INITIAL_AGGREGATION and not first
        self.aggregation_weight = nn.Parameter(torch.full((1,), _INITIAL_AGGREGATION[aggregation])) if summed else None

    def forward(self, passed: Passed | None, acquisition: Acquisition) -> Passed:
        """Improve the estimate.

        Args:
            passed: by the last cascade; None to the first.
            acquisition: what was measured.

        Returns:
            What to pass to the next one.
        """
        with full_precision(acquisition.image):
            image = acquisition.image if passed is None else _combined(passed.estimate, acquisition)
            history = self._aggregated(image, None if passed is None else passed.history)
        refined, features = self.refinement.refine(  # type: ignore[operator]
            image if history is None else history,
            None if passed is None else passed.features,
            newest=image if self.aggregation == "normalized_sum" else None,
        )
        with full_precision(acquisition.image):
            estimate = self._consistent(refined, None if passed is None else passed.estimate)
        return Passed(estimate, history, features if self.interconnections else None)

    def _aggregated(self, image: torch.Tensor, history: torch.Tensor | None) -> torch.Tensor | None:
        if self.aggregation == "none":
            return None
        if history is None:
            return image
        weight = self.aggregation_weight
        if weight is None:
            return torch.cat([image, history], dim=1)
        if self.aggregation == "sum":
            return image + weight * history
        positive = F.softplus(weight)
        return (image + positive * history) / (1 + positive)

    def _consistent(self, refined: torch.Tensor, estimate: Estimate | None) -> Estimate:
        weight = self.data_consistency_weight
        if self.data_consistency == "soft":
            share = 1 / (1 + weight)
            return Estimate(share, refined, -share * refined)
        if estimate is None:
            nothing = torch.zeros_like(refined)
            estimate = Estimate(torch.ones_like(weight), nothing, nothing)
        everywhere, where_sampled = estimate.everywhere, estimate.where_sampled
        where_sampled = where_sampled - weight * (where_sampled + everywhere)
        return Estimate(estimate.weight, everywhere - refined, where_sampled)


class DIRCN(ReconstructionNetwork):
    """Densely interconnected residual cascading network: coil maps from the calibration lines, then cascades.

    ``DIRCN(30, 20, 12, sensitivity_groups=1, aggregation="concat")`` is the network of the paper (61 million
    parameters). With sums every refinement network sees one image; the normalized sum, with soft data consistency, also
    keeps its amplitude, however many cascades there are (the variational step adds to it).

    K-space, coil maps and data consistency stay in the precision of the input under autocast, which acts on the
    refinement networks alone. Scaling the input scales the output. Empty slices and empty coils give zeros.

    Args:
        num_cascades: number of cascades; each has weights of its own.
        channels: width of the refinement network of a cascade at full resolution.
        sensitivity_channels: width of the network for the coil maps.
        groups: groups of the grouped convolutions of a refinement network at full resolution.
        sensitivity_groups: the same of the network for the coil maps.
        se_ratio: as of `SqueezeExcitation`, in both; 0: without it.
        aggregation: what a refinement network sees, of the image ``x_i`` of its cascade and those before: ``"none"``:
            ``x_i`` alone; ``"concat"``: all of them, newest first; ``"sum"``: ``s_i = x_i + w_i s_(i-1)``, with
            the result in the scale of ``s_i``, which grows with each cascade; ``"normalized_sum"``:
            ``s_i = (x_i + w_i s_(i-1)) / (1 + w_i)``, ``w_i = softplus(v_i)``, with the result in the scale of
            ``x_i``. The weight of a cascade is learned, ``w_i = 1`` at first; the first cascade has none.
        interconnections: whether the features of the way up of a refinement network join the skip connections of the
            next one.
        data_consistency: ``"soft"`` or ``"variational"``, see `DIRCNCascade`.
        refinement: makes the refinement network of a cascade, in place of ``NormResXUNet(channels, groups,
            se_ratio)``; called as ``refinement(images=..., interconnections=...)`` once per cascade.
        sensitivity_network: network for the coil maps, in place of a `SensitivityNetwork` with
            ``NormResXUNet(sensitivity_channels, sensitivity_groups, se_ratio)`` and the calibration rule ``"run"``;
            called as ``network(kspace, mask, checkpointing=...)``. It must not use samples outside the mask.
        checkpointing: as of `VarNet`. With ``"all"``, only what cascades pass to each other is kept; the features of
            interconnections are by far the largest part of it.

    Raises:
        ValueError: for no cascade, an unknown option, or as of `NormResXUNet`.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import DIRCN
        >>> kspace = torch.randn(1, 4, 48, 40, dtype=torch.complex64)  # batch, coil, H, W
        >>> mask = torch.arange(40) % 4 == 0
        >>> mask[16:24] = True  # calibration lines
        >>> network = DIRCN(2, 4, 4, groups=2, sensitivity_groups=2, aggregation="normalized_sum")
        >>> network(kspace * mask, mask).shape
        torch.Size([1, 1, 48, 40])
    """

    def __init__(
        self,
        num_cascades: int = 5,
        channels: int = 8,
        sensitivity_channels: int = 4,
        *,
        groups: int = 4,
        sensitivity_groups: int = 2,
        se_ratio: float = 1 / 8,
        aggregation: Aggregation = "normalized_sum",
        interconnections: bool = True,
        data_consistency: DataConsistency = "soft",
        refinement: Callable[..., nn.Module] | None = None,
        sensitivity_network: nn.Module | None = None,
        checkpointing: Checkpointing = "none",
    ) -> None:
        super().__init__()
        if num_cascades < 1:
            raise ValueError(f"num_cascades must be at least 1, got {num_cascades}.")
        for name, value, choices in (
            ("aggregation", aggregation, Aggregation),
            ("data_consistency", data_consistency, DataConsistency),
            ("checkpointing", checkpointing, Checkpointing),
        ):
            if value not in get_args(choices):
                raise ValueError(f"unknown {name} {value!r}; use one of {get_args(choices)}.")
        self.architecture = {
            "num_cascades": num_cascades,
            "aggregation": aggregation,
            "interconnections": interconnections,
            "data_consistency": data_consistency,
        }
        self.checkpointing = checkpointing
        self.make_refinement = refinement or partial(NormResXUNet, channels, groups, se_ratio)
        self.sensitivity_network = sensitivity_network or SensitivityNetwork(
            refinement=NormResXUNet(sensitivity_channels, sensitivity_groups, se_ratio), calibration="run"
        )
        self.cascades = nn.ModuleList(self._make_cascade(index) for index in range(num_cascades))
        self.num_old_cascades = 0

    def reconstruct(
        self, kspace: torch.Tensor, mask: torch.Tensor | None = None, *, num_cascades: int | None = None
    ) -> Reconstruction:
        """Reconstruct magnitude images, and return the coil images and maps with them.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask of any dtype, shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or ``(B, 1, H, W)``;
                None infers it from the zeros of k-space.
            num_cascades: stop after this many cascades; None for all. Of a network that was grown, the old cascades
                still give exactly what they gave before.

        Returns:
            The reconstruction, in the scale of the input.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if shapes do not fit, or there are not that many cascades.
        """
        count = len(self.cascades) if num_cascades is None else num_cascades
        if not 1 <= count <= len(self.cascades):
            raise ValueError(f"num_cascades must be between 1 and {len(self.cascades)}, got {count}.")
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        maps = self.sensitivity_network(kspace, mask, checkpointing=self.checkpointing != "none")
        with full_precision(kspace):
            image, energy = combine_measured(kspace, mask, maps)
            acquisition = Acquisition(image, energy, maps, decenter_mask(mask).to(energy.dtype))
        estimate = self._iterate(acquisition, count)
        with full_precision(kspace):
            coil_images = correct_measured(
                kspace * estimate.weight,
                mask,
                -estimate.everywhere,
                -estimate.where_sampled,
                maps,
                acquisition.sampled,
            )
            return Reconstruction(rss(coil_images), coil_images, maps)

    def grow(self, count: int = 1) -> None:
        """Append cascades, in place; those that were there are the old ones from now on (see `freeze`).

        A new cascade starts as a copy of the last old one. Where it takes more (the second cascade takes
        interconnections, which the first does not; by concatenation, each takes one image more), the weights for that
        are 0, so that it computes what the copied cascade computes of the rest; its weight of a sum starts at 1 if the
        copied cascade has none.

        The old cascades are left exactly as they are: `reconstruct` with ``num_cascades=network.num_old_cascades``
        returns what the network returned before. The grown network as a whole does not: its image is that of the last
        cascade, which replaces the one before, and no weights make a refinement network with normalization and without
        a connection around it return its input.

        Args:
            count: number of new cascades.

        Raises:
            ValueError: if it is below 1.
        """
        if count < 1:
            raise ValueError(f"the number of new cascades must be at least 1, got {count}.")
        old = len(self.cascades)
        like: Any = self.cascades[-1].data_consistency_weight
        for index in range(old, old + count):
            self.cascades.append(self._make_cascade(index).to(like).train(self.training))
        self.architecture["num_cascades"] = old + count
        self.start_as_copies(old)

    def start_as_copies(self, num_old: int) -> None:
        """Make all but the first cascades copies of the last of these, as `grow` does, in place.

        Args:
            num_old: number of cascades that stay as they are; the old ones from now on.

        Raises:
            ValueError: unless there is at least one old and one other.
        """
        if not 1 <= num_old < len(self.cascades):
            raise ValueError(f"expected 1 to {len(self.cascades) - 1} old cascades, got {num_old}.")
        source = dict(self.cascades[num_old - 1].named_parameters())
        with torch.no_grad():
            for cascade in self.cascades[num_old:]:
                for name, parameter in cascade.named_parameters():
                    if name in source:
                        _copy_leading(source[name], parameter)
        self.num_old_cascades = num_old

    def freeze(self, parts: str | Sequence[str]) -> None:
        """Choose what is trained: all but the parts that are named. Make the optimizer after this.

        The weights of aggregation and data consistency belong to their cascade and are frozen with it, so that frozen
        cascades keep giving exactly what they gave. The authors' code trains those weights always.

        Args:
            parts: one or more of ``"sensitivity"`` (the network for the coil maps), ``"cascades"`` and
                ``"old_cascades"`` (those that were there before the network was grown).

        Raises:
            ValueError: for another part; for ``"old_cascades"`` of a network that was not grown; or if nothing is left
                to train.
        """
        names = [parts] if isinstance(parts, str) else list(parts)
        for name in names:
            if name not in get_args(DIRCNPart):
                raise ValueError(f"unknown part {name!r}; use some of {get_args(DIRCNPart)}.")
        if "old_cascades" in names and not self.num_old_cascades:
            raise ValueError("no cascade is older than another; grow the network before its old cascades are frozen.")
        if {"sensitivity", "cascades"} <= set(names):
            raise ValueError(f"nothing is left to train without {' and '.join(names)}; freeze one of them only.")
        self.unfreeze()
        frozen: dict[str, list[nn.Module]] = {
            "sensitivity": [self.sensitivity_network],
            "cascades": list(self.cascades),
            "old_cascades": list(self.cascades[: self.num_old_cascades]),
        }
        for name in names:
            for module in frozen[name]:
                module.requires_grad_(False)

    def unfreeze(self) -> None:
        """Train everything. Make the optimizer after this."""
        self.requires_grad_(True)

    def _iterate(self, acquisition: Acquisition, count: int) -> Estimate:
        """The k-space after some cascades."""
        passed: Any = None
        for cascade in self.cascades[:count]:
            if self.checkpointing == "all":
                passed = checkpoint(cascade, passed, acquisition, use_reentrant=False)
            else:
                passed = cascade(passed, acquisition)
        return passed.estimate

    def _make_cascade(self, index: int) -> DIRCNCascade:
        aggregation, interconnections = self.architecture["aggregation"], self.architecture["interconnections"]
        refinement = self.make_refinement(
            images=index + 1 if aggregation == "concat" else 1, interconnections=interconnections and index > 0
        )
        return DIRCNCascade(
            refinement,
            aggregation=aggregation,
            data_consistency=self.architecture["data_consistency"],
            first=index == 0,
            interconnections=interconnections,
        )


def _combined(estimate: Estimate, acquisition: Acquisition) -> torch.Tensor:
    """Combine the coil images of an estimate of k-space."""
    image, energy, maps, sampled = acquisition
    weight, everywhere, where_sampled = estimate
    return weight * image + energy * everywhere + combine_sampled(where_sampled, maps, sampled)


def _copy_leading(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy weights to the leading input channels of those that take more of them, and set the others to 0."""
    if source.shape == target.shape:
        target.copy_(source)
        return
    if source.ndim < 2 or source.shape[0] != target.shape[0] or source.shape[1] > target.shape[1]:
        raise ValueError(f"weights of shape {tuple(source.shape)} cannot start those of shape {tuple(target.shape)}.")
    target.zero_()[:, : source.shape[1]].copy_(source)
