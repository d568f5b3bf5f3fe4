"""How far the pixels of two pictures agree when one is laid on the other."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Bools, Floats, Pixels

_FINE, _COARSE = 2.0, 6.0  # pixels; what JPEG and resizing change is finer, shading is coarser
_WINDOW = 9  # pixels; the photos are compared within such squares, each for itself
# Grey levels squared: a square of less contrast tells nothing. Less is left without the shading.
_NOISE, _DETAIL_NOISE = 0.6, 0.3
# Squares of more contrast than this share's are left out: lettering is there, if it is anywhere.
# One photo may have it and its copy not; two different photos may have the same.
_CALM = 0.6
_FEWEST_PIXELS = 50


class Likeness(NamedTuple):
    """How alike two pictures are where both are.

    Attributes:
        similarity: The median of the correlations of calm squares, in [0, 1].
        detail: Likewise without shading, which is much the same on many a smooth skin.
        covered: Which part of the first picture, and which of the second, the other shows.
    """

    similarity: float
    detail: float
    covered: tuple[float, float]


def pixel_likeness(first: Pixels, second: Pixels, matrix: NDArray[np.float64]) -> Likeness:
    """Compares two pictures where both are.

    Within each small square the correlation of the grey levels is taken, so that brightness and
    contrast do not matter.

    Args:
        first: Grey levels `(h, w)`.
        second: Grey levels `(h', w')`.
        matrix: `(2, 3)`, from pixels of the first to pixels of the second.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale > 1:  # the finer one is laid on the coarser
        inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
        likeness = pixel_likeness(second, first, inverse)
        return likeness._replace(covered=likeness.covered[::-1])
    fine = _blurred(first, max(0.5 * np.sqrt(scale**-2 - 1), 0.1))
    size = second.shape[1], second.shape[0]
    laid = cv2.warpAffine(fine, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones_like(first)
    shown = np.asarray(cv2.warpAffine(ones, matrix, size, flags=cv2.INTER_NEAREST), np.uint8)
    covered = min(1.0, shown.sum() / (first.size * scale**2)), float(shown.mean())
    inside = _inside(shown)
    one, two = _blurred(laid, _FINE), _blurred(second, _FINE)
    similarity = _correlation(one, two, inside, _NOISE)
    one, two = one - _blurred(laid, _COARSE), two - _blurred(second, _COARSE)
    return Likeness(similarity, _correlation(one, two, inside, _DETAIL_NOISE), covered)


def _correlation(one: Floats, two: Floats, inside: Bools, noise: float) -> float:
    """The median correlation within calm squares that lie inside."""
    if inside.sum() < _FEWEST_PIXELS:
        return 0.0
    mean, other_mean = _averaged(one), _averaged(two)
    common = (_averaged(one * two) - mean * other_mean)[inside]
    left = np.maximum(_averaged(one * one) - mean * mean, 0)[inside]
    right = np.maximum(_averaged(two * two) - other_mean * other_mean, 0)[inside]
    # A photo of low contrast counts as much as its copy of more.
    gain = np.sqrt((np.median(left) + 0.25) / (np.median(right) + 0.25))
    contrast = np.maximum(left / gain, right * gain)
    telling = contrast > noise
    if telling.sum() < _FEWEST_PIXELS:
        return 0.0
    calm = telling & (contrast <= np.quantile(contrast[telling], _CALM))
    correlations = common[calm] / np.sqrt(left[calm] * right[calm] + 1e-3)
    return float(np.clip(np.median(correlations), 0, 1))


def _blurred(picture: cv2.typing.MatLike, radius: float) -> Floats:
    floats = np.asarray(picture, np.float32)
    return np.asarray(cv2.GaussianBlur(floats, (0, 0), radius), np.float32)


def _averaged(values: Floats) -> Floats:
    window = (_WINDOW, _WINDOW)
    return np.asarray(cv2.boxFilter(values, -1, window, borderType=cv2.BORDER_REFLECT), np.float32)


def _inside(shown: Pixels) -> Bools:
    """Pixels whose square lies wholly where both pictures are; a picture's own edge is no edge."""
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    eroded = cv2.erode(shown, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(eroded, np.uint8) > 0
