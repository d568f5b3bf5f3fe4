"""Candidates by the photo as a whole: what light and dark is where, in a square of a few pixels.

Finds copies that show the whole photo also where points fail: squeezed to another shape, or of skin
so smooth that there are few. A mirrored or turned photo has the same cosine transform but for signs
and for rows and columns, so that all eight positions are compared at once.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.alignment import Alignment, Subject
from ajl_tf.inspection.colour import Floats, Pixels
from ajl_tf.inspection.evidence import evidence
from ajl_tf.inspection.likeness import pixel_likeness
from ajl_tf.inspection.lookup import ranges_of
from ajl_tf.inspection.work import in_threads

ALIKE = 0.9  # least correlation of two looks
MOST = 8  # pairs that a photo proposes
# What 4,000 photos in eight positions make likely once is 18. Of 2,685 pairs of drawn gradients,
# single blotches and heavily blurred photos four had more than this.
_EVIDENCE = 22
_SIDE = 8  # frequencies along each side
_BLOCK, _OTHERS = 512, 4096  # photos that are compared with so many at once
_CHUNK = 16384  # pairs whose signs are compared at once
_ROW, _COLUMN = np.mgrid[:_SIDE, :_SIDE]
_UPPER = np.triu_indices(_SIDE, 1)
# What even and odd rows and columns count: as it is, mirrored, upside down, both.
_SIGNS = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32)
# Correlation, first, second, transposed, upside down, mirrored.
Rows = NDArray[np.float64]
_NONE: Rows = np.zeros((0, 6))


class Whole(NamedTuple):
    """Two photos by their numbers, and how the first would be moved to be the second.

    Attributes:
        first: Smaller than `second`.
        second: The other one.
        transposed: Rows become columns; this comes first.
        upside_down: The last row becomes the first.
        mirrored: The last column becomes the first.
    """

    first: int
    second: int
    transposed: bool
    upside_down: bool
    mirrored: bool


def find_wholes(looks: Pixels) -> list[Whole]:
    """Finds pairs of photos that look alike from afar, in any of eight positions.

    Args:
        looks: `(n, side, side)`, see `Fingerprint.look`.

    Returns:
        Ascending, without repeats.
    """
    spectra = _spectra(looks)
    folded, parities = _folded(spectra), _by_parity(spectra)
    blocks = ranges_of(len(looks), _BLOCK)
    rows = list(in_threads(lambda block: _most_alike(parities, folded, block), blocks))
    found = np.unique(np.concatenate([_NONE, *rows])[:, 1:].astype(np.int64), axis=0)
    return [Whole(first, second, *map(bool, how)) for first, second, *how in found.tolist()]


def align_whole(first: Subject, second: Subject, pair: Whole) -> Alignment | None:
    """Lays the whole of a photo on the whole of another, squeezed as need be.

    Returns:
        None if that they agree says too little.
    """
    one, two = first.levels, second.levels
    move = np.diag([-1.0 if pair.mirrored else 1.0, -1.0 if pair.upside_down else 1.0, 1.0])
    if pair.transposed:
        move = move @ np.eye(3)[[1, 0, 2]]
    matrix = (np.linalg.inv(_centred(two.picture)) @ move @ _centred(one.picture))[:2]
    if evidence(one, two, matrix) < _EVIDENCE:
        return None
    return Alignment(0, matrix, pixel_likeness(one, two, matrix))


def _centred(picture: Floats) -> NDArray[np.float64]:
    """From pixels to a square from -1/2 to 1/2."""
    height, width = picture.shape
    return np.array(
        [[1 / width, 0, 0.5 / width - 0.5], [0, 1 / height, 0.5 / height - 0.5], [0, 0, 1]]
    )


def _spectra(looks: Pixels) -> Floats:
    """The lower part `(n, 8, 8)` of each look's cosine transform, as unit vectors."""
    weights = np.sqrt(1 + _ROW + _COLUMN)  # finer parts are weaker by nature
    weights[0, 0] = 0
    spectra = np.zeros((len(looks), _SIDE, _SIDE), np.float32)
    for spectrum, look in zip(spectra, looks, strict=True):
        spectrum[:] = cv2.dct(look.astype(np.float32))[:_SIDE, :_SIDE] * weights
    lengths = np.linalg.norm(spectra, axis=(1, 2), keepdims=True)
    return np.asarray(spectra / np.maximum(lengths, 1), np.float32)


def _folded(spectra: Floats) -> Floats:
    """Unit vectors `(n, 64)` that are the same in all eight positions."""
    sizes = np.abs(spectra)
    above, below = sizes[:, *_UPPER], sizes[:, *_UPPER[::-1]]
    diagonal = sizes[:, range(_SIDE), range(_SIDE)]
    halves = np.sqrt(np.float32(0.5)) * np.concatenate([above + below, abs(above - below)], axis=1)
    return np.concatenate([halves, diagonal], axis=1)


def _most_alike(parities: Floats, folded: Floats, block: range) -> Rows:
    """Of each photo of a block the pairs in which it is most like another."""
    kept, own = _NONE, np.zeros(0, np.int64)
    for others in ranges_of(len(folded), _OTHERS):
        # Never less than the correlation in the best position.
        bound = folded[block.start : block.stop] @ folded[others.start : others.stop].T
        found = np.flatnonzero(bound > ALIKE)
        for at in range(0, len(found), _CHUNK):
            here, there = divmod(found[at : at + _CHUNK], len(others))
            here, there = here + block.start, there + others.start
            here, there = here[here != there], there[here != there]
            rows = _compared(parities, np.minimum(here, there), np.maximum(here, there))
            alike = rows[:, 0] > ALIKE
            kept, own = np.concatenate([kept, rows[alike]]), np.concatenate([own, here[alike]])
            order = np.lexsort((-kept[:, 0], own))
            kept, own = kept[order], own[order]
            most = np.arange(len(own)) - np.searchsorted(own, own) < MOST
            kept, own = kept[most], own[most]
    return kept


def _by_parity(spectra: Floats) -> Floats:
    """`(n, 2, 2, 4, 4)`: first the even rows, then the odd ones; of each the columns likewise."""
    halves = spectra.reshape(-1, _SIDE // 2, 2, _SIDE // 2, 2)
    return np.ascontiguousarray(halves.transpose(0, 2, 4, 1, 3))


def _compared(parities: Floats, first: NDArray[np.int64], second: NDArray[np.int64]) -> Rows:
    """Each pair in its best position."""
    one, two = parities[first], parities[second]
    # A mirror changes the signs of odd frequencies; so four sums tell four positions.
    sums = [
        np.einsum("nijrc,nijrc->nij", way, two).reshape(-1, 4)
        for way in (one, one.transpose(0, 2, 1, 4, 3))
    ]
    likeness = np.concatenate([each @ _SIGNS for each in sums], axis=1)
    best = likeness.argmax(axis=1)
    positions = [best // 4, best // 2 % 2, best % 2]
    return np.column_stack([likeness.max(axis=1), first, second, *positions])
