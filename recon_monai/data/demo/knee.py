"""Coronal slices of a made-up knee, drawn without template: every tissue is a formula in mm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon_monai.data.demo.fields import smooth_noise
from recon_monai.data.demo.knee_anatomy import (
    Bones,
    Knee,
    bone_distances,
    leg_distance,
    ligament_distances,
    muscle_distances,
)
from recon_monai.data.demo.painting import Canvas, DrawnSlice, edge, plane_points
from recon_monai.data.demo.shapes import ellipsoid, tube

__all__ = ["draw_knee_slice"]

FloatArray = NDArray[np.float32]

_SHARP_MM = 0.28
_SKIN_MM = 1.6
_CENTER_Z = 2.0
_COIL_MM = 74.0
_TRACE = 1e-3
# Tissues whose protons are those of fat, which the readout displaces.
_FATTY = ("fat", "marrow", "red_marrow")


@dataclass(frozen=True)
class _Brush:
    """Noise in mm and sharp edges for one slice."""

    rng: np.random.Generator
    shape: tuple[int, int]
    pixel_mm: float

    def noise(self, width_mm: float, tall_mm: float | None = None) -> FloatArray:
        """Noise of unit standard deviation with grains of this width (and height, if another)."""
        return smooth_noise(self.rng, self.shape, ((tall_mm or width_mm) / self.pixel_mm, width_mm / self.pixel_mm))

    @staticmethod
    def inside(distance: FloatArray, soft: float = _SHARP_MM) -> FloatArray:
        """Share of the pixels inside a solid."""
        return edge(-distance, soft)


def draw_knee_slice(
    knee: Knee,
    contrast: Mapping[str, float],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    y: float,
    rng: np.random.Generator,
) -> DrawnSlice:
    """Draw one coronal slice: femur above, tibia below.

    Args:
        knee: the subject, see `random_knee`.
        contrast: signal by tissue, see `draw_contrast`.
        shape: `(H, W)`.
        pixel_mm: size of a pixel in mm.
        y: position of the slice in mm, positive towards the kneecap; the joint reaches from about 45 to -40.
        rng: source of randomness for texture, streaks and wavy borders.

    Returns:
        The slice; the brightest main tissue near 1. The lesion is a tear of the medial meniscus and edema in the
        marrow, if the knee has them. Drawing them does not change the rest of the image.
    """
    plane = plane_points("coronal", shape, pixel_mm, y, center=(_CENTER_Z, 0.0))
    points = knee.deformation(plane * np.array([knee.side, 1, 1], dtype=np.float32).reshape(3, 1, 1))
    brush, canvas = _Brush(rng, shape, pixel_mm), Canvas(shape)
    points = points + np.stack([0.25 * brush.noise(2.5) for _ in range(3)])
    bones = bone_distances(points, knee.space_mm)
    leg = leg_distance(points)
    _soft_tissue(canvas, brush, knee, points, leg)
    bands = ligament_distances(points, bones)
    _ligaments(canvas, brush, bands)
    _joint_fluid(canvas, brush, knee, points, bones)
    _cruciates(canvas, brush, bands)
    _marrow(canvas, brush, knee, points, bones)
    gap = _cartilage(canvas, brush, knee, points, bones)
    lesion = _menisci(canvas, brush, knee, points, bones, gap)
    lesion = np.maximum(lesion, _edema(canvas, brush, knee, points, bones))
    canvas.paint("skin", edge(leg + _SKIN_MM, 0.3))
    canvas.fade(brush.inside(leg))
    image = _signal(canvas, contrast, knee.fat_shift_mm / pixel_mm, 1 + 0.12 * brush.noise(30.0))
    texture = 0.025 * brush.noise(0.45) + 0.020 * brush.noise(1.8)
    image = image * (1 + texture) * edge(_COIL_MM - np.abs(plane[2] - _CENTER_Z), 3.0)
    return DrawnSlice(np.clip(image, 0.0, None).astype(np.float32), canvas.tissues, lesion)


def _soft_tissue(canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, leg: FloatArray) -> None:
    """Fat with septa, muscles with streaks of fat, their fascia, vessels."""
    canvas.paint("fat", np.ones(canvas.shape, dtype=np.float32))
    septa = edge(0.16 - np.abs(brush.noise(3.0, 4.5)), 0.05) * edge(brush.noise(4.0), 0.5)
    canvas.paint("ligament", 0.35 * septa)
    canvas.paint("ligament", 0.14 * edge(brush.noise(0.9) - 0.4, 0.3))
    fascia = leg + _SKIN_MM + knee.fat_mm * (1 + 0.18 * brush.noise(12.0))
    within = brush.inside(fascia)
    canvas.paint("ligament", 0.7 * edge(0.45 - np.abs(fascia), 0.15))
    distances: FloatArray = muscle_distances(points, knee.muscle) + np.float32(0.5) * brush.noise(4.0)
    distances = np.sort(distances, axis=0)
    muscle = brush.inside(np.maximum(distances[0], fascia + 1.0))
    between = edge(0.9 - (distances[1] - distances[0]), 0.2)
    streaks = edge(brush.noise(0.45, 5.0) - 1.25, 0.2) + 0.5 * edge(brush.noise(0.8, 9.0) - 1.5, 0.2)
    canvas.paint("muscle", muscle * (1 - between) * (1 - np.clip(0.55 * streaks, 0.0, 1.0)))
    canvas.paint("ligament", 0.6 * within * edge(0.3 - np.abs(distances[0]), 0.15))
    for start, end, radius in knee.branches:
        canvas.paint("vessel", 0.9 * brush.inside(tube(points, (start, end), (radius, 0.6 * radius))))


def _ligaments(canvas: Canvas, brush: _Brush, bands: Mapping[str, FloatArray]) -> None:
    """Collateral ligaments, tendons and large vessels: dark bands with fine fibers."""
    canvas.paint("vessel", brush.inside(bands["vessels"]))
    fibers = 1 - 0.2 * edge(brush.noise(0.35, 3.0) - 0.9, 0.2)
    canvas.paint("ligament", brush.inside(bands["outer"]) * fibers)


def _joint_fluid(canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, bones: Bones) -> None:
    """Fluid and synovium in the joint's recesses, round the cruciate ligaments and, in some, in a popliteal cyst."""
    x, y, _ = points
    capsule = ellipsoid(points, (0.0, -4.0, 2.0), (39.0, 30.0, 21.0)) + 1.2 * brush.noise(3.0)
    fronds = edge(brush.noise(1.6) - 0.9 + 0.9 * knee.effusion, 0.25)
    synovium = brush.inside(capsule) * edge(bones.nearest) * edge(11.0 - np.abs(x) + 0.3 * np.clip(12 - y, 0, None))
    canvas.paint("fluid", 0.55 * synovium * fronds)
    amount = knee.effusion
    recesses = [ellipsoid(points, (side * 37.0, 14.0, 19.0), (3.2 * amount, 12.0, 15.0)) for side in (-1.0, 1.0)]
    recesses.append(ellipsoid(points, (0.0, 33.0, 54.0), (17.0, 2.2 * amount, 12.0)))
    if knee.cyst:
        recesses.append(ellipsoid(points, (-17.0, -38.0, 4.0), (6.5 * amount, 5.0, 11.0 * amount)))
    for recess in recesses:
        canvas.paint("fluid", brush.inside(recess + 0.8 * brush.noise(2.5)))


