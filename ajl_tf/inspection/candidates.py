"""Which pairs of photos are worth a closer look: those that share visual words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Pixels
from ajl_tf.inspection.fingerprint import POINTS
from ajl_tf.inspection.words import (
    MIRRORED,
    Vocabulary,
    learn_vocabulary,
    likely_words,
    rooted,
    words_of,
)

Load = Callable[[range], list[Pixels]]
Integers = NDArray[np.int64]

VOTES = 2  # words that a pair shares
MOST = 32  # pairs that a photo proposes
_BLOCK = 128  # photos that are handled at once
_SAMPLE = 40_000  # descriptors
# A word that more photos have is one of a watermark, or of nothing.
_COMMON, _COMMON_SHARE = 20, 0.005


class Candidate(NamedTuple):
    """Two photos by their numbers, `first` < `second`; whether one would be the other mirrored."""

    first: int
    second: int
    mirrored: bool


class _Index(NamedTuple):
    """All words, ascending, and the photo that each is from."""

    words: NDArray[np.uint32]
    photos: NDArray[np.int32]


def find_candidates(count: int, load: Load) -> list[Candidate]:
    """Finds pairs of photos that may be one.

    Memory: 0.7 KB a photo while it works, and the pairs.

    Args:
        count: How many photos there are.
        load: Gives the descriptors, uint8 `(n, 128)`, of each photo of a range.

    Returns:
        Ascending, without repeats.
    """
    sample = _sample(count, load)
    if len(sample) < 2:
        return []
    vocabulary = learn_vocabulary(sample, POINTS * count)
    index = _index(vocabulary, count, load)
    common = max(_COMMON, int(_COMMON_SHARE * count))
    found = [
        _voted(index, likely_words(vocabulary, values), photos, common, mirrored)
        for photos, descriptors in _blocks(count, load)
        for mirrored, values in ((False, descriptors), (True, descriptors[:, MIRRORED]))
    ]
    rows = np.unique(np.concatenate(found), axis=0)
    return [Candidate(first, second, bool(mirrored)) for first, second, mirrored in rows.tolist()]


def _ranges(count: int) -> list[range]:
    return [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]


def _blocks(count: int, load: Load) -> Iterator[tuple[Integers, np.ndarray]]:
    """For each block the photo `(n,)` and the rooted descriptor `(n, 128)` of all its points."""
    for block in _ranges(count):
        loaded = load(block)
        photos = np.repeat(np.arange(block.start, block.stop), [len(part) for part in loaded])
        yield photos, rooted(np.concatenate(loaded))


def _sample(count: int, load: Load) -> Pixels:
    """Some descriptors of all photos, or of evenly chosen blocks if there are many."""
    blocks = _ranges(count)
    chosen = blocks[:: max(1, len(blocks) * _BLOCK * POINTS // (8 * _SAMPLE))]
    parts = [part for block in chosen for part in load(block)]
    step = max(1, sum(map(len, parts)) // _SAMPLE)
    return np.concatenate([*(part[::step] for part in parts), np.zeros((0, 128), np.uint8)])


def _index(vocabulary: Vocabulary, count: int, load: Load) -> _Index:
    """Each word of each photo once."""
    parts = []
    for photos, descriptors in _blocks(count, load):
        # The two in one number, to be sorted in place.
        parts.append(np.unique(words_of(vocabulary, descriptors) << 32 | photos).astype(np.uint64))
    entries = np.concatenate(parts).astype("<u8", copy=False)
    parts.clear()
    entries.sort()
    halves = entries.view("<u4").reshape(-1, 2)  # the lower half comes first
    return _Index(halves[:, 1].copy(), halves[:, 0].astype(np.int32))


def _voted(
    index: _Index, asked: Integers, photos: Integers, common: int, mirrored: bool
) -> Integers:
    """Pairs `(n, 3)`: first, second, mirrored; of photos that share at least `VOTES` words.

    Args:
        index: The words of all photos.
        asked: The likely words `(n, k)` of some points.
        photos: The photo `(n,)` of each of these points.
        common: A word that more photos have does not count.
        mirrored: Stands in the pairs.
    """
    entries = np.unique(asked << 32 | photos[:, None])  # sorted: neighbours are near in the index
    words, photos = (entries >> 32).astype(np.uint32), entries & 0xFFFFFFFF
    first = np.searchsorted(index.words, words, "left")
    sizes = np.searchsorted(index.words, words, "right") - first
    sizes[sizes > common] = 0
    starts = np.cumsum(sizes) - sizes
    places = np.arange(sizes.sum()) + np.repeat(first - starts, sizes)
    pairs, votes = np.unique(
        np.repeat(photos, sizes) << 32 | index.photos[places], return_counts=True
    )
    one, other = pairs >> 32, pairs & 0xFFFFFFFF
    enough = (votes >= VOTES) & (one != other)
    one, other, votes = one[enough], other[enough], votes[enough]
    order = np.lexsort((other, -votes, one))
    one, other = one[order], other[order]
    best = np.arange(len(one)) - np.searchsorted(one, one) < MOST
    one, other = one[best], other[best]
    return np.column_stack(
        [np.minimum(one, other), np.maximum(one, other), np.full(len(one), mirrored)]
    )
