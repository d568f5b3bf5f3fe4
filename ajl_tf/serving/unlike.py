"""How unlike anything known a photo is: 0 to 1, for a photo that a classifier should not answer.

The score is a distance: how far a photo's pooled features, scaled to length 1, lie from the
principal subspace of photos that the network did not train on (the residual of ViM, Wang et al.
2022, https://arxiv.org/abs/2203.10807; length 1 after Sun et al. 2022,
https://arxiv.org/abs/2204.06507). Tone bands weigh alike in that subspace: where each photo weighs
alike, a rare band lies farther from it and raises more false alarms. What is returned is the share
of held-out photos that lie nearer, so that a threshold of 0.95 is passed by about one in twenty
photos of the kind that the network knows.
`benchmarks/unlike.md` has what this was chosen from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.utils.extmath import randomized_svd

from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.assessment.metrics import Floats, Ints
from ajl_tf.serving.blend import FEWEST

AXES = 32
FALSE_ALARMS = 0.05
_PARTS = 5
_TABLE = 1000  # as many steps as 0 to 1 is divided into


@dataclass(frozen=True, eq=False)
class Known:
    """What a network knows: a subspace, and how far from it new photos of that kind lie.

    Attributes:
        mean: (D,).
        axes: (D, d), orthonormal.
        distances: (T,), quantiles from 0 to 1, ascending; of photos that neither the network nor
            the subspace saw.
    """

    mean: Floats
    axes: Floats
    distances: Floats

    def unlike(self, features: Floats) -> Floats:
        """(N,), in [0, 1]: the share of known photos nearer than those of these features (N, D).

        The in-process counterpart of `in_graph`.
        """
        distance = _distance(_unit(features), self.mean, self.axes)
        shares: Floats = np.interp(distance, self.distances, np.linspace(0, 1, len(self.distances)))
        return shares

    def in_graph(self, track: Any) -> Any:
        """A function of TensorFlow from features `(N, D)` to the same, float32 `(N,)`.

        Args:
            track: Called with each variable that must be saved.
        """
        mean, axes, distances = (
            track(tf.Variable(each.astype(np.float32), trainable=False))
            for each in (self.mean, self.axes, self.distances)
        )

        def unlike(features: tf.Tensor) -> tf.Tensor:
            centred = tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1) - mean
            inside = tf.matmul(tf.matmul(centred, axes), axes, transpose_b=True)
            distance = tf.norm(centred - inside, axis=1)
            above = tf.clip_by_value(
                tf.searchsorted(distances, distance), 1, len(self.distances) - 1
            )
            low, high = tf.gather(distances, above - 1), tf.gather(distances, above)
            between = tf.clip_by_value(tf.math.divide_no_nan(distance - low, high - low), 0.0, 1.0)
            return (tf.cast(above - 1, tf.float32) + between) / (len(self.distances) - 1)

        return unlike


def know(features: Floats, skin_tone: npt.ArrayLike, clusters: Ints) -> tuple[Known, Floats] | None:
    """Learns what is known from photos that the network did not train on.

    Args:
        features: (n, D), pooled.
        skin_tone: (n,), 1 to 6, or -1.
        clusters: (n,), photos that belong together.

    Returns:
        That, and the score of each photo (n,) as if it had not been among these; None with fewer
        than `FEWEST` photos.
    """
    if len(features) < FEWEST:
        return None
    units, bands = _unit(features), band_index(tone_index(skin_tone))
    distances = _left_out(units, bands, clusters)
    nearer = np.searchsorted(np.sort(distances), distances, side="left")
    quantiles = np.linspace(0, 1, min(len(distances), _TABLE))
    known = Known(*_subspace(units, bands), np.quantile(distances, quantiles))
    return known, nearer / (len(distances) - 1)


def _left_out(units: Floats, bands: Ints, clusters: Ints) -> Floats:
    """(n,): each photo's distance from the subspace of the four fifths of clusters without it."""
    found, number = np.unique(clusters, return_inverse=True)
    part = np.random.default_rng(0).permutation(len(found))[number] % _PARTS
    distances = np.empty(len(units))
    for each in range(_PARTS):
        out = part == each
        distances[out] = _distance(units[out], *_subspace(units[~out], bands[~out]))
    return distances


def _subspace(units: Floats, bands: Ints) -> tuple[Floats, Floats]:
    """Weighted mean (D,) and principal axes (D, d) of features of length 1 (n, D)."""
    weights = _weights(bands)
    mean = weights @ units
    centred = (units - mean) * np.sqrt(weights)[:, None]
    count = min(AXES, len(units) // 4, units.shape[1] - 1)
    axes = randomized_svd(centred, count, random_state=0)[2]
    return mean, axes.T


def _weights(bands: Ints) -> Floats:
    """(n,), sum to one: known tone bands weigh alike, a photo of unknown tone as the mean photo."""
    known = bands < len(BANDS) - 1
    counts = np.bincount(bands, minlength=len(BANDS)).astype(np.float64)
    weights = np.where(known, 1 / counts[bands], 0.0)
    weights[~known] = weights[known].mean() if known.any() else 1.0
    weights /= weights.sum()
    return weights


def _unit(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units: Floats = features / np.maximum(lengths, 1e-6)
    return units


def _distance(units: Floats, mean: Floats, axes: Floats) -> Floats:
    centred = units - mean
    distance: Floats = np.linalg.norm(centred - (centred @ axes) @ axes.T, axis=1)
    return distance