def _cruciates(canvas: Canvas, brush: _Brush, bands: Mapping[str, FloatArray]) -> None:
    """The cruciate ligaments: the anterior one streaky, the posterior one evenly dark."""
    streaks = 1 - 0.6 * edge(brush.noise(0.5, 2.5) - 0.3, 0.2)
    canvas.paint("ligament", brush.inside(bands["anterior"]) * streaks)
    canvas.paint("ligament", brush.inside(bands["posterior"]) * (0.9 + 0.05 * brush.noise(1.0)).clip(0, 1))


def _marrow(canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, bones: Bones) -> None:
    """Cortex and marrow with trabeculae, red marrow in the metaphyses and the scars of the growth plates."""
    z = points[2]
    spread = brush.noise(5.0)
    red = edge(spread - 0.35, 0.2) * edge(z - 34.0, 4.0) + 0.7 * edge(spread - 1.1, 0.2) * edge(-30.0 - z, 5.0)
    trabeculae = edge(brush.noise(0.38, 0.9) - 0.6, 0.3) + 0.7 * edge(brush.noise(0.7, 0.38) - 0.8, 0.3)
    wave = 1.3 * brush.noise(5.0) + 0.5 * brush.noise(1.5)
    broken = 0.45 * edge(brush.noise(3.0) + 0.6, 0.3)
    shaft = 1.0 + (knee.cortex_mm - 1.0) * edge(np.abs(z - 8.0) - 48.0, 5.0)
    solids = ((bones.femur, shaft, 27.0), (bones.tibia, shaft, -19.0), (bones.fibula, 1.1, -31.0))
    for distance, cortex, plate in (*solids, (bones.patella, 1.0, None)):
        inner = distance + cortex * (1 + 0.12 * brush.noise(3.0))
        hollow = brush.inside(inner)
        canvas.paint("bone", brush.inside(distance))
        canvas.paint("marrow", hollow)
        canvas.paint("red_marrow", hollow * np.clip(red, 0, 1))
        canvas.paint("bone", hollow * 0.15 * np.clip(trabeculae, 0, 1) * edge(40.0 - np.abs(z - 5.0), 6.0))
        canvas.paint("bone", brush.inside(inner + 1.6) * 0.12 * edge(brush.noise(0.9), 0.3))
        if plate is not None:
            canvas.paint("bone", hollow * broken * edge(0.45 - np.abs(z - plate - wave), 0.15))


