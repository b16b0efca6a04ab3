"""Axial slices of a made-up head: brain from the template, skull, scalp, muscle, eyes and face drawn around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon_monai.data.demo.fields import Deformation, smooth_noise
from recon_monai.data.demo.template import HeadTemplate

__all__ = ["draw_slice", "plane_points"]

FloatArray = NDArray[np.float32]

_EYES = ((-33.0, 62.0, -34.0), (33.0, 62.0, -34.0))
_EYE_MM = 11.5


def plane_points(shape: tuple[int, int], pixel_mm: float, z: float, center_y: float = -12.0) -> FloatArray:
    """Positions of the pixels of an axial slice: rows from anterior to posterior, columns from right to left.

    Args:
        shape: `(H, W)` of the slice.
        pixel_mm: size of a pixel in mm.
        z: height of the slice in mm.
        center_y: anterior-posterior position of the center in mm.

    Returns:
        Positions `(3, H, W)` in mm.
    """
    height, width = shape
    y = center_y + pixel_mm * (height / 2 - np.arange(height, dtype=np.float32))
    x = pixel_mm * (width / 2 - np.arange(width, dtype=np.float32))
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack([columns, rows, np.full(shape, z, dtype=np.float32)]).astype(np.float32)


def _edge(distance: FloatArray, width: float = 0.45) -> FloatArray:
    """Share of a pixel on the positive side of a surface, from the distance in mm."""
    return (1.0 / (1.0 + np.exp(-np.clip(distance / width, -30.0, 30.0)))).astype(np.float32)


def _signal(shares: Mapping[str, FloatArray], contrast: Mapping[str, float]) -> FloatArray:
    return np.sum([contrast[tissue] * share for tissue, share in shares.items()], axis=0, dtype=np.float32)


def _softmax(scores: Sequence[FloatArray], sharpness: float) -> list[FloatArray]:
    stacked = np.stack(scores) * np.float32(sharpness)
    weights = np.exp(stacked - stacked.max(axis=0))
    return list(weights / weights.sum(axis=0))


def _brain(
    template: HeadTemplate, points: FloatArray, pixel_mm: float, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Shares of the tissues inside the envelope of the brain.

    The template is an average over people and blurred; noise at the scale of the cortical folds moves its boundaries
    before they are sharpened, which gives every head folds of its own and crisp edges. Hollows of the envelope away
    from the brain hold the base of the skull.
    """
    white, gray, intensity = (v.sample(points) for v in (template.white, template.gray, template.intensity))
    dark = np.clip((0.62 - intensity) / 0.25, 0.0, 1.5)
    fluid = np.clip(1.0 - white - gray, 0.0, 1.0) + 0.75 * dark
    shape = white.shape
    folds = [
        0.16 * smooth_noise(rng, shape, 2.2 / pixel_mm) + 0.07 * smooth_noise(rng, shape, 1.0 / pixel_mm) for _ in "wgf"
    ]
    shares = _softmax([white + folds[0], gray + 0.1 + folds[1], fluid + folds[2]], 9.0)
    base = _edge(template.tissue.sample(points) - 4.5)
    spongy = _edge(smooth_noise(rng, shape, 2.5 / pixel_mm), 0.3)
    tissues = {t: s * (1 - base) for t, s in zip(("white", "gray", "fluid"), shares, strict=True)}
    return tissues | {"bone": base * (1 - spongy), "marrow": base * spongy}


