"""Axial slices of a made-up head: brain and lesions from the template, skull, scalp, eyes and face drawn around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon_monai.data.demo.fields import Deformation, smooth_noise
from recon_monai.data.demo.lesions import Lesion, lesion_share
from recon_monai.data.demo.painting import Canvas, DrawnSlice, edge, plane_points
from recon_monai.data.demo.template import HeadTemplate

__all__ = ["draw_head", "draw_head_slice"]

FloatArray = NDArray[np.float32]

_EYES = ((-33.0, 62.0, -34.0), (33.0, 62.0, -34.0))
_EYE_MM = 11.5
_CENTER_Y = -12.0


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
    base = edge(template.tissue.sample(points) - 4.5)
    spongy = edge(smooth_noise(rng, shape, 2.5 / pixel_mm), 0.3)
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
    beyond = edge(brain - outer)
    depth = -head
    skin = edge(1.8 - depth)
    fat_thickness = 3.4 + 1.0 * vary[3]
    fat = edge(1.8 + fat_thickness - depth) * (1 - skin)
    strands = edge(smooth_noise(rng, shape, 1.1 / pixel_mm) - 1.3, 0.15)
    layers = {
        "fluid": edge(fluid - brain),
        "bone": edge(brain - fluid) * (1 - beyond),
        "skin": beyond * skin,
        "fat": beyond * (fat + (1 - fat - skin) * 0.8 * strands),
    }
    layers["marrow"] = layers["bone"] * edge(brain - inner) * edge(diploe - brain)
    layers["bone"] = layers["bone"] - layers["marrow"]
    layers["muscle"] = np.clip(1 - sum(layers.values()), 0.0, 1.0)
    return layers


def _face(canvas: Canvas, points: FloatArray, brain: FloatArray, pixel_mm: float, rng: np.random.Generator) -> None:
    """Put orbits with eyes, and air-filled cavities between them."""
    outside = edge(brain - 5.0)
    x, y, z = points
    wobble = 2.5 * smooth_noise(rng, x.shape, 3.0 / pixel_mm)
    cavity = 1.0 - np.sqrt((x / 11.0) ** 2 + ((y - 60.0) / 24.0) ** 2 + ((z + 48.0) / 28.0) ** 2)
    septa = np.abs(np.sin(x * 0.55 + 0.12 * wobble)) > 0.25
    canvas.paint("air", outside * edge(10.0 * cavity + 0.4 * wobble) * septa)
    for center in _EYES:
        radius = np.sqrt(sum((p - c) ** 2 for p, c in zip(points, center, strict=True)))
        orbit = np.sqrt(sum((p - c) ** 2 for p, c in zip(points, (center[0] * 0.9, 50.0, -34.0), strict=True)))
        canvas.paint("fat", outside * edge(19.0 - orbit))
        canvas.paint("muscle", outside * edge(_EYE_MM + 1.2 - radius))
        canvas.paint("eye", outside * edge(_EYE_MM - radius))


def _vessels(
    points: FloatArray, brain: FloatArray, white: FloatArray, pixel_mm: float, rng: np.random.Generator
) -> FloatArray:
    """Share of flowing blood: small vessels, mostly between the folds, and the sinus along the midline."""
    shape = brain.shape
    rate = np.where(brain < 2.0, 0.0016 - 0.0014 * white, 0.0)
    seeds = np.where(rng.random(shape, dtype=np.float32) < rate, rng.random(shape, dtype=np.float32), np.float32(0.0))
    small = np.clip(ndimage.gaussian_filter(seeds, 0.7 / pixel_mm) / 0.16, 0.0, 0.8)
    x, y, _ = points
    sinus = edge(3.2 - np.hypot(x, (brain - 1.5) * 1.2)) * (np.abs(y + 15.0) > 40.0)
    return np.maximum(small, sinus).astype(np.float32)


def draw_head_slice(
    template: HeadTemplate,
    deformation: Deformation,
    contrast: Mapping[str, float],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    z: float,
    rng: np.random.Generator,
    lesions: Sequence[Lesion] = (),
) -> DrawnSlice:
    """Draw one axial slice.

    Args:
        template: anatomy.
        deformation: the subject's shape.
        contrast: signal by tissue, see `draw_contrast`.
        shape: `(H, W)`.
        pixel_mm: size of a pixel in mm.
        z: height of the slice in mm.
        rng: source of randomness for folds, thicknesses, vessels and texture.
        lesions: lesions of the white matter, see `draw_lesions`; drawing some does not change the rest of the image.

    Returns:
        The slice; brightest brain tissue near 1.
    """
    points = plane_points("axial", shape, pixel_mm, z, center=(_CENTER_Y, 0.0))
    return draw_head(template, deformation, contrast, points=points, pixel_mm=pixel_mm, rng=rng, lesions=lesions)


def draw_head(
    template: HeadTemplate,
    deformation: Deformation,
    contrast: Mapping[str, float],
    *,
    points: FloatArray,
    pixel_mm: float,
    rng: np.random.Generator,
    lesions: Sequence[Lesion] = (),
) -> DrawnSlice:
    """Draw a head at any points: a slice, or a volume, whose folds and texture then run on from slice to slice.

    Args:
        template: anatomy.
        deformation: the subject's shape.
        contrast: signal by tissue, see `draw_contrast`.
        points: positions of the subject in mm `(3, ...)`, on a regular grid.
        pixel_mm: distance of neighbors in mm.
        rng: source of randomness for folds, thicknesses, vessels and texture.
        lesions: lesions of the white matter, see `draw_lesions`; drawing some does not change the rest of the image.

    Returns:
        Image, tissues and lesions in the shape of the points; brightest brain tissue near 1.
    """
    shape = points.shape[1:]
    points = deformation(points)
    brain, head = template.brain.sample(points), template.head.sample(points)
    canvas = Canvas(shape)
    canvas.tissues = _layers(brain, head, points, pixel_mm, rng)
    _face(canvas, points, brain, pixel_mm, rng)
    inside = edge(0.6 - brain)
    tissues = _brain(template, points, pixel_mm, rng)
    canvas.fade(1 - inside)
    for name, share in tissues.items():
        canvas.tissues[name] = canvas[name] + inside * share
    vessel = _vessels(points, brain, tissues["white"], pixel_mm, rng)
    ragged = smooth_noise(rng, shape, 1.2 / pixel_mm)
    lesion = lesion_share(lesions, points, ragged) * canvas["white"]
    canvas.tissues["white"] = canvas["white"] - lesion
    canvas.tissues["lesion"] = lesion
    canvas.paint("vessel", vessel * (1 - lesion))
    canvas.fade(edge(-head))
    texture = 0.020 * smooth_noise(rng, shape, 0.8 / pixel_mm) + 0.020 * smooth_noise(rng, shape, 2.5 / pixel_mm)
    image = canvas.signal(contrast) * (1.0 + texture)
    return DrawnSlice(np.clip(image, 0.0, None).astype(np.float32), canvas.tissues, canvas["lesion"])
