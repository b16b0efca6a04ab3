"""The networks that `scripts/benchmark_parts.py` measures, ours and others' of the same size, each with its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from recon_monai.losses import AttentionDistillationLoss
from recon_monai.networks import FeatureTap, UniversalVarNet, VarNet
from recon_monai.networks.nets.varnet import Checkpointing
from recon_monai.physics import EquispacedFractionMask

ANATOMIES = ("brain", "heart")


class Call:
    """A network and its input.

    Args:
        network: the network.
        inputs: makes its input from settings.
        settings: sizes, shape and device.
    """

    def __init__(
        self, network: torch.nn.Module, inputs: Callable[[dict[str, Any]], tuple[Any, ...]], settings: dict[str, Any]
    ) -> None:
        self.network = network.to(settings["device"])
        self.inputs = inputs(settings)
        # a small one, to load what takes memory once
        self.small = inputs({**settings, "shape": [settings["shape"][0], 64, 64]})

    def __call__(self) -> torch.Tensor:
        """Reconstruct."""
        return self.network(*self.inputs)

    def loss(self, inputs: tuple[Any, ...]) -> torch.Tensor:
        """What a training step minimizes: the same plain loss for all networks, so that ratios are theirs."""
        return (self.network(*inputs) - 1).abs().mean()

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())


class DistillingCall(Call):
    """A student and its input, with a frozen teacher of the same size for each anatomy.

    The sample goes to the teacher of its anatomy, after the student and without an anatomy, as `DistillationTrainer`
    does it.
    """

    def __init__(
        self, network: torch.nn.Module, inputs: Callable[[dict[str, Any]], tuple[Any, ...]], settings: dict[str, Any]
    ) -> None:
        super().__init__(network, inputs, settings)
        self.teachers = {
            anatomy: VarNet(*settings["sizes"]).to(settings["device"]).eval().requires_grad_(False)
            for anatomy in ANATOMIES
        }
        self.distance = AttentionDistillationLoss()

    def loss(self, inputs: tuple[Any, ...]) -> torch.Tensor:
        """The plain loss, and the distance of the student's features to the teacher's."""
        kspace, mask, [anatomy] = inputs
        with FeatureTap(self.network) as student:
            reconstruction = super().loss(inputs)
        with torch.no_grad(), FeatureTap(self.teachers[anatomy]) as teacher:
            self.teachers[anatomy](kspace, mask)
        return 0.9 * reconstruction + 0.1 * self.distance(student.features, teacher.features)


def kspace_and_mask(settings: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Undersampled k-space `(1, coil, H, W)` with a 4x mask; noise is as good as anything for time and memory."""
    coils, height, width = settings["shape"]
    generator = torch.Generator().manual_seed(0)
    mask = EquispacedFractionMask([0.08], [4])(width, seed=0).mask[None]
    kspace = torch.randn(1, coils, height, width, dtype=torch.complex64, generator=generator)
    device = settings["device"]
    return torch.where(mask, kspace, 0).to(device), mask.to(device)


def our_network(settings: dict[str, Any], checkpointing: Checkpointing = "none") -> Call:
    """`VarNet`."""
    network = VarNet(*settings["sizes"], checkpointing=checkpointing)
    return Call(network, kspace_and_mask, settings)


def our_universal_network(settings: dict[str, Any], anatomy: str | None, kind: type[Call] = Call) -> Call:
    """`UniversalVarNet` with ASPIN everywhere; without an anatomy its classifier decides."""

    def inputs(shaped: dict[str, Any]) -> tuple[Any, ...]:
        return *kspace_and_mask(shaped), None if anatomy is None else [anatomy]

    return kind(UniversalVarNet(ANATOMIES, *settings["sizes"]), inputs, settings)


def monai_network(settings: dict[str, Any]) -> Call:
    """MONAI's network of the same widths."""
    from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel
    from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet
    from monai.apps.reconstruction.networks.nets.varnet import VariationalNetworkModel

    cascades, channels, sensitivity_channels = settings["sizes"]

    def features(width: int) -> tuple[int, ...]:
        return (width, 2 * width, 4 * width, 8 * width, 16 * width, width)

    network = VariationalNetworkModel(
        CoilSensitivityModel(spatial_dims=2, features=features(sensitivity_channels)),
        ComplexUnet(spatial_dims=2, features=features(channels)),
        num_cascades=cascades,
    )
    return Call(network, _in_real_pairs, settings)


def fastmri_network(settings: dict[str, Any]) -> Call:
    """FastMRI's own network, the same as ours."""
    from fastmri.models import VarNet as FastMRIVarNet  # type: ignore[import-not-found, unused-ignore]

    cascades, channels, sensitivity_channels = settings["sizes"]
    network = FastMRIVarNet(num_cascades=cascades, chans=channels, sens_chans=sensitivity_channels)
    return Call(network, _in_real_pairs, settings)


def _in_real_pairs(settings: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    kspace, mask = kspace_and_mask(settings)
    return torch.view_as_real(kspace), mask[..., None]
