"""Drawn skin: a base colour for each Fitzpatrick tone, with mottling, pores and creases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ajl_tf.dataset.phantom.fields import Field, Shape, lines, noise, ramp

Range = tuple[float, float]


@dataclass(frozen=True)
class Tone:
    """From where the base colour of one Fitzpatrick tone is drawn.

    Attributes:
        angle: Individual typology angle in degrees, inside the published range of its class.
        yellow: CIELAB b*.
        red: CIELAB a*.
        erythema: How strongly redness shows (1 on the lightest skin): melanin hides it.
    """

    angle: Range
    yellow: Range
    red: Range
    erythema: float


# The individual typology angle is arctan((L* - 50) / b*) in degrees (Chardon, Cretois and Hourseau,
# "Skin colour typology and suntanning pathways", Int. J. Cosmetic Science 13, 1991).
# Published classes of it: very light > 55, light 41 to 55, intermediate 28 to 41,
# tan 10 to 28, brown -30 to 10, dark < -30 (Del Bino and Bernerd, "Variations in skin colour and
# the biological consequences of ultraviolet radiation exposure", Br. J. Dermatology 169, 2013).
TONES = {
    1: Tone(angle=(56, 66), yellow=(9, 13), red=(7, 13), erythema=1.0),
    2: Tone(angle=(42, 54), yellow=(12, 17), red=(8, 13), erythema=0.95),
    3: Tone(angle=(29, 40), yellow=(14, 19), red=(9, 14), erythema=0.85),
    4: Tone(angle=(11, 27), yellow=(16, 21), red=(9, 14), erythema=0.72),
    5: Tone(angle=(-27, 8), yellow=(14, 20), red=(9, 13), erythema=0.55),
    6: Tone(angle=(-63, -40), yellow=(9, 14), red=(7, 11), erythema=0.42),
}


def base_colour(tone: int, rng: np.random.Generator) -> Field:
    """One person's skin colour of the given tone (1 to 6): CIELAB (3,)."""
    traits = TONES[tone]
    yellow = rng.uniform(*traits.yellow)
    lightness = 50 + yellow * np.tan(np.radians(rng.uniform(*traits.angle)))
    return np.array([lightness, rng.uniform(*traits.red), yellow], np.float32)


def draw_skin(tone: int, shape: Shape, rng: np.random.Generator) -> Field:
    """Skin without a lesion, evenly lit: CIELAB (3, H, W)."""
    lab = np.empty((3, *shape), np.float32)
    lab[:] = base_colour(tone, rng)[:, None, None]
    melanin = noise(shape, 3, rng) + 0.7 * noise(shape, 14, rng)
    blood = noise(shape, 5, rng) + 0.6 * noise(shape, 25, rng)
    lab[0] -= np.float32(rng.uniform(0.4, 1.4)) * melanin
    lab[2] += np.float32(rng.uniform(0.1, 0.6)) * melanin
    lab[1] += np.float32(rng.uniform(0.3, 1.4)) * blood
    lab[0] -= np.float32(rng.uniform(0.0, 0.5)) * blood
    lab[0] -= _relief(shape, rng)
    if rng.random() < 0.6:
        _add_freckles(lab, rng)
    return lab


def _relief(shape: Shape, rng: np.random.Generator) -> Field:
    """How much darker (L*) creases, pores and grain make each pixel."""
    stretch = rng.uniform(0.35, 1.0)
    cells = (rng.uniform(14, 26), rng.uniform(14, 26) * stretch)
    creases = lines(shape, cells if rng.random() < 0.5 else cells[::-1], rng)
    pores = ramp(noise(shape, rng.uniform(30, 55), rng) - 1.3)
    grain = noise(shape, 70, rng)
    strength = rng.uniform(0.2, 1.0, 3).astype(np.float32)
    return np.asarray(3.5 * strength[0] * creases + 5 * strength[1] * pores + strength[2] * grain)


def _add_freckles(lab: Field, rng: np.random.Generator) -> None:
    """Small brown dots, in place, that belong to the skin and not to a lesion."""
    threshold = np.float32(rng.uniform(2.3, 3.0))  # in standard deviations
    dots = ramp((noise(lab.shape[1:], rng.uniform(14, 24), rng) - threshold) * 2)
    lab[0] *= 1 - np.float32(0.22) * dots
    lab[1] *= 1 + np.float32(0.12) * dots
