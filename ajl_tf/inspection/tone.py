"""Skin tone from the pixels: the individual typology angle (ITA) of the skin around the lesion.

ITA = atan2(L* - 50, b*) in degrees, in CIELAB under D65 (Chardon, Cretois and Hourseau, "Skin
colour typology and suntanning pathways", Int. J. Cosmetic Science 13, 1991): high on light skin,
negative on dark. It was defined for a calibrated instrument on evenly lit skin. In a photo of
unknown light, flash and white balance it is an estimate that may be 10 to 20 degrees off, so that
it can rank many photos and find gross contradictions, but can neither say the Fitzpatrick type of
one person (a type is about sunburn, not colour) nor prove an annotation wrong.

Why not a library: derm_ita (MIT, last release 2021) averages patches without looking for skin;
SkinToneClassifier (GPL-3) looks for faces, and its HSV rule asks for a value of at least 80 of
255, as the YCbCr rule of Groh et al. asks for a red of 95: both leave out much of dark skin.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ajl_tf.inspection.colour import Floats, Pixels, reduced, to_lab
from ajl_tf.inspection.skin import find_skin

# Classes of ITA in degrees and their lower bounds, exclusive. The first four are Chardon et al.
# 1991; brown and dark are from Del Bino and Bernerd, Br. J. Dermatology 169 (suppl. 3), 2013.
TONE_CLASSES = {
    "very light": 55.0,
    "light": 41.0,
    "intermediate": 28.0,
    "tan": 10.0,
    "brown": -30.0,
    "dark": -np.inf,
}
# Lower bounds of Fitzpatrick types 1 to 5 (6 is below), exclusive. The ITA classes are often used
# as types one to one ("chardon"). "kinyanjui": Kinyanjui et al., "Estimating skin tone and effects
# on classification performance in dermatology datasets", 2019 (arXiv:1910.13268), whose eight
# classes end at 10, as Groh et al. number them. "groh": Groh et al., "Evaluating deep neural
# networks trained on clinical images in dermatology with the Fitzpatrick 17k dataset", 2021
# (arXiv:2104.09957), fitted to Fitzpatrick17k's photos themselves.
FITZPATRICK_BOUNDS = {
    "chardon": (55.0, 41.0, 28.0, 10.0, -30.0),
    "kinyanjui": (55.0, 41.0, 28.0, 19.0, 10.0),
    "groh": (40.0, 23.0, 12.0, 0.0, -25.0),
}

_SIDE = 96  # shorter side in pixels at which skin is looked for
_FEWEST = 25  # pixels of skin, out of at least 9,216 in a photo of that side
# Where confidence is halved, or full: see `_confidence`.
_ENOUGH_SKIN = 0.15
_ENOUGH_TAKEN = 0.5
_HALVING_SPREAD = 30.0
_UNTINTED_HUES = (30.0, 75.0)
_HALVING_TINT = 10.0
_LEAST_COLOUR = 10.0  # CIELAB chroma; published skin of every tone has at least that
_CLIPPED = 253, 20  # a brightest channel from 253, or up to 20, tells little


def measure_tone(image: Pixels) -> dict[str, float]:
    """Measures the tone of the skin around the lesion, and how far the figure can be trusted.

    Args:
        image: uint8 (H, W, 3) sRGB, any size.

    Returns:
        `ita` in degrees, -180 to 180, mostly -70 to 80; `ita_confidence` in [0, 1];
        `ita_class`, 1 (very light) to 6 (dark), the position in `TONE_CLASSES`; `ita_spread`, the
        interquartile range of the pixels' own angles, in degrees; `skin_share` and `skin_likely`,
        the parts of the photo in [0, 1] that were taken as skin, and whose hue and chroma are
        possible for skin at all; `skin_clipped`, the part of the skin taken that is over- or
        under-exposed; `skin_lightness`, `skin_redness`, `skin_yellowness`: its median L*, a*, b*.
        Where no skin was found `ita_confidence` and the shares are 0 and the others NaN.
    """
    small = reduced(image, _SIDE)
    lab = to_lab(small)
    skin = find_skin(lab)
    likely = float(skin.likely.mean())
    if int(skin.mask.sum()) < min(_FEWEST, skin.mask.size):
        return (
            dict.fromkeys(_KEYS, np.nan)
            | {"ita_confidence": 0.0, "skin_likely": likely}
            | {"skin_share": 0.0}
        )
    colours = lab[skin.mask]
    brightest = small[skin.mask].max(axis=1)
    clipped = float(((brightest >= _CLIPPED[0]) | (brightest <= _CLIPPED[1])).mean())
    median = np.median(colours, axis=0)
    angle = float(typology_angle(median))
    low, high = np.percentile(typology_angle(colours), [25, 75])
    share = float(skin.mask.mean())
    return {
        "ita": angle,
        "ita_confidence": _confidence(share, share / likely, float(high - low), clipped, median),
        "ita_class": float(fitzpatrick_type(angle)),
        "ita_spread": float(high - low),
        "skin_share": share,
        "skin_likely": likely,
        "skin_clipped": clipped,
        "skin_lightness": float(median[0]),
        "skin_redness": float(median[1]),
        "skin_yellowness": float(median[2]),
    }


def typology_angle(lab: npt.ArrayLike) -> Floats:
    """ITA in degrees (...) of CIELAB colours (..., 3)."""
    colours = np.asarray(lab, np.float32)
    return np.asarray(np.degrees(np.arctan2(colours[..., 0] - 50, colours[..., 2])), np.float32)


def fitzpatrick_type(ita: npt.ArrayLike, bounds: str = "chardon") -> npt.NDArray[np.int64]:
    """The type 1 to 6 that published bounds give to angles in degrees; -1 where one is NaN.

    Args:
        ita: Any shape.
        bounds: A name in `FITZPATRICK_BOUNDS`. With "chardon" a type is also the position
            (from 1) in `TONE_CLASSES`.
    """
    angles = np.asarray(ita, np.float64)
    types = 1 + (angles[..., None] <= np.array(FITZPATRICK_BOUNDS[bounds])).sum(axis=-1)
    return np.asarray(np.where(np.isnan(angles), -1, types), np.int64)


def _confidence(share: float, taken: float, spread: float, clipped: float, median: Floats) -> float:
    """How far an angle can be trusted, in [0, 1]: the product of five doubts.

    How much skin there was (full from 15 % of the photo), how much of what could be skin by its
    colour it is (full from half: else it may be hair or a shadow beside the skin), how homogeneous
    (halved at an interquartile range of 30 degrees), how well exposed, and how much the light was
    tinted: how far the hue lies outside of what skin has in neutral light (halved at 10 degrees),
    and how much less colour than skin there is (near grey the angle means nothing).
    """
    amount = min(1.0, share / _ENOUGH_SKIN) * min(1.0, taken / _ENOUGH_TAKEN)
    homogeneous = 1 / (1 + (spread / _HALVING_SPREAD) ** 2)
    hue = float(np.degrees(np.arctan2(median[2], median[1])))
    tint = max(_UNTINTED_HUES[0] - hue, hue - _UNTINTED_HUES[1], 0.0)
    colour = min(1.0, float(np.hypot(median[1], median[2])) / _LEAST_COLOUR)
    neutral = colour**2 / (1 + (tint / _HALVING_TINT) ** 2)
    return float(amount * homogeneous * (1 - clipped) * neutral)


_KEYS = (
    "ita",
    "ita_confidence",
    "ita_class",
    "ita_spread",
    "skin_share",
    "skin_likely",
    "skin_clipped",
    "skin_lightness",
    "skin_redness",
    "skin_yellowness",
)
