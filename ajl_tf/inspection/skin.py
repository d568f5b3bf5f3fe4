"""Which pixels of a photo show skin that is neither lesion, highlight nor background.

Skin of every tone has nearly the same hue (melanin and blood absorb blue most and red least), and
differs in lightness. So what may be skin is decided by hue and chroma, and nothing but black is too
dark: fixed limits on brightness, as in the usual HSV and YCbCr rules (value of at least 80, or red
of at least 95), find light skin only. The photo then says itself what its skin looks like: the
commonest such colour away from the centre, where the lesion mostly is. Only where a photo has a
choice do usual hues count more than unusual ones, and black cloth and shadow (L* below 26; skin of
type 6 has 25 to 40) less than what is lighter.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ajl_tf.inspection.colour import Bools, Floats

# Hue angle (degrees, atan2(b*, a*)) that skin can have. Published skin lies at 30 to 75 (a* 4 to
# 18, b* 6 to 24); the rest is left to the tint of the light, which makes pale skin pink or green.
HUES = (-25.0, 105.0)
_USUAL_HUE, _HUE_SPREAD = 52.0, 40.0
# Chroma: black cloth and shadows have next to none, white cloth little; paint has more than skin.
_LEAST_CHROMA, _MOST_CHROMA = 2.5, 60.0
_PALE = 80.0  # L*; above it cloth and paper get a tint of the light, so more chroma is asked for
_PALE_CHROMA = 0.15  # more chroma for each step of L* above _PALE
_LEAST_LIGHTNESS = 4.0
_BLACK, _LIT, _SHADOW_WEIGHT = 8.0, 26.0, 0.05  # L* of least and full weight, and the least
# Cell of the histogram and radius of the search, in (L*, a*, b*): skin in one photo varies mostly
# in lightness (shading).
_CELL = np.array([5.0, 4.0, 4.0], np.float32)
_RADIUS = np.array([14.0, 6.0, 7.0], np.float32)
_STEPS = 5
_SAMPLE = 3000  # pixels among which the commonest colour is looked for


class Skin(NamedTuple):
    """The skin of a photo.

    Attributes:
        mask: (H, W), where it was found.
        likely: (H, W), where hue and chroma are possible for skin, lesions included.
        colour: Its commonest (L*, a*, b*); NaN where no pixel is likely.
    """

    mask: Bools
    likely: Bools
    colour: Floats


def likely_skin(lab: Floats) -> Bools:
    """Where hue and chroma (H, W) are possible for human skin of any tone, lesion or not."""
    lightness, red, yellow = cv2.split(lab)
    chroma, hue = cv2.cartToPolar(red, yellow, angleInDegrees=True)
    hue = np.where(hue > 180, hue - 360, hue)
    least = _LEAST_CHROMA + _PALE_CHROMA * np.maximum(lightness - _PALE, 0)
    possible = (hue > HUES[0]) & (hue < HUES[1]) & (chroma > least) & (chroma < _MOST_CHROMA)
    return np.asarray(possible & (lightness > _LEAST_LIGHTNESS))


def find_skin(lab: Floats) -> Skin:
    """Finds the skin around a lesion in CIELAB (H, W, 3)."""
    likely = likely_skin(lab)
    chosen = np.flatnonzero(likely)
    if not len(chosen):
        return Skin(likely, likely, np.full(3, np.nan, np.float32))
    sample = chosen[:: 1 + len(chosen) // _SAMPLE]
    colours = lab.reshape(-1, 3)[sample]
    weights = (_away_from_centre(likely.shape) * _calm(lab)).ravel()[sample] * _usual(colours)
    colour = _commonest(colours, weights)
    near = _square_distance(lab, colour, 1.6 * _RADIUS) < 1
    mask = cv2.morphologyEx((near & likely).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    return Skin(mask.astype(np.bool_), likely, colour)


def _square_distance(colours: Floats, colour: Floats, radius: Floats) -> Floats:
    """Square of how far colours (..., 3) are from one, in units of a radius on each axis."""
    away = (colours - colour) / radius
    return np.asarray(np.einsum("...i,...i", away, away))


def _usual(colours: Floats) -> Floats:
    """How usual a colour is for skin that is neither inflamed nor strangely lit, in (0, 1]."""
    hue = np.degrees(np.arctan2(colours[:, 2], colours[:, 1]))
    lit = np.clip((colours[:, 0] - _BLACK) / (_LIT - _BLACK), _SHADOW_WEIGHT, 1)
    return np.asarray(lit * np.exp(-np.square((hue - _USUAL_HUE) / _HUE_SPREAD) / 2), np.float32)


def _away_from_centre(shape: tuple[int, ...]) -> Floats:
    """Weights (H, W) from 0.1 in the middle, where the lesion mostly is, to 1 half-way out."""
    height, width = shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return np.asarray(np.clip(np.sqrt(x * x + y * y) / 0.6, 0.1, 1))


def _calm(lab: Floats) -> Floats:
    """Weights (H, W) near 0 on hairs, edges and scales, 1 on a smooth surface."""
    lightness = np.ascontiguousarray(lab[:, :, 0])
    rough = np.abs(lightness - cv2.blur(lightness, (3, 3)))
    return np.asarray(1 / (1 + np.square(rough / 2)))


def _commonest(colours: Floats, weights: Floats) -> Floats:
    """The mode of weighted colours (N, 3): the fullest cell of a histogram, then mean shift."""
    cells = np.floor((colours - colours.min(axis=0)) / _CELL).astype(np.int64)
    shape = cells.max(axis=0) + 1
    flat = np.ravel_multi_index(tuple(cells.T), tuple(shape))
    counts = np.bincount(flat, weights, minlength=int(shape.prod())).reshape(shape)
    best = np.unravel_index(_blurred(counts).argmax(), counts.shape)
    colour = colours.min(axis=0) + (np.array(best, np.float32) + 0.5) * _CELL
    for _ in range(_STEPS):
        near = weights * np.exp(-_square_distance(colours, colour, _RADIUS))
        colour = near @ colours / max(float(near.sum()), 1e-9)
    return np.asarray(colour, np.float32)


def _blurred(counts: np.ndarray) -> np.ndarray:
    """Each cell with half of its neighbours along every axis."""
    for axis in range(counts.ndim):
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(counts.ndim)])
        ends = [slice(0, -2), slice(2, None)]
        first, last = (
            padded[tuple(e if a == axis else slice(None) for a in range(counts.ndim))] for e in ends
        )
        counts = counts + (first + last) / 2
    return counts
