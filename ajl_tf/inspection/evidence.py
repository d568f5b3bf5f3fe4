"""How much it says that two whole pictures agree: next to nothing where there is little in them.

Two photos of smooth skin, or two out of focus, may agree in nearly every pixel and yet be two. So
what is counted is how many independent things agree: the detail of each picture, made equally
strong everywhere, is as good as so many waves, and as many numbers agree by chance to a correlation
of r with a probability of about (1 - r²)^(n / 2).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats
from ajl_tf.inspection.likeness import Levels

_MARGIN = 8  # pixels along the edge, where the blurs see the edge
_AROUND = 6.0  # pixels within which detail is made equally strong
_NOISE = 0.5  # grey levels squared; what is weaker stays weak
_SMALLEST = 16  # pixels of a side, without the margin


def evidence(first: Levels, second: Levels, matrix: NDArray[np.float64]) -> float:
    """Minus the logarithm of the probability that the pictures agree so well by chance.

    Args:
        first: Of `(h, w)`.
        second: Of `(h', w')`; the first one, so laid, covers it.
        matrix: `(2, 3)`, from pixels of the first to pixels of the second.
    """
    size = second.picture.shape[1], second.picture.shape[0]
    laid = cv2.warpAffine(first.picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    one, two = _evened(Levels(laid)), _evened(second)
    if min(one.shape) < _SMALLEST:
        return 0.0
    powers = float(np.square(one).sum() * np.square(two).sum())
    correlation = max(0.0, float((one * two).sum()) / (np.sqrt(powers) + 1e-9))
    waves = min(_waves(one), _waves(two))
    return float(-0.5 * waves * np.log(1 - min(correlation, 1 - 1e-6) ** 2))


def _evened(levels: Levels) -> Floats:
    """Detail that is about equally strong everywhere."""
    detail = levels.detail.values
    strength = cv2.GaussianBlur(detail * detail, (0, 0), _AROUND)
    inner = slice(_MARGIN, -_MARGIN)
    evened = (detail / np.sqrt(strength + _NOISE))[inner, inner]
    if min(evened.shape) == 0:
        return np.asarray(evened, np.float32)
    return np.asarray(evened - evened.mean(), np.float32)


def _waves(field: Floats) -> float:
    """How many equal waves would be as varied: the participation ratio of the spectrum."""
    height, width = field.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    powers = np.square(np.abs(np.fft.rfft2(field * window)))
    return float(powers.sum() ** 2 / max(float(np.square(powers).sum()), 1e-9))
