"""Visual words: descriptors that are alike have the same number, and can be looked up by it.

A descriptor's code is made of the signs of its main components, and its word of the first few of
them (Sivic and Zisserman 2003; spectral hashing: Weiss et al. 2008). The word is for finding it,
the rest of the code tells without the descriptor itself how alike two are (Hamming embedding: Jégou
et al. 2008, doi:10.1007/978-3-540-88682-2_24).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats, Pixels
from ajl_tf.inspection.fingerprint import LENGTH

Words = NDArray[np.int64]
Codes = NDArray[np.uint64]

# Where the bins of a descriptor (4 rows, 4 columns, 8 directions) are in a mirrored photo's.
MIRRORED = np.arange(LENGTH).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()
BITS = 64  # of a code
_FEWEST_BITS, _MOST_BITS = 8, 24  # of a word
_LOAD = 2  # logarithm of how many points share a word on average
_UNSURE = 4  # signs that are tried both ways


class Vocabulary(NamedTuple):
    """How a descriptor becomes a code and a word.

    Attributes:
        mean: float32 `(LENGTH,)`, of rooted descriptors.
        axes: float32 `(LENGTH, BITS)`, along which they vary most.
        middle: float32 `(BITS,)`, the medians along them.
        bits: Of a word.
    """

    mean: Floats
    axes: Floats
    middle: Floats
    bits: int


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
    bits = min(max(math.ceil(math.log2(points)) - _LOAD, _FEWEST_BITS), _MOST_BITS)
    values -= mean
    axes = np.linalg.eigh(values.T @ values).eigenvectors[:, ::-1][:, :BITS]
    middle = np.median(values @ axes, axis=0)
    return Vocabulary(mean, axes, middle, bits)


def codes_of(vocabulary: Vocabulary, descriptors: Floats) -> tuple[Codes, Words]:
    """The code and the word of each rooted descriptor, `(n,)` both."""
    return _coded(vocabulary, _components(vocabulary, descriptors))


def likely_words(vocabulary: Vocabulary, descriptors: Floats) -> tuple[Codes, Words]:
    """The code `(n,)` of each, and the words that noise may make of it, `(n, 16)`, its own first.

    The four least certain signs are tried both ways.
    """
    values = _components(vocabulary, descriptors)
    codes, words = _coded(vocabulary, values)
    certainty = np.abs(values[:, : vocabulary.bits])
    unsure = np.int64(1) << np.argpartition(certainty, _UNSURE, axis=1)[:, :_UNSURE]
    flips = unsure @ (np.arange(1 << _UNSURE) >> np.arange(_UNSURE)[:, None] & 1)
    return codes, words[:, None] ^ flips


def _components(vocabulary: Vocabulary, descriptors: Floats) -> Floats:
    values = (descriptors - vocabulary.mean) @ vocabulary.axes - vocabulary.middle
    return np.asarray(values, np.float32)


def _coded(vocabulary: Vocabulary, values: Floats) -> tuple[Codes, Words]:
    signs = np.packbits(values > 0, axis=1, bitorder="little")
    codes = signs.view("<u8")[:, 0]
    words = codes & np.uint64((1 << vocabulary.bits) - 1)
    return codes.astype(np.uint64), words.astype(np.int64)
