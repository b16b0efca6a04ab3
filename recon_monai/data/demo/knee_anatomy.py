"""Shape of a made-up knee: what differs between subjects, and signed distances to bones and soft tissue.

Coordinates in mm, for a left or right knee alike: x lateral, y anterior, z superior; the joint lies at z = 0. Sizes
follow the usual dimensions of an adult knee (femoral epicondyles about 82 mm, tibial plateau about 76 mm wide).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from recon_monai.data.demo.fields import Deformation, random_deformation
from recon_monai.data.demo.shapes import Triple, column, ellipsoid, merge, subtract, tube

__all__ = ["Bones", "Knee", "bone_distances", "leg_distance", "ligament_distances", "muscle_distances", "random_knee"]

FloatArray = NDArray[np.float32]

Path = tuple[Sequence[Triple], Sequence[float], Triple]

_BEND_MM = 1.0
_FILM_MM = 0.4
_ROUND: Triple = (1.0, 1.0, 1.0)

# Corners, radii and flattening of the muscles.
_MUSCLES: tuple[Path, ...] = (
    (((-27, 14, 98), (-34, 16, 66), (-38, 19, 30)), (22, 18, 5), (1.0, 0.75, 1.0)),  # vastus medialis
    (((30, 17, 98), (35, 17, 70), (38, 18, 40)), (22, 17, 4), (1.0, 0.75, 1.0)),  # vastus lateralis
    (((2, 27, 98), (2, 28, 58)), (14, 4), (0.7, 1.0, 1.0)),  # vastus intermedius
    (((28, -30, 98), (38, -28, 42), (42, -24, 2)), (19, 13, 3), (1.0, 0.8, 1.0)),  # biceps femoris
    (((-22, -32, 98), (-29, -36, 38), (-31, -34, -2)), (18, 14, 4), (1.0, 0.9, 1.0)),  # semimembranosus
    (((-45, -16, 98), (-48, -21, 20), (-43, -16, -34)), (8, 6, 2), (1.0, 0.6, 1.0)),  # sartorius and gracilis
    (((-19, -35, 26), (-24, -40, -8), (-27, -38, -60)), (4, 11, 23), (1.0, 0.9, 1.0)),  # gastrocnemius, medial head
    (((19, -35, 26), (23, -40, -8), (24, -40, -60)), (4, 10, 21), (1.0, 0.9, 1.0)),  # gastrocnemius, lateral head
    (((26, -20, -4), (4, -23, -24), (-14, -17, -54)), (3, 8, 6), (1.0, 1.0, 1.0)),  # popliteus
    (((14, -22, -30), (6, -22, -60), (4, -22, -98)), (5, 15, 20), (0.6, 1.0, 1.0)),  # soleus
    (((28, 9, -18), (28, 6, -50), (27, 4, -98)), (4, 15, 19), (1.0, 1.0, 1.0)),  # tibialis anterior
    (((41, -7, -24), (42, -7, -60), (42, -7, -98)), (4, 12, 15), (1.0, 0.7, 1.0)),  # peroneal muscles
)

# Ligaments and tendons, without the cruciate ones.
_LIGAMENTS: tuple[Path, ...] = (
    (((41.5, -3, 25), (42, -12, 8), (39, -18, -10)), (1.9, 1.5, 1.9), (1.0, 0.7, 1.0)),  # lateral collateral
    (((43, -24, 34), (43, -24, 6), (40, -20, -10)), (1.5, 2.2, 2.6), (1.0, 0.7, 1.0)),  # biceps tendon
    (((48, 4, 95), (45, 8, 34), (36, 17, -13)), (1.3, 1.6, 2.0), (1.0, 0.14, 1.0)),  # iliotibial tract
    (((-31, -33, 2), (-33, -24, -14)), (2.4, 2.0), (1.0, 1.0, 1.0)),  # semimembranosus tendon
    (((0, 45, 4), (2, 38, -34)), (2.6, 2.6), (0.2, 1.0, 1.0)),  # patellar tendon
    (((0, 43, 42), (0, 38, 95)), (3.0, 3.4), (0.16, 1.0, 1.0)),  # quadriceps tendon
    (((-24, 38, 18), (-41, 16, 28)), (0.9, 0.9), (1.0, 1.0, 0.15)),  # medial retinaculum
    (((24, 38, 18), (41, 18, 22)), (0.9, 0.9), (1.0, 1.0, 0.15)),  # lateral retinaculum
)
_ANTERIOR_CRUCIATE: Path = (((-2, 9, -2), (3, -4, 7), (9, -14, 15)), (4.2, 3.4, 4.4), _ROUND)
_POSTERIOR_CRUCIATE: Path = (((1, -27, -9), (-2, -17, 6), (-9, 1, 12)), (4.6, 4.6, 5.2), _ROUND)
_POPLITEAL: tuple[Path, ...] = (
    (((1, -27, 95), (3, -33, 20), (2, -32, -40), (0, -30, -95)), (3.0, 3.0, 2.7, 2.4), _ROUND),  # artery
    (((6, -33, 95), (7, -38, 20), (5, -36, -40), (4, -33, -95)), (3.8, 3.8, 3.0, 2.4), _ROUND),  # vein
    (((-47, -14, 95), (-49, -20, 0), (-44, -14, -95)), (1.8, 1.8, 1.5), _ROUND),  # great saphenous vein
)


@dataclass(frozen=True)
class Knee:
    """A subject's knee.

    Args:
        deformation: size, pose and smooth bending.
        side: 1 if lateral lies towards positive x of the picture, else -1.
        cartilage_mm: thickness of the femoral and of the tibial cartilage.
        cortex_mm: thickness of the cortex of the shafts.
        fat_mm: thickness of the fat under the skin.
        muscle: factor on the muscles' radii.
        effusion: amount of joint fluid; 1 is ordinary, 2 a distended joint.
        cyst: whether there is a popliteal cyst.
        fat_shift_mm: shift of fat along the readout (chemical shift), in picture rows.
        tear: slope of a tear of the medial meniscus; None if it is intact.
        edema: ellipsoids (center, semi-axes) of edema in the marrow.
        branches: small vessels, as start, end and radius.
    """

    deformation: Deformation
    side: int
    cartilage_mm: tuple[float, float]
    cortex_mm: float
    fat_mm: float
    muscle: float
    effusion: float
    cyst: bool
    fat_shift_mm: float
    tear: float | None
    edema: tuple[tuple[Triple, Triple], ...]
    branches: tuple[tuple[Triple, Triple, float], ...]

    @property
    def space_mm(self) -> float:
        """Distance of the bones in the joint: both cartilages and a film of fluid."""
        return sum(self.cartilage_mm) + _FILM_MM


@dataclass(frozen=True)
class Bones:
    """Signed distances in mm `(H, W)`.

    Args:
        femur: the thigh bone.
        tibia: the shin bone.
        fibula: the calf bone.
        patella: the kneecap.
        plateau: height above the upper surface of the tibia.
    """

    femur: FloatArray
    tibia: FloatArray
    fibula: FloatArray
    patella: FloatArray
    plateau: FloatArray

    @property
    def nearest(self) -> FloatArray:
        """Distance to the nearest bone."""
        return np.minimum(np.minimum(self.femur, self.tibia), np.minimum(self.fibula, self.patella))


def random_knee(rng: np.random.Generator, *, lesions: bool = False) -> Knee:
    """Draw a knee.

    Args:
        rng: source of randomness.
        lesions: whether the medial meniscus is torn and the marrow holds edema.

    Returns:
        The knee; with and without lesions it is the same otherwise.
    """
    deformation = random_deformation(rng, bend_mm=_BEND_MM)
    side = 1 if rng.random() < 0.5 else -1
    cartilage = float(rng.uniform(1.9, 2.7)), float(rng.uniform(1.8, 2.5))
    numbers = [float(rng.uniform(*limits)) for limits in ((3.5, 5.5), (4.0, 9.0), (0.85, 1.08), (0.6, 1.8), (0.5, 1.2))]
    cyst = bool(rng.random() < 0.4)
    branches = tuple(_branch(rng) for _ in range(60))
    slope = float(rng.uniform(-0.3, 0.3))
    edema = (_edema(rng, 23.0 * rng.choice([-1, 1]), 14.0), _edema(rng, 21.0 * rng.choice([-1, 1]), -13.0))
    cortex, fat, muscle, effusion, shift = numbers
    return Knee(
        deformation=deformation,
        side=side,
        cartilage_mm=cartilage,
        cortex_mm=cortex,
        fat_mm=fat,
        muscle=muscle,
        effusion=effusion,
        cyst=cyst,
        fat_shift_mm=shift,
        tear=slope if lesions else None,
        edema=edema if lesions else (),
        branches=branches,
    )


def _edema(rng: np.random.Generator, x: float, z: float) -> tuple[Triple, Triple]:
    center = rng.normal((x, -6.0, z), (3.0, 5.0, 2.0))
    axes = rng.uniform((4.0, 5.0, 3.0), (8.0, 10.0, 6.0))
    return (float(center[0]), float(center[1]), float(center[2])), (float(axes[0]), float(axes[1]), float(axes[2]))


def _branch(rng: np.random.Generator) -> tuple[Triple, Triple, float]:
    angle, height = rng.uniform(0.0, 2 * np.pi), rng.uniform(-80.0, 85.0)
    start = np.array([rng.uniform(26, 47) * np.cos(angle), rng.uniform(26, 46) * np.sin(angle) - 4, height])
    end = start + rng.normal(0.0, 1.0, 3) * (6.0, 5.0, 10.0)
    return (
        (float(start[0]), float(start[1]), float(start[2])),
        (float(end[0]), float(end[1]), float(end[2])),
        float(rng.uniform(0.5, 1.3)),
    )


def _rise(value: FloatArray, width: float) -> FloatArray:
    """Smooth step from 0 to 1 around 0."""
    return (0.5 * (1.0 + np.tanh(value / (2 * width)))).astype(np.float32)


def leg_distance(points: FloatArray) -> FloatArray:
    """Distance to the skin.

    Args:
        points: positions in mm `(3, H, W)`.

    Returns:
        Signed distance in mm.
    """
    z = points[2]
    across = 52.0 + 7.0 * _rise(z - 40.0, 9.0) - 2.0 * _rise(-z - 30.0, 9.0)
    deep = 53.0 + 4.0 * _rise(z - 55.0, 12.0) - 2.0 * _rise(-z - 25.0, 8.0)
    # a power above 2 makes the section a rounded box, as the front of a knee is
    x, y = points[0] / across, (points[1] + 3.0) / deep
    radius = (np.abs(x) ** 2.4 + np.abs(y) ** 2.4) ** np.float32(1 / 2.4)
    return ((radius - 1) * 50.0).astype(np.float32)


def bone_distances(points: FloatArray, space_mm: float) -> Bones:
    """Distances to the four bones.

    Args:
        points: positions in mm `(3, H, W)`.
        space_mm: distance of femur and tibia where they are closest.

    Returns:
        The distances.
    """
    plateau = points[2] - _plateau_height(points, space_mm)
    fibula = merge(
        ellipsoid(points, (38.0, -21.0, -21.0), (8.0, 9.0, 10.0)),
        tube(points, ((38, -21, -22), (39, -19, -50), (38, -18, -100)), (6.0, 5.0, 5.5)),
        4.0,
    )
    patella = _patella(points)
    return Bones(_femur(points), _tibia(points, plateau), fibula, patella, plateau)


def _femur(points: FloatArray) -> FloatArray:
    z = points[2]
    flare = np.exp(-((np.clip(z - 25.0, 0.0, None) / 23.0) ** 1.6))
    body = column(points, (0.0, 2.0 + 4.0 * (1 - flare)), (14.5 + 26.0 * flare, 14.0 + 12.0 * flare))
    body = np.maximum(body, 17.0 - z)
    medial = ellipsoid(points, (-23.0, -7.0, 21.0), (17.5, 29.0, 21.0), power=2.5)
    lateral = ellipsoid(points, (23.0, -6.0, 21.0), (17.0, 28.0, 20.7), power=2.5)
    trochlea = reduce(
        lambda a, b: merge(a, b, 5.0),
        (ellipsoid(points, (s * 13.0, 12.0, 26.0), (17.0, 18.0, 22.0 + s)) for s in (-1.0, 1.0)),
    )
    condyles = merge(np.minimum(medial, lateral), trochlea, 6.0)
    notch = ellipsoid(points, (0.0, -18.0, 5.0), (10.5, 27.0, 17.0))
    return subtract(merge(condyles, body, 7.0), notch, 3.0)


def _patella(points: FloatArray) -> FloatArray:
    """An ellipsoid that narrows downwards."""
    x, y, z = points
    narrowed = np.stack([x / np.clip(1.0 + 0.013 * (z - 22.0), 0.5, 1.2), y, z])
    return ellipsoid(narrowed, (2.0, 43.0, 22.0), (20.0, 9.5, 21.0))


def _plateau_height(points: FloatArray, space_mm: float) -> FloatArray:
    """Height of the tibia's upper surface: a hollow medial side, a flat lateral one, two spines between."""
    x, y = points[0], points[1]
    hollow = -0.5 * np.exp(-(((x + 22.0) / 10.0) ** 2 + ((y + 5.0) / 14.0) ** 2))
    ridge = 3.2 * np.exp(-((x / 11.0) ** 2) - ((y + 5.0) / 16.0) ** 2)
    spines = sum(
        height * np.exp(-(((x - center) / 3.2) ** 2 + ((y + 3.0) / 9.0) ** 2))
        for center, height in ((-5.5, 6.0), (6.5, 5.0))
    )
    rim = 0.0030 * np.clip(np.abs(x) - 27.0, 0.0, None) ** 3
    return (-space_mm + hollow + ridge + spines - rim).astype(np.float32)


