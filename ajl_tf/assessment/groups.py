"""Figures by skin tone: the six Fitzpatrick types, three bands, and the unknown as their own group.

A stack holds a confusion matrix a group, `(..., G, C, C)`; the last group is the unknown one, which
is shown but never compared. A group without photos has no figures (NaN).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ajl_tf.assessment.bootstrap import simultaneous_interval
from ajl_tf.assessment.metrics import (
    Bools,
    Floats,
    Ints,
    accuracy,
    balanced_accuracy,
    macro_f1,
    matthews,
    mean_recall,
    tally,
    weighted_f1,
)

TONES = ("1", "2", "3", "4", "5", "6", "unknown")
BANDS = ("1-2", "3-4", "5-6", "unknown")


class Comparison(NamedTuple):
    """How far the known groups lie apart in one figure; NaN and None where fewer than two have it.

    Attributes:
        best: Index of the group with the highest value, None without any.
        worst: Index of the group with the lowest, None without any.
        difference: best - worst.
        ratio: worst / best, in [0, 1].
        low: Lower end of the difference's interval, simultaneous over all pairs of groups.
        high: Upper end.
    """

    best: int | None
    worst: int | None
    difference: float
    ratio: float
    low: float
    high: float


def tone_index(skin_tone: npt.ArrayLike) -> Ints:
    """(N,) positions in `TONES` of skin tones 1 to 6 and -1."""
    tones = np.asarray(skin_tone, dtype=np.int64)
    return np.where(tones > 0, tones - 1, len(TONES) - 1)


def band_index(tone_idx: Ints) -> Ints:
    """(N,) positions in `BANDS` of positions in `TONES`."""
    return tone_idx // 2


def group_stack(
    label_idx: Ints,
    pred_idx: Ints,
    group_idx: Ints,
    shape: tuple[int, int],
    weights: Floats | None = None,
) -> Floats:
    """Counts (or sums the weights of) label and prediction in each group.

    Args:
        label_idx: (N,).
        pred_idx: (N,).
        group_idx: (N,).
        shape: Number of groups G and of classes C.
        weights: (..., N); None counts each row once.

    Returns:
        (..., G, C, C).
    """
    n_groups, n_classes = shape
    cells = (group_idx * n_classes + label_idx) * n_classes + pred_idx
    counts = tally(cells, n_groups * n_classes**2, weights)
    return counts.reshape(*counts.shape[:-1], n_groups, n_classes, n_classes)


def shared_conditions(stack: Floats, compared: Bools) -> Bools:
    """(..., C): the conditions of which every compared group (`compared`: (G,)) has a photo."""
    has = stack.sum(axis=-1) > 0  # (..., G, C)
    shared: Bools = has[..., compared, :].all(axis=-2) & compared.any()
    return shared


def compared_groups(stack: Floats) -> Bools:
    """(G,): the groups of a (G, C, C) stack that are known and not empty."""
    compared: Bools = stack.sum(axis=(-2, -1)) > 0
    compared[-1] = False
    return compared


def group_figures(stack: Floats, compared: Bools) -> dict[str, Floats]:
    """Each figure by group.

    `standardised_recall` is recall averaged over the conditions that all compared groups share:
    direct standardisation with equal weights, so that groups are not compared by how hard their
    mix of conditions is. NaN where a group lacks one of them.

    Args:
        stack: (..., G, C, C).
        compared: (G,), the groups that must share a condition for it to count.

    Returns:
        Name of the figure to (..., G).
    """
    shared = shared_conditions(stack, compared)[..., None, :]
    return {
        "accuracy": accuracy(stack),
        "weighted_f1": weighted_f1(stack),
        "macro_f1": macro_f1(stack),
        "mcc": matthews(stack),
        "balanced_accuracy": balanced_accuracy(stack),
        "standardised_recall": mean_recall(stack, np.broadcast_to(shared, stack.shape[:-1])),
    }


def compare(values: Floats, resampled: Floats, certain: Bools) -> Comparison:
    """Compares the known groups in one figure.

    Args:
        values: (G,), the unknown group last.
        resampled: (B, G).
        certain: (G,), which groups are large enough for an interval.
    """
    known = np.flatnonzero(~np.isnan(values[:-1]))
    if not len(known):
        return Comparison(None, None, np.nan, np.nan, np.nan, np.nan)
    best = int(known[values[known].argmax()])
    worst = int(known[::-1][values[known[::-1]].argmin()])  # from the end: a tie is a pair too
    if len(known) < 2:
        return Comparison(best, worst, np.nan, np.nan, np.nan, np.nan)
    difference = float(values[best] - values[worst])
    ratio = float(values[worst] / values[best]) if values[best] > 0 else np.nan
    low = high = np.nan
    pairs = list(combinations([int(group) for group in known if certain[group]], 2))
    pair = (min(best, worst), max(best, worst))
    if pair in pairs:
        first, second = np.transpose(pairs)
        intervals = simultaneous_interval(
            values[first] - values[second], resampled[:, first] - resampled[:, second]
        )
        low, high = intervals[:, pairs.index(pair)]
        if best > worst:
            low, high = -high, -low
    low, high = np.clip([low, high], -1.0, 1.0)
    return Comparison(best, worst, difference, ratio, float(low), float(high))