def _cartilage(canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, bones: Bones) -> FloatArray:
    """Cartilage on the joint's surfaces and the film of fluid between; gives the space left between the cartilages."""
    x, y, z = points
    femoral, tibial = knee.cartilage_mm
    uneven = 1 + 0.10 * brush.noise(4.0)
    upper = 12.0 + 0.022 * (y + 5.0) ** 2
    surface = edge(upper - z, 0.8) * edge(38.0 - np.abs(x), 0.6) * edge(np.maximum(np.abs(x) - 10.0, y - 9.0), 0.6)
    thickness = femoral * uneven * surface
    flat = edge(np.abs(x) - 9.0, 0.8) * edge(36.0 - np.abs(x), 0.6) * edge(20.0 - np.abs(y + 3.0), 0.8)
    height = tibial * uneven * flat
    free = np.minimum(bones.femur - thickness, bones.plateau - height)
    apart = np.minimum(bones.femur, bones.plateau)
    outside = edge(bones.nearest, 0.2)
    facing = edge(10.0 - bones.femur, 0.8) * edge(10.0 - bones.plateau, 0.8)
    film = outside * facing * edge(37.0 - np.abs(x), 0.8) * edge(21.0 - np.abs(y + 5.0), 1.0) * edge(np.abs(x) - 9.0)
    canvas.paint("fluid", film * edge(apart, 0.2))
    layers = 0.92 + 0.06 * brush.noise(1.2)
    canvas.paint("cartilage", outside * edge(thickness - bones.femur, _SHARP_MM) * surface * layers)
    canvas.paint("cartilage", outside * edge(height - bones.plateau, _SHARP_MM) * flat * layers * edge(bones.plateau))
    behind = edge(39.5 - y, 0.6) * edge(2.6 - bones.patella, _SHARP_MM) * outside * edge(18.0 - np.abs(z - 24.0))
    canvas.paint("cartilage", behind * layers)
    return free


def _menisci(
    canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, bones: Bones, gap: FloatArray
) -> FloatArray:
    """The menisci fill the space between the cartilages near the rim: wedges, open towards the middle."""
    x, y, _ = points
    lesion = np.zeros(canvas.shape, dtype=np.float32)
    for side, radii in ((-1.0, (17.5, 23.0)), (1.0, (17.0, 20.0))):
        away_x, away_y = (x - side * 22.0) / radii[0], (y + 5.0) / radii[1]
        radius = np.hypot(away_x, away_y)
        width = (1 - radius) * min(radii)
        tip = (radius - 0.36) * min(radii)
        body = np.minimum(np.minimum(width, tip), gap - 0.25)
        body = np.minimum(body, np.minimum(7.6 - bones.plateau, 9.5 - bones.femur))
        is_open = edge(-side * away_x - 0.45, 0.05) * edge(0.55 - np.abs(away_y), 0.05)
        share = edge(body, 0.22) * (1 - is_open)
        canvas.paint("meniscus", share)
        canvas.paint("fluid", 0.20 * share * edge(brush.noise(1.0) - 1.2, 0.2))
        if side < 0 and knee.tear is not None:
            middle = knee.cartilage_mm[1] + 2.2 + knee.tear * (x + 36.0)
            cleft = edge(0.65 - np.abs(bones.plateau - middle), 0.2) * edge(tip - 1.0) * edge(8.0 - y, 0.5)
            lesion = _definite(share * cleft)
            canvas.paint("fluid", lesion)
    return lesion


def _edema(canvas: Canvas, brush: _Brush, knee: Knee, points: FloatArray, bones: Bones) -> FloatArray:
    """Edema in the marrow, with blurred borders."""
    ragged = 0.7 * brush.noise(2.0)
    share = np.zeros(canvas.shape, dtype=np.float32)
    for center, axes in knee.edema:
        share = np.maximum(share, edge(-ellipsoid(points, center, axes) + ragged, 0.8))
    share = _definite(share * canvas["marrow"])
    canvas.tissues["marrow"] = canvas["marrow"] - share
    canvas.tissues["edema"] = share
    return share


def _definite(share: FloatArray) -> FloatArray:
    """The share without traces, so that a lesion ends somewhere."""
    return np.where(share > _TRACE, share, np.float32(0.0))


def _signal(canvas: Canvas, contrast: Mapping[str, float], shift: float, uneven: FloatArray) -> FloatArray:
    """Signal of water where it is, and of fat, displaced by `shift` rows and unevenly bright or suppressed."""
    water = tuple(name for name in canvas.tissues if name not in _FATTY)
    fat = uneven * canvas.signal(contrast, names=_FATTY)
    return canvas.signal(contrast, names=water) + ndimage.shift(fat, (shift, 0.0), order=1, mode="nearest")
