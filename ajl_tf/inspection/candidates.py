"""Which pairs of photos are worth a closer look: those that share points, turned and scaled alike.

Points are looked up by their visual word, kept where their codes agree, and count together where
they say the same about how one photo would be turned and scaled to lie on the other (Jégou, Douze
and Schmid 2008, doi:10.1007/978-3-540-88682-2_24).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.lookup import (
    INDEXED,
    Index,
    Integers,
    Load,
    Points,
    build_index,
    points_of,
    ranges_of,
    sample_descriptors,
    spans,
)
from ajl_tf.inspection.words import MIRRORED, Codes, Vocabulary, learn_vocabulary, likely_words
from ajl_tf.inspection.work import in_threads

VOTES = 26  # that a pair needs: a point has as many as the signs that its codes agree in
MOST = 24  # pairs that a photo proposes
_ASKED = 16  # photos that are looked up at once
_UNLIKE = 22  # signs in which codes differ; a point has one vote for each less
_NEAREST = 32  # points that one is taken for; a watermark is on hundreds of photos
_FULL = 4096  # points; a word of more tells nothing
# What points must agree in to count together: a turn within 60 degrees, a scale within an octave.
_TURNS, _SIZES = 12, 2  # half such steps in a full turn, and in an octave


class Candidate(NamedTuple):
    """Two photos by their numbers, `first` < `second`; whether one would be the other mirrored."""

    first: int
    second: int
    mirrored: bool


def find_candidates(count: int, load: Load) -> list[Candidate]:
    """Finds pairs of photos that may be one.

    Memory: 1.3 KB a photo while it works, then the pairs.

    Args:
        count: How many photos there are.
        load: Gives the fingerprints of a range of photos.

    Returns:
        Ascending, without repeats.
    """
    found = _looked_up(count, load)
    first, second = divmod(found >> 1, max(count, 1))
    rows = zip(first.tolist(), second.tolist(), (found & 1).tolist(), strict=True)
    return [Candidate(one, other, bool(mirrored)) for one, other, mirrored in rows]


def _looked_up(count: int, load: Load) -> Integers:
    """Each candidate as the number (first * count + second) * 2 + mirrored, ascending."""
    sample = sample_descriptors(count, load)
    if len(sample) < 2:
        return np.zeros(0, np.int64)
    vocabulary = learn_vocabulary(sample, INDEXED * count)
    index = build_index(vocabulary, count, load)

    def look_up(block: range) -> Integers:
        points = points_of(block, load)
        return np.concatenate(
            [_voted(index, vocabulary, points, mirrored) for mirrored in (False, True)]
        )

    return np.unique(np.concatenate(list(in_threads(look_up, ranges_of(count, _ASKED)))))


def _voted(index: Index, vocabulary: Vocabulary, points: Points, mirrored: bool) -> Integers:
    """Pairs of photos that share enough points, numbered as `_looked_up` says."""
    descriptors = points.descriptors[:, MIRRORED] if mirrored else points.descriptors
    codes, words = likely_words(vocabulary, descriptors)
    asked, places, weight = _nearest(*_alike(index, codes, words))
    one, other = points.photos[asked], index.photos[places].astype(np.int64)
    start, count = points.photos.min(initial=index.photo_count), index.photo_count
    pairs = (one - start) * count + other
    enough = (np.bincount(pairs, weight)[pairs] >= VOTES) & (one != other)
    asked, places, weight, pairs = (part[enough] for part in (asked, places, weight, pairs))
    turn = points.turns[asked].astype(np.int64)
    away = (index.turns[places] - (-turn if mirrored else turn)) % 256
    growth = index.sizes[places].astype(np.int64) - points.sizes[asked]
    windows = [
        (away * _TURNS // 256 + right) % _TURNS // 2 << 6 | (growth * _SIZES // 16 + up) // 2 + 32
        for right in (0, 1)
        for up in (0, 1)
    ]
    pairs, votes = _agreeing(pairs, windows, asked, weight)
    one, other = _best(pairs // count + start, pairs % count, votes)
    return (np.minimum(one, other) * count + np.maximum(one, other)) * 2 + mirrored


def _alike(index: Index, codes: Codes, words: Integers) -> tuple[Integers, Integers, Integers]:
    """Points asked for and points of the index, by number, whose codes nearly agree; how nearly."""
    starts = index.starts[words]
    sizes = index.starts[words + 1] - starts
    sizes[sizes > _FULL] = 0
    places = spans(starts.ravel(), sizes.ravel())
    asked = np.repeat(np.arange(len(codes)), sizes.sum(axis=1))
    weight = _UNLIKE - np.bitwise_count(index.codes[places] ^ codes[asked]).astype(np.int64)
    near = weight > 0
    return asked[near], places[near], weight[near]


def _nearest(
    asked: Integers, places: Integers, weight: Integers
) -> tuple[Integers, Integers, Integers]:
    """Of each point asked for the few that are most like it."""
    rows = (asked << 8 | (_UNLIKE - weight)) << 32 | places  # in one number, to be sorted as such
    rows.sort()
    asked = rows >> 40
    few = np.arange(len(asked)) - np.searchsorted(asked, asked) < _NEAREST
    rows, asked = rows[few], asked[few]
    return asked, rows & 0xFFFFFFFF, _UNLIKE - (rows >> 32 & 255)


def _agreeing(
    pairs: Integers, windows: list[Integers], asked: Integers, weight: Integers
) -> tuple[Integers, Integers]:
    """Each pair once, and the weight of those of its points that agree in turn and scale."""
    rows = np.concatenate(
        [
            ((pairs << 2 | number) << 10 | window) << 24 | asked << 8 | (_UNLIKE - weight)
            for number, window in enumerate(windows)
        ]
    )
    rows.sort()
    rows = rows[_new(rows >> 8)]  # a point asked for counts once, with the one most like it
    first = np.flatnonzero(_new(rows >> 24))
    sums = np.add.reduceat(_UNLIKE - (rows & 255), first) if len(first) else rows
    pairs = rows[first] >> 36
    start = np.flatnonzero(_new(pairs))
    return pairs[start], np.maximum.reduceat(sums, start) if len(start) else sums


def _new(values: Integers) -> NDArray[np.bool_]:
    """Which of some sorted values differ from the one before."""
    return np.asarray(np.diff(values, prepend=-1) != 0)


def _best(one: Integers, other: Integers, votes: Integers) -> tuple[Integers, Integers]:
    """Of each photo the pairs with the most votes."""
    enough = votes >= VOTES
    one, other, votes = one[enough], other[enough], votes[enough]
    order = np.lexsort((other, -votes, one))
    one, other = one[order], other[order]
    best = np.arange(len(one)) - np.searchsorted(one, one) < MOST
    return one[best], other[best]