def _layers(
    brain: FloatArray, head: FloatArray, points: FloatArray, pixel_mm: float, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Shares of the tissues outside the brain's envelope, from the distances to brain and skin."""
    shape = brain.shape
    vary = [smooth_noise(rng, shape, 14.0 / pixel_mm) for _ in range(4)]
    fluid = 1.6 + 0.5 * vary[0]
    inner = fluid + 1.6 + 0.2 * vary[1]
    diploe = inner + np.clip(2.4 + 1.0 * vary[2], 0.0, None)
    outer = diploe + 1.5
    beyond = _edge(brain - outer)
    depth = -head
    skin = _edge(1.8 - depth)
    fat_thickness = 3.4 + 1.0 * vary[3]
    fat = _edge(1.8 + fat_thickness - depth) * (1 - skin)
    strands = _edge(smooth_noise(rng, shape, 1.1 / pixel_mm) - 1.3, 0.15)
    layers = {
        "fluid": _edge(fluid - brain),
        "bone": _edge(brain - fluid) * (1 - beyond),
        "skin": beyond * skin,
        "fat": beyond * (fat + (1 - fat - skin) * 0.8 * strands),
    }
    layers["marrow"] = layers["bone"] * _edge(brain - inner) * _edge(diploe - brain)
    layers["bone"] = layers["bone"] - layers["marrow"]
    layers["muscle"] = np.clip(1 - sum(layers.values()), 0.0, 1.0)
    return layers


def _face(
    layers: dict[str, FloatArray], points: FloatArray, brain: FloatArray, pixel_mm: float, rng: np.random.Generator
) -> None:
    """Put orbits with eyes and air-filled cavities between them into the layers, in place."""

    def place(tissue: str, share: FloatArray) -> None:
        for name in layers:
            layers[name] = layers[name] * (1 - share)
        layers[tissue] = layers.get(tissue, np.zeros_like(share)) + share

    outside = _edge(brain - 5.0)
    x, y, z = points
    wobble = 2.5 * smooth_noise(rng, x.shape, 3.0 / pixel_mm)
    cavity = 1.0 - np.sqrt((x / 11.0) ** 2 + ((y - 60.0) / 24.0) ** 2 + ((z + 48.0) / 28.0) ** 2)
    septa = np.abs(np.sin(x * 0.55 + 0.12 * wobble)) > 0.25
    place("air", outside * _edge(10.0 * cavity + 0.4 * wobble) * septa)
    for center in _EYES:
        radius = np.sqrt(sum((p - c) ** 2 for p, c in zip(points, center, strict=True)))
        orbit = np.sqrt(sum((p - c) ** 2 for p, c in zip(points, (center[0] * 0.9, 50.0, -34.0), strict=True)))
        place("fat", outside * _edge(19.0 - orbit))
        place("muscle", outside * _edge(_EYE_MM + 1.2 - radius))
        place("eye", outside * _edge(_EYE_MM - radius))


def _vessels(
    points: FloatArray, brain: FloatArray, white: FloatArray, pixel_mm: float, rng: np.random.Generator
) -> FloatArray:
    """Share of flowing blood: small vessels, mostly between the folds, and the sinus along the midline."""
    shape = brain.shape
    rate = np.where(brain < 2.0, 0.0016 - 0.0014 * white, 0.0)
    seeds = np.where(rng.random(shape, dtype=np.float32) < rate, rng.random(shape, dtype=np.float32), np.float32(0.0))
    small = np.clip(ndimage.gaussian_filter(seeds, 0.7 / pixel_mm) / 0.16, 0.0, 0.8)
    x, y, _ = points
    sinus = _edge(3.2 - np.hypot(x, (brain - 1.5) * 1.2)) * (np.abs(y + 15.0) > 40.0)
    return np.maximum(small, sinus).astype(np.float32)


def draw_slice(
    template: HeadTemplate,
    deformation: Deformation,
    contrast: Mapping[str, float],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    z: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw one axial slice.

    Args:
        template: anatomy.
        deformation: the subject's shape.
        contrast: signal by tissue, see `draw_contrast`.
        shape: `(H, W)`.
        pixel_mm: size of a pixel in mm.
        z: height of the slice in mm.
        rng: source of randomness for folds, thicknesses, vessels and texture.

    Returns:
        Magnitude image `(H, W)`, brightest brain tissue near 1, without noise and coil shading.
    """
    points = deformation(plane_points(shape, pixel_mm, z))
    brain, head = template.brain.sample(points), template.head.sample(points)
    layers = _layers(brain, head, points, pixel_mm, rng)
    _face(layers, points, brain, pixel_mm, rng)
    inside = _edge(0.6 - brain)
    tissues = _brain(template, points, pixel_mm, rng)
    image = (1 - inside) * _signal(layers, contrast) + inside * _signal(tissues, contrast)
    vessel = _vessels(points, brain, tissues["white"], pixel_mm, rng)
    image = image * (1 - vessel) + contrast["vessel"] * vessel
    texture = 0.020 * smooth_noise(rng, shape, 0.8 / pixel_mm) + 0.020 * smooth_noise(rng, shape, 2.5 / pixel_mm)
    image = image * (1.0 + texture) * _edge(-head)
    return np.clip(image, 0.0, None).astype(np.float32)
