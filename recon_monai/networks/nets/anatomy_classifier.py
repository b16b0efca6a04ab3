"""Which anatomy undersampled k-space shows: a small convolutional network that needs no reconstruction first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.architecture import RecordedModule, decode_record, first_difference
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.anatomy_names import checked_names
from recon_monai.networks.nets.last_unet import check_varnet, last_unet_output
from recon_monai.networks.nets.output_fit import fit_output
from recon_monai.networks.nets.varnet import VarNet
from recon_monai.networks.precision import full_precision
from recon_monai.physics import (
    center_crop_or_pad,
    ifft2c,
    is_recorded,
    keyed_generator,
    low_resolution_maps,
    reduce,
    smaller_size,
)

__all__ = ["AddedOutput", "AnatomyClassifier", "ClassifierInput"]

ClassifierInput = Literal["zero_filled", "varnet_last"]

FEATURES = 64
_NAMES = "anatomies"
_VARNET_SIZE = (640, 368)
_DRAWS = 1000
_NEVER = -1e4  # exp(_NEVER) is 0
_MARGIN = 1.0
_LEAST_MARGIN = 1e-3


class AddedOutput(NamedTuple):
    """What `AnatomyClassifier.fit_output` reached.

    Attributes:
        positives: number of features of the new anatomy.
        recognized: how many of them the classifier now takes for the new anatomy.
        negatives: number of features drawn for the other anatomies; none of them is taken for the new one.
        shift: how far the bias was lowered to that end.
    """

    positives: int
    recognized: int
    negatives: int
    shift: float


class AnatomyClassifier(RecordedModule):
    """Three convolutions, global average pooling and a linear layer (23,570 parameters for two anatomies).

    By default it looks at the zero-filled image: coil images combined by maps from the calibration lines (no trained
    part), the center square of the field of view at a fixed size, with mean 0 for each part and standard deviation 1
    over both. Neither the scale of k-space nor a phase common to all coils matters: scales that are powers of two give
    the same bits. Empty slices give an image of zeros.

    The square has the length of the shorter side in pixels. In fastMRI's files this removes the oversampling of the
    readout (the rows), and pixels are taken as square; interpolation to ``size`` is bilinear with antialiasing, on real
    and imaginary parts.

    Statistics of the pooled features of each anatomy (`set_feature_statistics`) travel in the state dict, so that
    `select_outputs` and `fit_output` can add an anatomy without the data of the old ones.

    The names of its outputs, if it was told any, travel in the state dict too: weights of a classifier with other
    names, or with the same in another order, are refused, and one without names takes over those of the weights that
    it loads. Weights without names (of versions that wrote none) are accepted.

    Args:
        num_anatomies: number of outputs; None for that of ``anatomies``, and 2 without these.
        in_channels: channels of the image, 2 for real and imaginary part.
        anatomies: names of the outputs, in their order; None: not known here.
        size: height and width of the zero-filled image in pixels.
        feature: what is classified: ``"zero_filled"``, or ``"varnet_last"``, the raw output of the U-Net in the last
            cascade of a trained VarNet (see `last_unet_output`), center-cropped or zero-padded to 640x368. The latter
            costs a reconstruction.
        varnet: the trained VarNet of ``"varnet_last"``. It is frozen in place: its parameters need no gradient, it
            stays in evaluation mode, and its weights and sizes travel in the classifier's state dict. Without it, its
            output is to be given to `from_image`.

    Attributes:
        head: the linear layer from 64 pooled features to the anatomies.
        feature_mean: mean of the features of each anatomy, ``(A, 64)``.
        feature_covariance: their covariances, ``(A, 64, 64)``.
        feature_count: number of slices behind them, ``(A,)``, 0 until set.

    Raises:
        ValueError: if an argument is out of range, names are unusable or not as many as outputs, or the VarNet does
            not fit or is not used.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import AnatomyClassifier
        >>> kspace = torch.randn(2, 4, 48, 40, dtype=torch.complex64)
        >>> AnatomyClassifier(anatomies=["brain", "knee"])(kspace, torch.ones(40)).shape  # logits
        torch.Size([2, 2])
    """

    feature_mean: torch.Tensor
    feature_covariance: torch.Tensor
    feature_count: torch.Tensor

    def __init__(
        self,
        num_anatomies: int | None = None,
        in_channels: int = 2,
        *,
        anatomies: Sequence[str] | None = None,
        size: int = 96,
        feature: ClassifierInput = "zero_filled",
        varnet: VarNet | None = None,
    ) -> None:
        super().__init__()
        if num_anatomies is None:
            num_anatomies = 2 if anatomies is None else len(checked_names(anatomies))
        if num_anatomies < 1 or in_channels < 1 or size < 4:
            raise ValueError(
                f"num_anatomies and in_channels must be at least 1 and size at least 4, got {num_anatomies}, "
                f"{in_channels} and {size}."
            )
        if feature not in get_args(ClassifierInput):
            raise ValueError(f"unknown feature {feature!r}; use one of {get_args(ClassifierInput)}.")
        if feature == "zero_filled" and in_channels != 2:
            raise ValueError(f"the zero-filled image has 2 channels (real, imaginary), got in_channels={in_channels}.")
        if varnet is not None:
            if feature != "varnet_last" or in_channels != 2:
                raise ValueError(
                    f"a VarNet is for feature='varnet_last' with in_channels=2, got feature={feature!r} and "
                    f"in_channels={in_channels}."
                )
            check_varnet(varnet)
            varnet.requires_grad_(False).eval()
        # not the number of anatomies: it grows, and shows in the shapes; their names come in where they are known
        self.architecture = {"in_channels": in_channels, "size": size, "feature": feature}
        self.size = size
        self.feature = feature
        self.varnet = varnet
        self.convolutions = nn.Sequential(
            nn.Conv2d(in_channels, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, FEATURES, kernel_size=3, padding=1),
            nn.ReLU(),
        )
        for layer in self.convolutions:
            if isinstance(layer, nn.Conv2d):
                # PyTorch's own start halves the signal in every layer, and training stands still at first
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.head = nn.Linear(FEATURES, num_anatomies)
        self.register_buffer("feature_mean", torch.zeros(num_anatomies, FEATURES))
        self.register_buffer("feature_covariance", torch.zeros(num_anatomies, FEATURES, FEATURES))
        self.register_buffer("feature_count", torch.zeros(num_anatomies, dtype=torch.int64))
        if anatomies is not None:
            self.name_outputs(anatomies)

    @property
    def anatomies(self) -> tuple[str, ...] | None:
        """Names of the outputs in their order; None if they are not known."""
        names = self.architecture.get(_NAMES)
        return None if names is None else tuple(names)

    def name_outputs(self, anatomies: Sequence[str]) -> None:
        """Say which anatomies the outputs are.

        Args:
            anatomies: their names, in their order.

        Raises:
            ValueError: if names are unusable, not as many as outputs, or not those that the classifier has.
        """
        names = checked_names(anatomies)
        if len(names) != self.num_anatomies:
            raise ValueError(
                f"the classifier tells {self.num_anatomies} anatomies apart, expected {len(names)}: {', '.join(names)}."
            )
        if self.anatomies not in (None, names):
            raise ValueError(
                f"the classifier was made for the anatomies {self.architecture[_NAMES]}, expected {list(names)} in "
                "this order; give a classifier of these."
            )
        self.architecture[_NAMES] = list(names)

    def difference(self, record: dict[str, Any]) -> str | None:
        """Compare with the record of weights; names only where both have them."""
        ours = self.architecture
        if _NAMES not in ours or _NAMES not in record:
            ours, record = ({key: value for key, value in part.items() if key != _NAMES} for part in (ours, record))
        return first_difference(ours, record)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Check a record that came with weights, and take over its names where there are none.

        Raises:
            ValueError: if it is the record of another architecture or of other anatomies.
        """
        super().set_extra_state(state)
        names = decode_record(state).get(_NAMES)
        if names is not None and len(names) == self.num_anatomies:  # else shapes differ, which is the error to report
            self.name_outputs(names)

    @property
    def num_anatomies(self) -> int:
        """Number of outputs."""
        return self.head.out_features

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trained part; a VarNet inside stays in evaluation mode."""
        super().train(mode)
        if self.varnet is not None:
            self.varnet.eval()
        return self

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Classify undersampled k-space.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask of any dtype, shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or ``(B, 1, H, W)``;
                None infers it from the zeros of k-space.

        Returns:
            Logits, shape ``(B, A)``.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if shapes do not fit, or the classifier works on a VarNet's output and has no VarNet.
        """
        return self._decide(self.features(kspace, mask))

    def features(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the pooled features of undersampled k-space.

        Args:
            kspace: as for `forward`.
            mask: as for `forward`.

        Returns:
            What `head` works on, shape ``(B, 64)``.
        """
        return self.features_from_image(self.image(kspace, mask))

    def from_image(self, image: torch.Tensor) -> torch.Tensor:
        """Classify the image that the classifier looks at.

        Args:
            image: real, shape ``(B, in_channels, h, w)``: what `image` returns, or `last_unet_output`.

        Returns:
            Logits, shape ``(B, A)``.
        """
        return self._decide(self.features_from_image(image))

    def features_from_image(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the pooled features of the image that the classifier looks at.

        Args:
            image: as for `from_image`.

        Returns:
            Features, shape ``(B, 64)``, in the precision of the weights also under autocast.
        """
        dtype = self.head.weight.dtype
        size = _VARNET_SIZE if self.feature == "varnet_last" else (self.size, self.size)
        maps = self.convolutions(center_crop_or_pad(image, size).to(dtype))
        with full_precision(image):
            return maps.to(dtype).mean(dim=(-2, -1))

    def image(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Make the image that is classified, from k-space.

        Args:
            kspace: as for `forward`.
            mask: as for `forward`.

        Returns:
            Real and imaginary part of the normalized zero-filled image, shape ``(B, 2, size, size)``, or of what
            `last_unet_output` returns.
        """
        if self.feature == "varnet_last":
            if self.varnet is None:
                raise ValueError(
                    "this classifier works on the output of a VarNet and has none; make it with varnet=the trained "
                    "VarNet, or give what last_unet_output returns to from_image."
                )
            return last_unet_output(self.varnet, kspace, mask)
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        with full_precision(kspace):
            kspace = _scaled(torch.where(mask, kspace, torch.zeros_like(kspace)))
            combined = reduce(ifft2c(kspace), low_resolution_maps(kspace, mask))
            parts = torch.view_as_real(_central_square(combined)[:, 0]).permute(0, 3, 1, 2).contiguous()
            resized = _resize(parts, self.size)
            centered = resized - resized.mean(dim=(-2, -1), keepdim=True)
            # one divisor for both parts: the imaginary part of a nearly real image is not to be blown up
            variance = centered.square().mean(dim=(-3, -2, -1), keepdim=True)
            return centered / torch.where(variance == 0, torch.ones_like(variance), variance).sqrt()

    @torch.no_grad()
    def set_feature_statistics(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Store mean and covariance of the features of each anatomy.

        Args:
            features: of slices of all anatomies, shape ``(N, 64)``.
            labels: their anatomies, integers, shape ``(N,)``.

        Raises:
            ValueError: if shapes do not fit, values are not finite, or an anatomy has no slice.
        """
        _check_features(features)
        if labels.shape != features.shape[:1]:
            raise ValueError(f"expected one label for each of {len(features)} features, got {tuple(labels.shape)}.")
        counts = torch.bincount(labels.cpu(), minlength=self.num_anatomies)
        if len(counts) != self.num_anatomies or not bool(counts.all()):
            raise ValueError(
                f"the {self.num_anatomies} anatomies have {counts.tolist()} slices, expected at least one of each."
            )
        for index in range(self.num_anatomies):
            self._store(index, features[labels.to(features.device) == index])

    def fit_output(self, index: int, features: torch.Tensor, seed: int) -> AddedOutput:
        """Fit one output by slices of its anatomy and the stored statistics of the others.

        The row of `head` is fitted by cross-entropy over all outputs, with the given features as positives and features
        drawn from the Gaussian of each other anatomy as negatives (both sides weigh the same). Its bias is then lowered
        until no drawn feature is taken for this anatomy, with a margin as far as the positives allow. The rows of the
        others keep their bits, what the row held before does not matter, and the statistics of the anatomy are stored.

        Args:
            index: of the output, for example a new one of `select_outputs`.
            features: of slices of its anatomy, shape ``(N, 64)``.
            seed: of the draws.

        Returns:
            How many slices are recognized.

        Raises:
            RuntimeError: if statistics of other anatomies are missing.
            ValueError: if there is no such output or no other, or features have the wrong shape, are none, or are not
                finite.
        """
        _check_features(features)
        others = [other for other in range(self.num_anatomies) if other != index]
        if not others or len(others) == self.num_anatomies:
            raise ValueError(f"cannot fit output {index} of {self.num_anatomies} against others.")
        if not bool(self.feature_count[others].all()):
            raise RuntimeError(
                f"the classifier has no feature statistics of its anatomies (slices behind them: "
                f"{self.feature_count.tolist()}); call set_feature_statistics with the training slices first."
            )
        weight, bias = (value.detach()[others].cpu().double() for value in (self.head.weight, self.head.bias))
        negatives = torch.cat([self._draw(seed, other) for other in others])
        positives = features.detach().cpu().double()
        row, offset = fit_output(positives, negatives, weight, bias)
        gap_negative = negatives @ row + offset - (negatives @ weight.T + bias).amax(dim=1)
        gap_positive = positives @ row + offset - (positives @ weight.T + bias).amax(dim=1)
        highest = float(gap_negative.max())
        room = (float(gap_positive.min()) - highest) / 2
        shift = max(0.0, highest + min(max(room, _LEAST_MARGIN), _MARGIN))
        with torch.no_grad():
            self.head.weight[index], self.head.bias[index] = row, offset - shift
        self._store(index, features)
        return AddedOutput(len(positives), int((gap_positive > shift).sum()), len(negatives), shift)

    def select_outputs(self, sources: Sequence[int | None], anatomies: Sequence[str] | None = None) -> None:
        """Change which outputs there are, in place.

        Args:
            sources: for each output from now on the index of the one whose row and statistics it takes over, bit for
                bit, or None for a new one, which is never chosen until its row is fitted or trained.
            anatomies: names of the outputs from now on. None keeps the names of those that are taken over.

        Raises:
            ValueError: if names are unusable, not as many as outputs, not those of the outputs that are taken over, or
                missing for a new output of a classifier that has names.
        """
        names = self._names_of(sources, anatomies)
        kept = [(new, old) for new, old in enumerate(sources) if old is not None]
        old = self.head
        self.head = nn.Linear(FEATURES, len(sources)).to(old.weight).requires_grad_(old.weight.requires_grad)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.fill_(_NEVER)
            for new, before in kept:
                self.head.weight[new], self.head.bias[new] = old.weight[before], old.bias[before]
        for name in ("feature_mean", "feature_covariance", "feature_count"):
            buffer = getattr(self, name)
            selected = torch.zeros(len(sources), *buffer.shape[1:]).to(buffer)
            for new, before in kept:
                selected[new] = buffer[before]
            setattr(self, name, selected)
        if names is not None:
            self.architecture[_NAMES] = list(names)

    def _names_of(self, sources: Sequence[int | None], anatomies: Sequence[str] | None) -> tuple[str, ...] | None:
        """Names of the outputs that `select_outputs` makes."""
        before = self.anatomies
        if anatomies is None and before is None:
            return None
        kept = [None if source is None or before is None else before[source] for source in sources]
        given = kept if anatomies is None else list(anatomies)
        agree = len(given) == len(kept) and all(old in (None, new) for old, new in zip(kept, given, strict=True))
        if not agree or None in given:
            raise ValueError(
                f"the outputs of the classifier would be called {given}, expected {len(kept)} names, "
                f"{kept} where an output is taken over; give one name for each output."
            )
        return checked_names([name for name in given if name is not None])

    def _decide(self, features: torch.Tensor) -> torch.Tensor:
        with full_precision(features):
            # one sum per output: as a matrix product, an output's last bit would depend on how many there are
            return (features[:, None] * self.head.weight).sum(dim=-1) + self.head.bias

    def _store(self, index: int, features: torch.Tensor) -> None:
        """Write the statistics of one anatomy, computed in double precision."""
        values = features.detach().double()
        mean = values.mean(dim=0)
        centered = values - mean
        self.feature_mean[index] = mean
        self.feature_covariance[index] = centered.T @ centered / max(1, len(values) - 1)
        self.feature_count[index] = len(values)

    def _draw(self, seed: int, index: int) -> torch.Tensor:
        """Features of an anatomy, double, shape ``(draws, 64)``.

        The covariance is shrunk towards its diagonal by ``64 / (64 + slices)``.
        """
        generator = keyed_generator("anatomy features", seed, index)
        noise = torch.randn(_DRAWS, FEATURES, generator=generator, dtype=torch.float64)
        covariance = self.feature_covariance[index].cpu().double()
        # a covariance of few slices is flat in many directions, along which an old anatomy would look new
        trust = 1 / (1 + FEATURES / float(self.feature_count[index]))
        shrunk = trust * covariance + (1 - trust) * torch.diag(covariance.diagonal())
        values, vectors = torch.linalg.eigh(shrunk)
        return self.feature_mean[index].cpu() + (noise * values.clamp(min=0).sqrt()) @ vectors.T


def _central_square(image: torch.Tensor) -> torch.Tensor:
    height, width = image.shape[-2:]
    side = smaller_size(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


def _resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Interpolate squares linearly to ``(size, size)``, with antialiasing."""
    if not is_recorded():
        return F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    # other formats do not know the filter of PyTorch: a triangle over the samples that an output pixel covers
    before = torch.ones_like(images[0, 0, 0]).cumsum(0) - 1
    scale = images.shape[-1] / torch.tensor(float(size), device=images.device)
    position = (torch.arange(size, device=images.device) + 0.5)[:, None] * scale
    weight = (1 - (before + 0.5 - position).abs() / scale.clamp(min=1)).clamp(min=0)
    matrix = weight / weight.sum(dim=1, keepdim=True)
    return matrix @ images @ matrix.T


def _scaled(kspace: torch.Tensor) -> torch.Tensor:
    """Bring the largest value of each sample near 1 by a power of two, which costs no bit and prevents underflow."""
    largest = torch.view_as_real(kspace).abs().amax(dim=(-4, -3, -2, -1))
    if is_recorded():  # formats without such functions; it is the scale of an image that is normalized later
        return kspace / torch.where(largest == 0, torch.ones_like(largest), largest)[:, None, None, None]
    exponent = torch.frexp(largest).exponent.clamp(-126, 126)
    return kspace * torch.ldexp(torch.ones_like(largest), -exponent)[:, None, None, None]


def _check_features(features: torch.Tensor) -> None:
    if features.ndim != 2 or features.shape[1] != FEATURES or len(features) == 0:
        raise ValueError(f"features must have shape (N, {FEATURES}) with N at least 1, got {tuple(features.shape)}.")
    if not bool(features.isfinite().all()):
        raise ValueError("features hold values that are not finite; look at the slices they come from.")
