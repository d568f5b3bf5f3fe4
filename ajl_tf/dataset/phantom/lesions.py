"""A drawn lesion on drawn skin: colour relative to the skin around it, relief and surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ajl_tf.dataset.phantom.fields import Field, noise, ramp
from ajl_tf.dataset.phantom.kinds import mixed_look
from ajl_tf.dataset.phantom.outlines import draw_level
from ajl_tf.dataset.phantom.skin import TONES
from ajl_tf.dataset.phantom.surfaces import SURFACES


def add_lesion(
    skin: Field, kind: str, tone: int, rng: np.random.Generator
) -> tuple[Field, NDArray[np.bool_]]:
    """Draws a lesion of one kind onto skin.

    Args:
        skin: CIELAB (3, H, W); it is not changed.
        kind: A name in `KINDS`.
        tone: The skin's Fitzpatrick tone, 1 to 6: on dark skin redness shows less and looks darker.
        rng: Source of randomness.

    Returns:
        The skin with the lesion, CIELAB (3, H, W), and the lesion's mask (H, W).
    """
    look = mixed_look(kind, rng)
    shape = skin.shape[1:]
    level, radius = draw_level(look, (shape[0], shape[1]), rng)
    edge = np.float32(rng.uniform(*look.edge))
    fray = np.float32(rng.uniform(0, 0.12)) * noise(level.shape, 1.5 / radius, rng)
    cover = ramp(level / edge + fray / edge * (level > -0.6) + np.float32(0.3))
    redness, pigment = rng.uniform(*look.redness), rng.uniform(*look.pigment)
    lab = skin.copy()
    _colour(lab, cover, redness, pigment, TONES[tone].erythema)
    _relief(lab, cover, level, rng.uniform(*look.relief), rng)
    for name, strength in look.surface.items():
        SURFACES[name](lab, cover, level, rng.uniform(*strength), rng)
    return lab, cover > 0.4


def _colour(lab: Field, cover: Field, redness: float, pigment: float, erythema: float) -> None:
    lab[1] += cover * np.float32(24 * redness * erythema)
    lab[0] -= cover * np.float32(11 * redness * (0.6 + 0.4 * erythema))
    lab[2] -= cover * np.float32(7 * redness * (1 - erythema))
    if pigment > 0:
        lab[0] *= 1 - cover * np.float32(0.62 * pigment)
        lab[1] += cover * np.float32(4 * pigment)
        lab[2] *= 1 - cover * np.float32(0.25 * pigment)
    else:
        lab[0] += cover * np.float32(-pigment) * (92 - lab[0]) * np.float32(0.5)
        lab[1:] *= 1 + cover * np.float32(0.35 * pigment)


def _relief(
    lab: Field, cover: Field, level: Field, height: float, rng: np.random.Generator
) -> None:
    """Lights the side of a dome that faces the lamp and darkens the other."""
    inside = np.clip(level, 0, 1)
    dome = np.sqrt(inside * (2 - inside))
    angle = rng.uniform(0, 2 * np.pi)
    slope_y, slope_x = np.gradient(dome)
    lit = np.float32(np.sin(angle)) * slope_y + np.float32(np.cos(angle)) * slope_x
    spread = np.float32(np.sqrt(np.mean(lit[cover > 0.4] ** 2)) if (cover > 0.4).any() else 1)
    lab[0] += cover * np.clip(lit / max(spread, 1e-6), -2.5, 2.5) * np.float32(6 * height)
