"""Visual words: descriptors that are alike have the same number, and can be looked up by it.

A word is made of the signs of a descriptor's main components, as many as it takes for a word to
stand for a point or two (Sivic and Zisserman 2003; spectral hashing: Weiss et al. 2008).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats, Pixels
from ajl_tf.inspection.fingerprint import LENGTH

Words = NDArray[np.int64]

# Where the bins of a descriptor (4 rows, 4 columns, 8 directions) are in a mirrored photo's.
MIRRORED = np.arange(LENGTH).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()
_FEWEST_BITS, _MOST_BITS = 12, 31
_SPARE_BITS = 5  # more than the logarithm of the number of points
_UNSURE = 3  # signs that are also tried the other way


class Vocabulary(NamedTuple):
    """How a descriptor becomes a word.

    Attributes:
        mean: float32 `(LENGTH,)`, of rooted descriptors.
        axes: float32 `(LENGTH, bits)`, along which they vary most.
        middle: float32 `(bits,)`, the medians along them.
    """

    mean: Floats
    axes: Floats
    middle: Floats


def rooted(descriptors: Pixels) -> Floats:
    """Descriptors as unit vectors `(n, LENGTH)` whose product tells how alike two are, in [0, 1].

    Hellinger's kernel (Arandjelović and Zisserman 2012, doi:10.1109/CVPR.2012.6248018).
    """
    values = descriptors.astype(np.float32)
    sums = np.maximum(values.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.sqrt(values / sums), np.float32)


def learn_vocabulary(sample: Pixels, points: int) -> Vocabulary:
    """Makes the words for `points` descriptors from a sample `(n, LENGTH)` of them, n > 1."""
    values = rooted(sample)
    mean = values.mean(axis=0)
    bits = min(max(math.ceil(math.log2(points)) + _SPARE_BITS, _FEWEST_BITS), _MOST_BITS)
    covariance = np.cov((values - mean).T.astype(np.float64))
    axes = np.linalg.eigh(covariance).eigenvectors[:, ::-1][:, :bits].astype(np.float32)
    middle = np.median((values - mean) @ axes, axis=0).astype(np.float32)
    return Vocabulary(mean, axes, middle)


def words_of(vocabulary: Vocabulary, descriptors: Floats) -> Words:
    """The word of each rooted descriptor, `(n,)`."""
    return _signs(vocabulary, descriptors)[1]


def likely_words(vocabulary: Vocabulary, descriptors: Floats) -> Words:
    """For each rooted descriptor its word and those that noise may make of it, `(n, 5)`.

    They differ in one of the three least certain signs, or in two of them.
    """
    values, words = _signs(vocabulary, descriptors)
    unsure = np.int64(1) << np.argsort(np.abs(values), axis=1)[:, :_UNSURE]
    others = np.column_stack([unsure, unsure[:, 0] ^ unsure[:, 1]])
    return np.column_stack([words, words[:, None] ^ others])


def _signs(vocabulary: Vocabulary, descriptors: Floats) -> tuple[Floats, Words]:
    values = (descriptors - vocabulary.mean) @ vocabulary.axes - vocabulary.middle
    powers = np.int64(1) << np.arange(values.shape[1])
    return np.asarray(values, np.float32), (values > 0) @ powers
