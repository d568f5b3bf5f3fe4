"""How good a photo is as a picture: exposure, sharpness, colour, and what was added to it.

No figure here is a mean brightness: dark skin is no dark photo and pale skin no over-exposed one.
Exposure is judged by the brightest pixels of a photo (its dark skin has highlights too, an
under-exposed photo has none) and by how many of them are cut off. Sharpness is relative to the
photo's own contrast.

Why not a library: cleanvision (Apache-2.0) has rules for dark, light, blurred, low-information,
grey and odd-shaped images. They are a few lines each, its percentiles of brightness are the idea
behind `highlights`, and it brings five packages; frames, collages, lettering and skin it does not
know, its blur depends on contrast, and its "grey" is the file's mode, not its pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from cv2.typing import MatLike as Mat
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats, Pixels, reduced, to_lab
from ajl_tf.inspection.layout import count_glyphs, find_frame, seam_share

_SIDE = 256  # shorter side in pixels at which a photo is judged, about what a network sees
_COLOUR_SIDE = 96
_BLOCKS = 8  # in each direction, for sharpness
_NOISE = 3  # grey levels
_CUT_OFF, _WHITE = 254, 240  # levels of the brightest channel, and of the darkest in plain white


class Rule(NamedTuple):
    """When a measured figure is an issue. All of them count only what is inside a plain frame.

    Attributes:
        issue: Its name.
        column: The figure.
        bound: From where on it is an issue: its score is then 0.5.
        worst: Where its score is 1. It lies below `bound` where low figures are the bad ones.
        why: A sentence with {value} or {percent}, the figure as it is or in percent.
    """

    issue: str
    column: str
    bound: float
    worst: float
    why: str


# Set by looking at the 4,087 photos of the competition sorted by each figure, and by planted
# faults of several strengths on drawn photos (tests/inspection/test_quality.py).
RULES = (
    # Networks take 224 pixels or more: below, a photo is enlarged to almost twice its size.
    Rule("too_small", "shorter_side", 128, 32, "its shorter side has {value:.0f} pixels"),
    # The largest square in it holds less than 40 % of the photo.
    Rule("odd_aspect", "aspect", 0.4, 0.1, "its shorter side is {percent:.0f} % of its longer"),
    # Skin of type 6 without any shine, rightly exposed, reaches 32 to 45 %.
    Rule("dark", "highlights", 0.3, 0.05, "its brightest pixels reach {percent:.0f} % of white"),
    Rule("over_exposed", "clipped", 0.15, 0.6, "{percent:.0f} % of its coloured area is cut off"),
    Rule("blurred", "sharpness", 0.45, 0.2, "its sharpness is {value:.2f} of 1"),
    Rule("border", "border", 0.02, 0.5, "a plain frame takes {percent:.0f} % of it"),
    Rule("text", "glyphs", 3, 12, "{value:.0f} marks at its edge stand in line like letters"),
    Rule("collage", "seam", 0.55, 1.0, "a straight seam crosses it, clear on {percent:.0f} %"),
    Rule("uniform", "contrast", 0.02, 0.0, "its grey levels vary by {percent:.1f} % only"),
    Rule("grey", "colourfulness", 4, 0, "its chroma (CIELAB) reaches only {value:.1f}"),
    Rule(
        "off_topic",
        "could_be_skin",
        0.12,
        0.0,
        "{percent:.0f} % of it could be skin by its colour: something else, or coloured light",
    ),
)


def measure_quality(image: Pixels) -> dict[str, float]:
    """Measures a photo on a copy whose shorter side has at most 256 pixels.

    Args:
        image: uint8 (H, W, 3) sRGB, any size.

    Returns:
        Of what is inside a plain frame: `brightness`, the mean grey level, and `contrast`, its
        standard deviation, as parts of 255; `highlights`, the level that 1 % of the pixels exceed
        in their brightest channel, in [0, 1]; `clipped`, which part of the pixels that are not
        white has a channel at its end, in [0, 1]; `sharpness` in [0, 1];
        `colourfulness`, the CIELAB chroma that 5 % of it exceed; `could_be_skin`, the part in
        [0, 1] whose colour skin can have, in strongly coloured light too; `seam` in [0, 1], see
        `layout.seam_share`; and of the whole photo `border`, the part in [0, 1] that the frame
        takes, and `glyphs`, how many marks stand in line like letters.
    """
    small = reduced(image, _SIDE)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    frame = find_frame(grey)
    levels, colours = frame.inside(grey), frame.inside(small)
    red, green, blue = cv2.split(colours)
    brightest = cv2.max(cv2.max(red, green), blue)
    coloured = cv2.min(cv2.min(red, green), blue) < _WHITE
    brightness, contrast = (float(figure[0, 0]) / 255 for figure in cv2.meanStdDev(levels))
    lab = to_lab(reduced(np.ascontiguousarray(colours), _COLOUR_SIDE))
    return {
        "brightness": brightness,
        "contrast": contrast,
        "highlights": _level(brightest, 0.99),
        "clipped": float((brightest[coloured] >= _CUT_OFF).mean()) if coloured.any() else 0.0,
        "sharpness": _sharpness(levels),
        "colourfulness": float(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), 95)),
        "could_be_skin": _could_be_skin(lab),
        "seam": seam_share(levels),
        "border": 1 - levels.size / grey.size,
        "glyphs": float(count_glyphs(grey)),
    }


def find_issues(measured: pd.DataFrame) -> pd.DataFrame:
    """Which photos have which faults, by `RULES`.

    Args:
        measured: A row a photo: `image_id, width, height` (pixels, as stored) and every key of
            `measure_quality`. A NaN is no issue.

    Returns:
        `image_id, issue, score, why`: a row for each photo and issue, in the order of `RULES` and
        of the photos; `score` in [0.5, 1], 0.5 at the rule's bound and 1 at its worst; `why` is a
        sentence with the figure.
    """
    sides = measured[["width", "height"]].astype(np.float64)
    figures = measured.assign(
        shorter_side=sides.min(axis=1), aspect=sides.min(axis=1) / sides.max(axis=1)
    )
    found = [_broken(rule, figures) for rule in RULES]
    return pd.concat(found, ignore_index=True)


def _broken(rule: Rule, figures: pd.DataFrame) -> pd.DataFrame:
    values = figures[rule.column].to_numpy(np.float64)
    severity = (values - rule.bound) / (rule.worst - rule.bound)
    rows = np.flatnonzero(severity >= 0)
    return pd.DataFrame(
        {
            "image_id": figures["image_id"].to_numpy()[rows],
            "issue": rule.issue,
            "score": 0.5 + np.minimum(severity[rows], 1) / 2,
            "why": [rule.why.format(value=v, percent=100 * v) for v in values[rows]],
        }
    )


def _level(channel: Mat, share: float) -> float:
    """The level in [0, 1] that this share of a uint8 channel does not exceed."""
    counts = np.bincount(channel.ravel(), minlength=256).cumsum()
    return float(np.searchsorted(counts, share * counts[-1])) / 255


def _sharpness(grey: Mat) -> float:
    """How much of the differences between neighbours a slight blur takes away, in [0, 1].

    After Crete, Dolmiere, Ladret and Nicolas, "The blur effect", SPIE 6492, 2007: blurring again
    changes a blurred photo little. As a ratio it does not depend on contrast, hence not on how dark
    the skin is. It is that of the sharper ones (80th percentile) among the livelier half of 64
    blocks, so that a background out of focus or without texture does not count. Neighbours that
    differ by noise or rounding only do not count either; where none differs by more it is 0.
    """
    change = lost = np.zeros((_BLOCKS, _BLOCKS), np.int64)
    for axis, kernel in enumerate(((1, 5), (5, 1))):
        if grey.shape[axis] < 2:
            continue
        before, after = _steps(grey, axis), _steps(cv2.blur(grey, kernel), axis)
        _, clear = cv2.threshold(before, _NOISE, 1, cv2.THRESH_BINARY)
        change = change + _block_sums(cv2.multiply(before, clear))
        lost = lost + _block_sums(cv2.multiply(cv2.subtract(before, after), clear))
    lively = (change >= np.median(change)) & (change > 0)
    return float(np.percentile(lost[lively] / change[lively], 80)) if lively.any() else 0.0


def _steps(grey: Mat, axis: int) -> Mat:
    """How far each pixel of (H, W) is from the next along an axis: one row or column fewer."""
    if axis == 0:
        return cv2.absdiff(grey[1:], grey[:-1])
    return cv2.absdiff(grey[:, 1:], grey[:, :-1])


def _block_sums(field: Mat) -> NDArray[np.int64]:
    """Of (H, W), in 8 by 8 blocks; some are empty where it is smaller than that."""
    rows, columns = (np.linspace(0, n, _BLOCKS + 1).astype(int) for n in field.shape)
    total = cv2.integral(field)[np.ix_(rows, columns)].astype(np.int64)
    return np.asarray(np.diff(np.diff(total, axis=0), axis=1))


def _could_be_skin(lab: Floats) -> float:
    """The part of (H, W, 3) whose colour skin can have, in light of almost any colour.

    A hue of skin, purple only if it is weak; or no strong colour at all, neither black nor white.
    Stained slides, dark fields, paper and painted things are neither. It cannot tell wood, sand,
    hair or an animal from skin, nor a grey drawing; skin under strongly coloured light it misses.
    """
    lightness, red, yellow = cv2.split(lab)
    chroma, hue = cv2.cartToPolar(red, yellow, angleInDegrees=True)
    hue = np.where(hue > 180, hue - 360, hue)
    like_skin = (hue > -40) & (hue < 100) & (chroma > 2.5) & (chroma < np.where(hue > 0, 65, 25))
    weak = (chroma < 20) & (lightness > 15) & (lightness < 92)
    # Specks, such as the lines of a drawing, are no skin.
    possible = (like_skin | weak).astype(np.uint8)
    return float(cv2.morphologyEx(possible, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).mean())
