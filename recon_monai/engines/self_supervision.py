"""Training on measured samples that are held out, where there is no reference image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from monai.utils.enums import CommonKeys
from torch import Tensor, nn

from recon_monai.engines.batch import ReconstructionInferer
from recon_monai.engines.trainer import ReconstructionTrainer
from recon_monai.networks import UniversalVarNet, VarNet, adopt_anatomies, load_shared_weights
from recon_monai.physics import fft2c

__all__ = ["KspaceInferer", "SelfSupervisedTrainer", "prepare_fine_tuning"]

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def prepare_fine_tuning(network: NetworkT, weights: str) -> NetworkT:
    """Start a network from trained weights, with the anatomies that these know, and freeze its classifier.

    Args:
        network: takes the weights, in place.
        weights: a file as of `load_shared_weights`.

    Returns:
        The network.

    Raises:
        ValueError: if the weights do not fit.
        FileNotFoundError: if there is no such file.
    """
    load_shared_weights(adopt_anatomies(network, weights), weights)
    if isinstance(network, UniversalVarNet):
        network.classifier.requires_grad_(False)
    return network


class KspaceInferer(ReconstructionInferer):
    """Call a reconstruction network and return the k-space of all coils that it predicts.

    Args:
        anatomy: of all slices, for a `UniversalVarNet`; None goes by what the batch gives, and else lets the network
            find it in its input.
    """

    def __init__(self, anatomy: str | None = None) -> None:
        super().__init__()
        self.anatomy = anatomy

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Tensor],
        *args: Any,
        anatomy: Tensor | None = None,
        output_size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Reconstruct one batch.

        Args:
            inputs: undersampled k-space ``(B, coil, H, W)``.
            network: a `VarNet` or `UniversalVarNet`.
            args: passed on to the network.
            anatomy: of each slice, index ``(B,)``; None if the batch does not say.
            output_size: not used; k-space keeps its size.
            kwargs: as of `ReconstructionInferer`.

        Returns:
            Complex k-space of the network's coil images, ``(B, coil, H, W)``.

        Raises:
            TypeError: if the network is another one, or wrapped for several processes.
            ValueError: if the network does not know the anatomy, or as of `ReconstructionInferer`.
        """
        if not isinstance(network, VarNet):
            raise TypeError(
                f"the network is {type(network).__name__}, expected a VarNet in one process: a scan is trained on "
                "without torchrun"
            )
        known = isinstance(network, UniversalVarNet)
        wanted = self.anatomy if self.anatomy is not None else anatomy
        own: dict[str, Any] = {"anatomy": wanted} if known else {}

        def predict(kspace: Tensor, mask: Tensor | None, *arguments: Any, **options: Any) -> Tensor:
            return fft2c(network.reconstruct(kspace, mask, *arguments, **own, **options).coil_images)

        return super().__call__(inputs, predict, *args, **kwargs)


class SelfSupervisedTrainer(ReconstructionTrainer):
    """Trains a network to predict measured samples that its input lacks (Yaman et al. 2020, doi:10.1002/mrm.28378).

    Its batches come from ``SplitMeasuredd``, and its inferer predicts k-space (`KspaceInferer`). The loss is called as
    ``loss(prediction, measured, mask)`` on the held-out samples, and with the weight `consistency` on the samples of
    the input. The paper's networks hold the input fast by solving for data consistency in every iteration; the steps of
    a variational network do not, and the held-out samples, all outside the calibration region, say nothing about the
    center of k-space, which holds most of the image.

    Args:
        consistency: weight of the loss on the input's own samples; 0 trains on held-out samples alone.
        kwargs: as of `ReconstructionTrainer`.

    Raises:
        ValueError: if ``consistency`` is negative, or as of `ReconstructionTrainer`.
    """

    def __init__(self, *, consistency: float = 1.0, **kwargs: Any) -> None:
        if not consistency >= 0:
            raise ValueError(f"consistency is {consistency}, expected a weight of 0 or more")
        super().__init__(**kwargs)
        self.consistency = consistency

    def compute_loss(self, output: dict[str, Any], batchdata: dict[str, Any]) -> Tensor:
        """The loss of one batch.

        Args:
            output: ``pred``, k-space ``(B, coil, H, W)``, and ``image``, the k-space of the input.
            batchdata: the batch, with ``mask``, ``loss_mask`` and ``loss_kspace``.

        Returns:
            A scalar.

        Raises:
            ValueError: if the batch was not split.
        """
        prediction = output[CommonKeys.PRED]
        held_out, loss_mask = held_out_samples(batchdata, prediction)
        loss = self.loss_function(prediction, held_out, loss_mask)
        if self.consistency:
            mask = batchdata["mask"].to(prediction.device)
            loss = loss + self.consistency * self.loss_function(prediction, output[CommonKeys.IMAGE], mask)
        return loss


def held_out_samples(batchdata: dict[str, Any], prediction: Tensor) -> tuple[Tensor, Tensor]:
    """Held-out k-space and its mask, on the device of the prediction.

    Args:
        batchdata: the batch.
        prediction: any tensor there.

    Raises:
        ValueError: if the batch was not split.
    """
    missing = [key for key in ("loss_kspace", "loss_mask") if key not in batchdata]
    if missing:
        raise ValueError(f"the batch has no {missing}, only {sorted(batchdata)}; add SplitMeasuredd to its transforms")
    held_out, mask = (batchdata[key].to(prediction.device) for key in ("loss_kspace", "loss_mask"))
    return held_out, mask
