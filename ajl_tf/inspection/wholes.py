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

ALIKE = 0.9  # least correlation of two looks
MOST = 8  # pairs that a photo proposes
# What 4,000 photos in eight positions make likely once is 18. Of 2,685 pairs of drawn gradients,
# single blotches and heavily blurred photos four had more than this.
_EVIDENCE = 22
_SIDE = 8  # frequencies along each side
_BLOCK = 512  # photos that are compared with all later ones at once
_CHUNK = 65536  # pairs whose signs are compared at once
_ROW, _COLUMN = np.mgrid[:_SIDE, :_SIDE]
_UPPER = np.triu_indices(_SIDE, 1)


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
    folded = _folded(spectra)
    found = []
    for start in range(0, len(looks), _BLOCK):
        # Never less than the correlation in the best position.
        bound = folded[start : start + _BLOCK] @ folded[start:].T
        rows, columns = np.nonzero(bound > ALIKE)
        later = columns > rows
        rows, columns = rows[later] + start, columns[later] + start
        for at in range(0, len(rows), _CHUNK):
            found += _compared(spectra, rows[at : at + _CHUNK], columns[at : at + _CHUNK])
    found.sort(reverse=True)
    counts = np.zeros(len(looks), np.int64)
    kept = []
    for _, pair in found:
        if min(counts[pair.first], counts[pair.second]) < MOST:
            counts[[pair.first, pair.second]] += 1
            kept.append(pair)
    return sorted(kept)


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


def _compared(
    spectra: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> list[tuple[float, Whole]]:
    """The pairs that are alike in some position, with their correlation in the best."""
    first, second = spectra[rows], spectra[columns]
    likeness, positions = [], []
    for transposed in (False, True):
        product = (first.transpose(0, 2, 1) if transposed else first) * second
        # A mirror changes the signs of odd frequencies; so four sums tell four positions.
        even, odd = product[:, ::2], product[:, 1::2]
        sums = [part[:, :, side::2].sum(axis=(1, 2)) for part in (even, odd) for side in (0, 1)]
        for upside_down in (False, True):
            for mirrored in (False, True):
                across, down = (-1 if mirrored else 1), (-1 if upside_down else 1)
                likeness.append(sums[0] + across * sums[1] + down * (sums[2] + across * sums[3]))
                positions.append((transposed, upside_down, mirrored))
    best = np.argmax(likeness, axis=0)
    values = np.max(likeness, axis=0)
    return [
        (float(values[at]), Whole(int(rows[at]), int(columns[at]), *positions[best[at]]))
        for at in np.flatnonzero(values > ALIKE)
    ]
