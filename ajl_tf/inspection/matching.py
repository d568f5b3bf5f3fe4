"""Which photos are one: candidates are laid over each other and compared pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ajl_tf.inspection.alignment import Alignment, Subject, align
from ajl_tf.inspection.candidates import Candidate, find_candidates
from ajl_tf.inspection.changes import describe
from ajl_tf.inspection.colour import Pixels
from ajl_tf.inspection.examination import FINGERPRINTS
from ajl_tf.inspection.fingerprint import LOOK, Fingerprint, unpack
from ajl_tf.inspection.store import Store
from ajl_tf.inspection.wholes import Whole, align_whole, find_wholes
from ajl_tf.inspection.work import SlowProgress, in_threads

# Chosen on planted copies, on photos with the same lettering, and by looking at pairs; see
# benchmarks/README.md. With fewer points the details must agree, and the shape be kept.
_MANY_POINTS, _SIMILAR = 8, 0.8
_SURE_POINTS, _LEAST_DETAIL = 20, 0.4  # with fewer the shading of two faces may agree by itself
_MUCH_DETAIL, _MOST_SQUEEZE = 0.8, 1.1
_SOME_DETAIL = 0.6  # for photos that also look alike as a whole
# Less than this of one photo in the other is a logo that both have, or grain that is alike, unless
# very many points agree, and the pixels closely.
_LEAST_SHARED, _VERY_MANY_POINTS, _VERY_SIMILAR = 0.3, 12, 0.85
_AT_ONCE = 128  # photos or pairs whose fingerprints are read together


class Pair(NamedTuple):
    """Two photos of different content.

    Attributes:
        first: Its digest, hexadecimal, smaller than `second`.
        second: Likewise.
        similarity: Of their pixels, in [0, 1].
        change: What makes one the other, in words.
    """

    first: str
    second: str
    similarity: float
    change: str


def find_pairs(digests: Sequence[bytes], store: Store) -> list[Pair]:
    """Finds the pairs of photos that are one.

    Args:
        digests: Of the photos, ascending.
        store: Has their fingerprints; they are read as they are needed.
    """

    def load(photos: range) -> list[Fingerprint]:
        return _read(digests[photos.start : photos.stop], store)

    def compare(some: Sequence[Candidate | Whole]) -> list[Pair]:
        asked = sorted({photo for pair in some for photo in (pair.first, pair.second)})
        prints = _read([digests[photo] for photo in asked], store)
        subjects = dict(zip(asked, map(Subject, prints), strict=True))
        found = []
        for pair in some:
            alignment = _align(subjects[pair.first], subjects[pair.second], pair)
            if alignment is not None and is_copy(alignment):
                ends = digests[pair.first].hex(), digests[pair.second].hex()
                found.append(
                    Pair(*ends, round(alignment.likeness.similarity, 4), describe(alignment))
                )
        return found

    candidates: list[Candidate | Whole] = []
    candidates += find_candidates(len(digests), load)
    candidates += find_wholes(_looks(len(digests), load))
    candidates.sort(key=lambda pair: pair[:2])
    parts = [candidates[at : at + _AT_ONCE] for at in range(0, len(candidates), _AT_ONCE)]
    line = SlowProgress(len(candidates), "comparing photos", "pairs")
    best: dict[tuple[str, str], Pair] = {}
    for part, pairs in zip(parts, in_threads(compare, parts), strict=True):
        for pair in pairs:  # two may have been found in more than one way
            known = best.get(pair[:2], pair)
            best[pair[:2]] = max(known, pair, key=lambda either: either.similarity)
        line.add(len(part))
    line.close()
    return list(best.values())


def is_copy(alignment: Alignment) -> bool:
    """Whether so many points and pixels agree that it is one photo."""
    if min(alignment.likeness.covered) < _LEAST_SHARED:
        many = alignment.points >= _VERY_MANY_POINTS
        return many and alignment.likeness.similarity >= _VERY_SIMILAR
    if alignment.points >= _MANY_POINTS:
        sure = alignment.points >= _SURE_POINTS or alignment.likeness.detail >= _LEAST_DETAIL
        return sure and alignment.likeness.similarity >= _SIMILAR
    if alignment.points:
        kept = alignment.squeeze < _MOST_SQUEEZE
        return kept and alignment.likeness.detail >= _MUCH_DETAIL
    return alignment.likeness.detail >= _SOME_DETAIL


def _align(first: Subject, second: Subject, pair: Candidate | Whole) -> Alignment | None:
    if isinstance(pair, Whole):
        return align_whole(first, second, pair)
    return align(first, second, pair.mirrored)


def _read(digests: Sequence[bytes], store: Store) -> list[Fingerprint]:
    packed = store.get(FINGERPRINTS, digests)
    return [unpack(packed[digest]) for digest in digests]


def _looks(count: int, load: Callable[[range], list[Fingerprint]]) -> Pixels:
    looks = np.zeros((count, LOOK, LOOK), np.uint8)
    for start in range(0, count, _AT_ONCE):
        block = range(start, min(start + _AT_ONCE, count))
        looks[block.start : block.stop] = [each.look for each in load(block)]
    return looks