def _tibia(points: FloatArray, plateau: FloatArray) -> FloatArray:
    depth = np.clip(-5.0 - points[2], 0.0, None)
    flare = np.exp(-((depth / 26.0) ** 1.5))
    shaft = column(points, (-2.0 * (1 - flare), -3.0 + 5.0 * (1 - flare)), (14.5 + 24.5 * flare, 15.0 + 10.0 * flare))
    tuberosity = ellipsoid(points, (2.0, 17.0, -38.0), (11.0, 12.0, 20.0))
    return subtract(merge(shaft, tuberosity, 6.0), -plateau, 3.0)


def _nearest(points: FloatArray, paths: Sequence[Path], factor: float = 1.0) -> FloatArray:
    distances = [
        tube(points, path, [factor * radius for radius in radii], flatten=flatten) for path, radii, flatten in paths
    ]
    return np.stack(distances)


def muscle_distances(points: FloatArray, muscle: float) -> FloatArray:
    """Distances to all muscles.

    Args:
        points: positions in mm `(3, H, W)`.
        muscle: factor on their radii.

    Returns:
        Signed distances in mm `(muscles, H, W)`.
    """
    return _nearest(points, _MUSCLES, muscle)


def ligament_distances(points: FloatArray, bones: Bones) -> dict[str, FloatArray]:
    """Distances to ligaments, tendons and large vessels.

    Args:
        points: positions in mm `(3, H, W)`.
        bones: the bones, which the medial collateral ligament hugs.

    Returns:
        Signed distances in mm for `outer` (collateral ligaments, tendons, iliotibial tract), `anterior` and
        `posterior` (the cruciate ligaments) and `vessels`.
    """
    x, y, z = points
    # the ligament bridges the joint space from bone to bone
    bridge = merge(bones.femur, bones.tibia, 26.0)
    band = np.maximum(np.abs(bridge - 1.9) - 1.15, np.maximum(np.abs(y + 2.0) - 11.0, np.abs(z + 8.0) - 36.0))
    medial = np.maximum(band, x + 22.0)
    outer = np.minimum(_nearest(points, _LIGAMENTS).min(axis=0), medial)
    return {
        "outer": outer,
        "anterior": _nearest(points, [_ANTERIOR_CRUCIATE])[0],
        "posterior": _nearest(points, [_POSTERIOR_CRUCIATE])[0],
        "vessels": _nearest(points, _POPLITEAL).min(axis=0),
    }
