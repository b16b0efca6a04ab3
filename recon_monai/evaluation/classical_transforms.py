"""The iterative baselines as transforms, beside a network in an evaluation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from recon_monai.evaluation.classical_methods import TunedMethod, classical_method
from recon_monai.physics import center_crop_or_pad
from recon_monai.solvers import CGSense, L1Wavelet
from recon_monai.solvers.base import Reconstruction

__all__ = ["CGSensed", "Classicald", "L1Waveletd"]


class _Baselined(Transform):
    """Reconstruction of an item's undersampled k-space with the settings of its acceleration."""

    def __init__(self, name: str, solvers: Mapping[int, Reconstruction], keys: tuple[str, str, str]) -> None:
        self.name = name
        self.solvers = dict(solvers)
        self.key, self.output_key, self.size_key = keys

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with the image added.

        Raises:
            ValueError: if there is no setting for the item's acceleration.
        """
        acceleration = int(data["acceleration"])
        if acceleration not in self.solvers:
            raise ValueError(
                f"{data['file']} is undersampled {acceleration}x and {self.name} has settings for "
                f"{sorted(self.solvers)} only; tune it for this acceleration too"
            )
        height, width = (int(size) for size in data[self.size_key])
        image = self.solvers[acceleration](data[self.key], data.get("mask"))
        return {**data, self.output_key: center_crop_or_pad(image, (height, width))}


class Classicald(_Baselined):
    """Reconstruction of an item's undersampled k-space by any method of ``CLASSICAL_METHODS``.

    Args:
        method: its name.
        settings: for each nominal acceleration (as a string, for JSON) the settings, for example
            ``{"4": {"maps": "espirit", "weight": 0.003, "iterations": 40}}``; see ``tune_on_validation``.
        key: complex k-space ``(coil, H, W)``.
        output_key: where the magnitude image ``(1, h, w)`` goes; None takes the name of the method.
        size_key: ``(h, w)``, the size of the image.
    """

    def __init__(
        self,
        method: TunedMethod,
        settings: Mapping[str, Mapping[str, Any]],
        key: str = "kspace",
        output_key: str | None = None,
        size_key: str = "output_size",
    ) -> None:
        solvers = {int(acceleration): classical_method(method, **values) for acceleration, values in settings.items()}
        super().__init__(method, solvers, (key, method if output_key is None else output_key, size_key))


class CGSensed(_Baselined):
    """CG-SENSE reconstruction of an item's undersampled k-space.

    Args:
        settings: for each nominal acceleration (as a string, for JSON) the arguments of ``CGSense``, for example
            ``{"4": {"maps": "espirit", "weight": 0.01, "iterations": 10}}``; see ``tune_on_validation``.
        key: complex k-space ``(coil, H, W)``.
        output_key: where the magnitude image ``(1, h, w)`` goes.
        size_key: ``(h, w)``, the size of the image.
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        key: str = "kspace",
        output_key: str = "cg_sense",
        size_key: str = "output_size",
    ) -> None:
        solvers = {int(acceleration): CGSense(**values) for acceleration, values in settings.items()}
        super().__init__("CG-SENSE", solvers, (key, output_key, size_key))


class L1Waveletd(_Baselined):
    """L1-wavelet reconstruction of an item's undersampled k-space.

    Args:
        settings: for each nominal acceleration (as a string, for JSON) the arguments of ``L1Wavelet``, for example
            ``{"4": {"maps": "espirit", "weight": 0.001, "iterations": 50}}``; see ``tune_on_validation``.
        key: complex k-space ``(coil, H, W)``.
        output_key: where the magnitude image ``(1, h, w)`` goes.
        size_key: ``(h, w)``, the size of the image.
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        key: str = "kspace",
        output_key: str = "l1_wavelet",
        size_key: str = "output_size",
    ) -> None:
        solvers = {int(acceleration): L1Wavelet(**values) for acceleration, values in settings.items()}
        super().__init__("L1-wavelet", solvers, (key, output_key, size_key))
