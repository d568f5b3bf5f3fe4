"""The main points of all photos in memory, by their visual word: 14 bytes a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats, Pixels
from ajl_tf.inspection.fingerprint import LENGTH, Fingerprint
from ajl_tf.inspection.words import Codes, Vocabulary, codes_of, rooted

Load = Callable[[range], Sequence[Fingerprint]]
Integers = NDArray[np.int64]

INDEXED = 80  # points of a photo; it asks for all it has, and so finds those that it is found by
_BLOCK = 128  # photos that are read at once
_SAMPLE = 20_000  # descriptors


class Points(NamedTuple):
    """Points of several photos.

    Attributes:
        photos: The photo `(n,)` that each is of.
        descriptors: float32 `(n, LENGTH)`, rooted.
        turns: uint8, its direction in 256ths of a full turn.
        sizes: uint8, the logarithm of its size in 16ths of an octave.
    """

    photos: Integers
    descriptors: Floats
    turns: Pixels
    sizes: Pixels


class Index(NamedTuple):
    """The first `INDEXED` points of all photos by their word.

    Those of word w stand from starts[w] to starts[w + 1].

    Attributes:
        photo_count: How many photos there are.
    """

    photo_count: int
    starts: NDArray[np.int64]
    photos: NDArray[np.int32]
    codes: Codes
    turns: Pixels
    sizes: Pixels


def ranges_of(count: int, size: int) -> list[range]:
    """All photos, so many at once."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def points_of(block: range, load: Load, most: int | None = None) -> Points:
    """The points of a range of photos, or the first so many of each."""
    prints = load(block)
    counts = [len(each.points[:most]) for each in prints]
    photos = np.repeat(np.arange(block.start, block.stop), counts)
    points = np.concatenate([each.points[:most] for each in prints])
    turns = np.rint(points[:, 3] * (256 / 360)).astype(np.int64).astype(np.uint8)
    sizes = np.clip(np.rint(16 * np.log2(np.maximum(points[:, 2], 1))), 0, 255)
    descriptors = rooted(np.concatenate([each.descriptors[:most] for each in prints]))
    return Points(photos, descriptors, turns, sizes.astype(np.uint8))


def sample_descriptors(count: int, load: Load) -> Pixels:
    """Some descriptors of all photos, or of evenly chosen blocks if there are many."""
    blocks = ranges_of(count, _BLOCK)
    chosen = blocks[:: max(1, len(blocks) * _BLOCK * INDEXED // (8 * _SAMPLE))]
    parts = [each.descriptors[:INDEXED] for block in chosen for each in load(block)]
    step = max(1, sum(map(len, parts)) // _SAMPLE)
    return np.concatenate([*(part[::step] for part in parts), np.zeros((0, LENGTH), np.uint8)])


def build_index(vocabulary: Vocabulary, count: int, load: Load) -> Index:
    """In two passes, the first of which counts, so that nothing is held twice."""
    sizes = np.zeros((1 << vocabulary.bits) + 1, np.int64)
    for points in _blocks(count, load):
        words, counts = np.unique(codes_of(vocabulary, points.descriptors)[1], return_counts=True)
        sizes[words + 1] += counts
    starts = np.cumsum(sizes)
    total = int(starts[-1])
    index = Index(
        count,
        starts,
        np.empty(total, np.int32),
        np.empty(total, np.uint64),
        np.empty(total, np.uint8),
        np.empty(total, np.uint8),
    )
    free = starts[:-1].copy()
    for points in _blocks(count, load):
        codes, words = codes_of(vocabulary, points.descriptors)
        order = np.argsort(words, kind="stable")
        words, counts = np.unique(words, return_counts=True)
        places = spans(free[words], counts)
        free[words] += counts
        index.photos[places] = points.photos[order]
        index.codes[places] = codes[order]
        index.turns[places] = points.turns[order]
        index.sizes[places] = points.sizes[order]
    return index


def spans(starts: Integers, sizes: Integers) -> Integers:
    """The numbers start, start + 1, … of each span, one span after the other."""
    before = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(sizes.sum()) + np.repeat(starts - before, sizes), np.int64)


def _blocks(count: int, load: Load) -> Iterator[Points]:
    return (points_of(block, load, INDEXED) for block in ranges_of(count, _BLOCK))
