"""How far the pixels of two pictures agree when one is laid on the other."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Bools, Floats

_FINE, _COARSE = 2.0, 6.0  # pixels; what JPEG and resizing change is finer, shading is coarser
_WINDOW = 9  # pixels; the photos are compared within such squares, each for itself
_STEP = 2  # pixels from one square to the next
# Grey levels squared: a square of less contrast tells nothing. Less is left without the shading.
_NOISE, _DETAIL_NOISE = 0.6, 0.3
# Squares of more contrast than this share's are left out: lettering is there, if it is anywhere.
# One photo may have it and its copy not; two different photos may have the same.
_CALM = 0.6
_FEWEST_SQUARES = 12
# Where a photo is burnt out or black its copy may have detail.
_BLACK, _BURNT_OUT, _MOST_CLIPPED = 2.0, 250.0, 0.2


class Likeness(NamedTuple):
    """How alike two pictures are where both are.

    Attributes:
        similarity: The median of the correlations of calm squares that are well exposed, in [0, 1].
        detail: Likewise without shading, which is much the same on many a smooth skin.
        covered: Which part of the first picture, and which of the second, the other shows.
    """

    similarity: float
    detail: float
    covered: tuple[float, float]


class _Band(NamedTuple):
    """A picture of some fineness; mean and variance within each square."""

    values: Floats
    mean: Floats
    variance: Floats


class Levels:
    """A picture's grey levels `(h, w)`, and what every comparison with it needs, made once."""

    def __init__(self, picture: cv2.typing.MatLike) -> None:
        """Takes the picture, of any number type."""
        self.picture = np.asarray(picture, np.float32)

    @cached_property
    def shading(self) -> _Band:
        """Without what JPEG and resizing change."""
        return _band(_blurred(self.picture, _FINE))

    @cached_property
    def detail(self) -> _Band:
        """The same without shading."""
        return _band(self.shading.values - _blurred(self.picture, _COARSE))

    @cached_property
    def exposed(self) -> Bools:
        """The squares that are neither burnt out nor black."""
        clipped = (self.picture >= _BURNT_OUT) | (self.picture <= _BLACK)
        return np.asarray(_averaged(clipped.astype(np.float32)) <= _MOST_CLIPPED)


def pixel_likeness(first: Levels, second: Levels, matrix: NDArray[np.float64]) -> Likeness:
    """Compares two pictures where both are.

    Within each small square the correlation of the grey levels is taken, so that brightness and
    contrast do not matter.

    Args:
        first: Of `(h, w)`.
        second: Of `(h', w')`.
        matrix: `(2, 3)`, from pixels of the first to pixels of the second.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale > 1:  # the finer one is laid on the coarser
        inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
        likeness = pixel_likeness(second, first, inverse)
        return likeness._replace(covered=likeness.covered[::-1])
    size = second.picture.shape[1], second.picture.shape[0]
    shown = cv2.warpAffine(
        np.ones(first.picture.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST
    )
    covered = min(1.0, shown.sum() / (first.picture.size * scale**2)), float(shown.mean())
    fine = _blurred(first.picture, max(0.5 * np.sqrt(scale**-2 - 1), 0.1))
    laid = Levels(cv2.warpAffine(fine, matrix, size, borderMode=cv2.BORDER_REPLICATE))
    inside = _inside(shown) & laid.exposed & second.exposed
    return Likeness(
        _correlation(laid.shading, second.shading, inside, _NOISE),
        _correlation(laid.detail, second.detail, inside, _DETAIL_NOISE),
        covered,
    )


def _correlation(one: _Band, two: _Band, inside: Bools, noise: float) -> float:
    """The median correlation within calm squares that lie inside."""
    if inside.sum() < _FEWEST_SQUARES:
        return 0.0
    common = (_averaged(one.values * two.values) - one.mean * two.mean)[inside]
    left, right = one.variance[inside], two.variance[inside]
    # A photo of low contrast counts as much as its copy of more.
    gain = np.sqrt((np.median(left) + 0.25) / (np.median(right) + 0.25))
    contrast = np.maximum(left / gain, right * gain)
    telling = contrast > noise
    if telling.sum() < _FEWEST_SQUARES:
        return 0.0
    calm = telling & (contrast <= np.quantile(contrast[telling], _CALM))
    correlations = common[calm] / np.sqrt(left[calm] * right[calm] + 1e-3)
    return float(np.clip(np.median(correlations), 0, 1))


def _band(values: Floats) -> _Band:
    mean = _averaged(values)
    return _Band(values, mean, np.maximum(_averaged(values * values) - mean * mean, 0))


def _blurred(picture: Floats, radius: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), radius), np.float32)


def _averaged(values: Floats) -> Floats:
    """Within each square."""
    window = (_WINDOW, _WINDOW)
    means = cv2.boxFilter(values, -1, window, borderType=cv2.BORDER_REFLECT)
    return np.asarray(means, np.float32)[::_STEP, ::_STEP]


def _inside(shown: cv2.typing.MatLike) -> Bools:
    """Squares that lie wholly where both pictures are; a picture's own edge is no edge."""
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    eroded = cv2.erode(shown, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(eroded, np.uint8)[::_STEP, ::_STEP] > 0
