"""How one photo lies on another: first by their points, then by their pixels.

Each pair of points that look alike says by itself how one photo would be moved, turned and scaled
to lie on the other. The move that most others bear out is refined; so nothing is drawn at random,
and the same photos always give the same answer.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Bools, Floats
from ajl_tf.inspection.fingerprint import Fingerprint
from ajl_tf.inspection.likeness import Levels, Likeness, pixel_likeness
from ajl_tf.inspection.words import MIRRORED, rooted

Matrix = NDArray[np.float64]
Places = NDArray[np.complex64]

FEWEST_POINTS = 6
_ALIKE = 0.75  # least product of two rooted descriptors
# What two matches may differ in and still say the same: pixels, and more with each pixel between
# them; the logarithm of the scale; the cosine of the turn.
_NEAR, _DRIFT, _GROWTH, _TURN = 4.0, 0.06, 0.45, 0.92
# For the refinement, which allows for a photo that was squeezed to another shape.
_WIDE_GROWTH, _WIDE_TURN = 0.9, 0.7
_STEPS = 8.0, 6.0, 4.0, 3.0, 2.5  # pixels within which a match counts, from step to step
_FOR_SQUEEZED = 6  # points from which on a squeeze can be told
_SCALES = 0.1, 10.0


class Subject:
    """A photo that is laid on others: what that needs of it, made once."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        """Takes a photo's fingerprint."""
        self._fingerprint = fingerprint
        self.places, self.frames = _frames(fingerprint.points)

    @cached_property
    def descriptors(self) -> Floats:
        """Rooted, `(n, LENGTH)`."""
        return rooted(self._fingerprint.descriptors)

    @cached_property
    def mirrored(self) -> Floats:
        """Those of its mirror image."""
        return self.descriptors[:, MIRRORED]

    @cached_property
    def levels(self) -> Levels:
        """Of its picture."""
        return Levels(self._fingerprint.picture)


class Alignment(NamedTuple):
    """How one picture lies on another.

    Attributes:
        points: How many points agree; 0 where the whole of one is laid on the whole of the other.
        matrix: `(2, 3)`, from pixels of the first picture to pixels of the second.
        likeness: Of the pixels, so laid.
    """

    points: int
    matrix: Matrix
    likeness: Likeness

    @property
    def squeeze(self) -> float:
        """How many times more one direction is enlarged than the other; 1 if the shape is kept."""
        most, least = np.linalg.svd(self.matrix[:, :2], compute_uv=False)
        return float(most / least)


class _Matches(NamedTuple):
    """Points that look alike: their numbers, places, and how one's frame becomes the other's."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    there: Places
    here: Places
    ratio: Places

    def taken(self, which: Bools) -> _Matches:
        return _Matches(
            self.first[which],
            self.second[which],
            self.there[which],
            self.here[which],
            self.ratio[which],
        )

    @property
    def points(self) -> int:
        """How many; one that is in two pairs counts once."""
        return min(len(set(self.first.tolist())), len(set(self.second.tolist())))


def align(first: Subject, second: Subject, mirrored: bool) -> Alignment | None:
    """Lays a photo, or its mirror image, on another.

    Returns:
        None if fewer than `FEWEST_POINTS` points agree.
    """
    matches = _matches(first, second, mirrored)
    if len(matches.first) < FEWEST_POINTS:
        return None
    start, wide = _consensus(matches)
    matrix, points = _refined(matches, start, wide)
    if mirrored:
        matrix = matrix @ np.diag([1.0, -1.0, 1.0])
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if points < FEWEST_POINTS or not _SCALES[0] < scale < _SCALES[1]:
        return None
    return Alignment(points, matrix, pixel_likeness(first.levels, second.levels, matrix))


def _matches(first: Subject, second: Subject, mirrored: bool) -> _Matches:
    """Each point of either photo with the one most like it in the other, if it is like enough."""
    alike = (first.mirrored if mirrored else first.descriptors) @ second.descriptors.T
    best = np.zeros(alike.shape, bool)
    if alike.size:
        best[np.arange(len(best)), alike.argmax(axis=1)] = True
        best[alike.argmax(axis=0), np.arange(len(best.T))] = True
    a, b = np.nonzero(best & (alike > _ALIKE))
    there, one_frame = first.places[a], first.frames[a]
    if mirrored:
        there, one_frame = there.conj(), one_frame.conj()
    return _Matches(a, b, there, second.places[b], second.frames[b] / one_frame)


def _frames(points: Floats) -> tuple[Places, Places]:
    """Places, and sizes with directions, as complex numbers."""
    x, y, size, angle = points.T
    direction = np.exp(np.complex64(1j) * np.deg2rad(angle))
    return x + np.complex64(1j) * y, size * direction


def _consensus(matches: _Matches) -> tuple[Bools, Bools]:
    """The matches that agree with the one that most agree with; those that may yet agree."""
    there, here, ratio = matches.there, matches.here, matches.ratio
    growth, turn = np.log(np.abs(ratio)), np.angle(ratio)
    grown, turned = np.abs(growth[:, None] - growth), np.cos(turn[:, None] - turn)
    away = there - there[:, None]
    error = np.abs(ratio[:, None] * away - (here - here[:, None]))
    drift = _DRIFT * np.abs(away) * np.minimum(np.abs(ratio), 3)[:, None]
    agree = (grown < _GROWTH) & (turned > _TURN) & (error < _NEAR + drift)
    winner = int(agree.sum(axis=1).argmax())
    return agree[winner], (grown[winner] < _WIDE_GROWTH) & (turned[winner] > _WIDE_TURN)


def _refined(matches: _Matches, start: Bools, wide: Bools) -> tuple[Matrix, int]:
    """Least squares over ever more of the wide matches, ever more closely."""
    kept = matches.taken(wide)
    ones = np.ones(len(kept.there))
    source = np.stack([kept.there.real, kept.there.imag, ones])
    target = np.stack([kept.here.real, kept.here.imag]).astype(np.float64)
    close = start[wide]
    matrix: Matrix = np.eye(2, 3)
    for step in _STEPS:
        points = kept.taken(close).points
        if points < FEWEST_POINTS:
            return matrix, points
        fit = _affine if points >= _FOR_SQUEEZED else _similar
        matrix = np.asarray(fit(source[:, close], target[:, close]), np.float64)
        close = np.hypot(*(matrix @ source - target)) < step
    return matrix, kept.taken(close).points


def _affine(source: Matrix, target: Matrix) -> Matrix:
    solution = np.linalg.lstsq(source.T, target.T, rcond=None)[0]
    return np.asarray(solution.T, np.float64)


def _similar(source: Matrix, target: Matrix) -> Matrix:
    """A move, a turn and one scale."""
    p, q = source[0] + 1j * source[1], target[0] + 1j * target[1]
    away = p - p.mean()
    ratio = ((q - q.mean()) * away.conj()).sum() / max((np.abs(away) ** 2).sum(), 1e-9)
    move = q.mean() - ratio * p.mean()
    return np.array([[ratio.real, -ratio.imag, move.real], [ratio.imag, ratio.real, move.imag]])
