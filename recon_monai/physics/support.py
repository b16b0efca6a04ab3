"""How much of its k-space a volume fills: volumes that were interpolated before have less detail than voxels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["kspace_support"]

_FEWEST = 16  # samples along an axis; fewer tell nothing
_MOST_LINES = 4096
_LOWEST = 1 / 12  # of Nyquist; below, the spectrum of any object falls as steeply as that of a filled one
_EDGE = 0.5  # decades of power; measured heads have less, or as much falling evenly; their zero-filled copies have more
_ABRUPT = 1.4  # times the fall before the edge: 1.5 and more in zero-filled heads, 1.3 in others that fall so much
_STEEP = 1.2  # decades; where the spectrum falls like that, it is that of a smooth object and shows no edge
_NEAR = 0.85
_COHERENT = 0.6  # measured heads have less than 0.2, interpolated ones more than 0.75


def kspace_support(volume: Tensor) -> tuple[float, float, float]:
    """Fraction of each axis's Nyquist range that holds signal of its own.

    Below 1 where a volume was brought to smaller voxels than it was measured with. Two traces are looked for in the
    spectra of the lines along an axis, and the lower fraction counts:

    * an edge, beyond which there is clearly less power than the noise floor before it: zero-filled k-space, as
      scanners make it, or interpolation by Fourier series;
    * copies: linear, cubic and similar interpolation of ``m`` samples leaves attenuated images of the spectrum, in
      which frequency ``m - f`` is proportional to the conjugate of frequency ``f`` in every line (interpolated signals
      are cyclostationary: Mahdian and Saic, "Blind authentication using periodic properties of interpolation", IEEE
      Trans. Information Forensics and Security 3(3), 2008). The coherence of such pairs over the lines is near 1;
      in images that were not interpolated it is near 0.

    Noise does not hide either, as it was cut or interpolated with the image; noise that was added later does once it is
    as strong as the copies. A smooth apodization is not an edge, nor is a smooth object, whose spectrum falls
    everywhere. Half the lines, those with the most signal, are used,
    with a Hann window against the steps at the ends of the field of view.

    Args:
        volume: real, shape ``(D, H, W)``; magnitudes or not.

    Returns:
        Three numbers above 0 and at most 1. An axis with fewer than 16 samples is said to be 1.

    Raises:
        ValueError: if that is no real volume, or it holds NaN or infinity.
    """
    if volume.ndim != 3 or volume.is_complex() or volume.numel() == 0:
        raise ValueError(f"expected a real volume (D, H, W), got {volume.dtype} of shape {tuple(volume.shape)}")
    if not bool(torch.isfinite(volume).all()):
        raise ValueError("the volume holds NaN or infinity, of which no spectrum can be made; replace them first")
    first, second, third = (_axis_support(volume.detach(), axis) for axis in range(3))
    return first, second, third


def _axis_support(volume: Tensor, axis: int) -> float:
    size = volume.shape[axis]
    lines = _strongest(volume.movedim(axis, -1).reshape(-1, size))
    if size < _FEWEST or not len(lines):
        return 1.0
    window = torch.hann_window(size, periodic=True, dtype=torch.float64, device=lines.device)
    spectra = torch.fft.rfft(lines * window, dim=1)
    edge, copies = _edge(spectra, size), _copies(spectra, size)
    # a cubic interpolation's own low-pass may fall like an edge just before the copies, which say the place exactly
    return copies if copies < 1 and _NEAR * copies < edge else edge


def _strongest(lines: Tensor) -> Tensor:
    """Half of the lines that are not empty, evenly thinned; float64."""
    energy = torch.linalg.vector_norm(lines.to(torch.float32), dim=1)
    order = energy.argsort(descending=True, stable=True)[: (int((energy > 0).sum()) + 1) // 2]
    step = -(-len(order) // _MOST_LINES) or 1
    return lines[order[::step]].to(torch.float64)


def _edge(spectra: Tensor, size: int) -> float:
    """Where the power falls by more than nature's spectra do, as fraction of Nyquist; 1 if nowhere."""
    power = spectra.abs().square().mean(dim=0)
    bins = torch.arange(len(power), dtype=power.dtype, device=power.device)
    # images of objects fall with the square of the frequency, which is not to be taken for an edge
    level = (power * bins.clamp(min=1).square() + 1e-14 * power.max()).log10()
    width = max(2, len(level) // 24)
    first = max(width + 1, round(_LOWEST * size / 2))
    if first >= len(level) - width:
        return 1.0
    means = level.unfold(0, width, 1).mean(dim=1)  # of `width` bins from each bin on
    places = torch.arange(width, len(level) - width, device=level.device)
    fall = means[places - width] - means[places + 1]
    before = fall[(torch.arange(len(fall), device=fall.device) - width).clamp(min=0)].clamp(min=0)
    # the steepest fall is the edge, or there is none
    edge = int(torch.where(places >= first, fall, -torch.inf).argmax())
    found = fall[edge] > _EDGE and fall[edge] > _ABRUPT * before[edge] and before[edge] < _STEEP
    return float(places[edge]) / (size / 2) if bool(found) else 1.0


def _copies(spectra: Tensor, size: int) -> float:
    """The smallest number of samples whose interpolation explains the spectrum, as a fraction; 1 if there is none."""
    norm = torch.linalg.vector_norm(spectra, dim=0)
    product = torch.outer(norm, norm) + (1e-6 * norm.max()) ** 2  # what rounding left is coherent with nothing
    coherence = (spectra.mT @ spectra).abs() / product
    last = spectra.shape[1] - 1
    found = [0.0] * (size + 1)
    for samples in range(max(6, round(_LOWEST * size)), size - 2):
        # a frequency is coherent with itself and, the object being bounded, with its neighbors
        high = list(range(samples // 2 + 3, min(samples - 1, last) + 1))
        if len(high) >= 3:
            found[samples] = float(coherence[high, [samples - one for one in high]].mean())
    computed = sorted(value for value in found if value > 0)
    if not computed or computed[len(computed) // 2] > _COHERENT:
        return 1.0  # every frequency is coherent with every other: lines of one shape, as a smooth phantom has them
    for samples in range(1, size):
        # the window spreads each peak over its neighbors, more to the higher one
        if found[samples] > _COHERENT and found[samples] >= 0.85 * max(found[samples - 1], found[samples + 1]):
            return samples / size
    return 1.0
