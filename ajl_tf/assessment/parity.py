"""How equal groups are treated: FairDisCo's ratios, demographic parity, equalised odds.

All are extremes over groups, so they are never quite equal: with groups of a few photos they lie
far from it by luck alone. `dealt` says how far, with the same photos and predictions, but the
groups dealt out at random among the photos of each condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ajl_tf.assessment.metrics import Bools, Floats, Ints, accuracy

RATIOS = ("pqd", "dpm", "eom")  # 1 is equal; the differences below: 0 is equal
DIFFERENCES = (
    "demographic_parity_difference",
    "demographic_parity_difference_worst",
    "equalised_odds_difference",
    "equalised_odds_difference_worst",
)
_AT_ONCE = 128


class Rates(NamedTuple):
    """What each condition gets in each compared group: (..., G, C), and which conditions count."""

    selected: Floats
    true_positive: Floats
    false_positive: Floats
    predicted: Bools  # (..., C): predicted in some group
    shared: Bools  # (..., C): every group has photos of it
    contrasted: Bools  # (..., C): every group also has photos not of it


def rates(stack: Floats, compared: Bools) -> Rates:
    """One condition against the rest, in each of the groups that are compared.

    Args:
        stack: (..., G, C, C), labels in rows.
        compared: (G,).

    Returns:
        Rates of the compared groups; one that has nothing to divide by is 0 and does not count.
    """
    stack = stack[..., compared, :, :]
    labels, answers = stack.sum(axis=-1), stack.sum(axis=-2)
    hits = np.diagonal(stack, axis1=-2, axis2=-1)
    n = labels.sum(axis=-1, keepdims=True)
    return Rates(
        selected=_over(answers, n),
        true_positive=_over(hits, labels),
        false_positive=_over(answers - hits, n - labels),
        predicted=(answers > 0).any(axis=-2),
        shared=(labels > 0).all(axis=-2),
        contrasted=(n > labels).all(axis=-2),
    )


def selection_ratio(found: Rates) -> Floats:
    """(..., C): how often a condition is predicted, lowest through highest; NaN if it never is."""
    return _extremes(found.selected)


def opportunity_ratio(found: Rates) -> Floats:
    """(..., C): true positive rate, lowest through highest; NaN if not shared or 0 everywhere."""
    return np.where(found.shared, _extremes(found.true_positive), np.nan)


def unequal_odds(found: Rates) -> Floats:
    """(..., C): larger of the ranges of true and false positive rate; NaN if it does not count."""
    widest = np.maximum(np.ptp(found.true_positive, axis=-2), np.ptp(found.false_positive, axis=-2))
    return np.where(found.shared & found.contrasted, widest, np.nan)


def unequal_selection(found: Rates) -> Floats:
    """(..., C): range over groups of how often a condition is predicted; NaN if it never is."""
    return np.where(found.predicted, np.ptp(found.selected, axis=-2), np.nan)


def parity_figures(stack: Floats, compared: Bools) -> dict[str, Floats]:
    """How equal the compared groups are.

    `pqd`, `dpm`, `eom` are those of FairDisCo (Du et al. 2022, https://arxiv.org/abs/2208.10013):
    smallest through largest value over the groups of accuracy; of how often a condition is
    predicted; of its true positive rate; the last two averaged over conditions. An empty cell
    makes FairDisCo's own code give NaN; here a condition counts

    - for DPM and demographic parity, if it is predicted in some group (in none: 0/0, left out;
      in one group but not in another: a ratio of 0);
    - for EOM, if every compared group has photos of it and some group a correct answer;
    - for equalised odds, if every compared group has photos of it and photos not of it.

    The differences are highest minus lowest rate over the groups, one condition against the rest
    (`fairlearn.metrics.demographic_parity_difference`, `equalized_odds_difference`), averaged over
    conditions and, `_worst`, of the condition where it is largest.

    Args:
        stack: (..., G, C, C).
        compared: (G,).

    Returns:
        Name of the figure to (...); NaN with fewer than two groups, an empty compared group, or no
        condition that counts.
    """
    if compared.sum() < 2:
        return {name: np.full(stack.shape[:-3], np.nan) for name in (*RATIOS, *DIFFERENCES)}
    counted = stack[..., compared, :, :]
    found = rates(stack, compared)
    right = accuracy(counted)  # (..., G)
    selection, odds = unequal_selection(found), unequal_odds(found)
    usable = (counted.sum(axis=(-2, -1)) > 0).all(axis=-1)
    figures = {
        "pqd": _extremes(np.where(usable[..., None], right, 0.0)[..., None])[..., 0],
        "dpm": _mean(selection_ratio(found)),
        "eom": _mean(opportunity_ratio(found)),
        "demographic_parity_difference": _mean(selection),
        "demographic_parity_difference_worst": _largest(selection),
        "equalised_odds_difference": _mean(odds),
        "equalised_odds_difference_worst": _largest(odds),
    }
    return {name: np.where(usable, values, np.nan) for name, values in figures.items()}


def dealt(stack: Floats, compared: Bools, times: int, seed: int) -> dict[str, Floats]:
    """The parity figures when groups are dealt out at random among the photos of each condition.

    A permutation test (of the hypothesis that, given the condition, the answer does not depend on
    the group) with what groups differ in by their mix of conditions left as it is. Tables of label,
    answer and group with the margins that a shuffle keeps are drawn, instead of shuffling rows: it
    takes as long for a million photos as for a thousand.

    Args:
        stack: (G, C, C), photos. Those of groups that are not compared are not dealt.
        compared: (G,).
        times: How often, T.
        seed: Of the deals.

    Returns:
        Name of the figure to (T,).
    """
    counts = stack[compared].astype(np.int64)  # (g, C, C)
    parts = [
        parity_figures(tables.astype(np.float64), np.full(len(counts), True))
        for tables in _deals(counts, times, np.random.default_rng(seed))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _deals(counts: Ints, times: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Yields blocks (b, g, C, C) of tables with the group's labels and the label's answers kept."""
    for start in range(0, times, _AT_ONCE):
        shape = (min(_AT_ONCE, times - start), *counts.shape[1:])
        left = np.broadcast_to(counts.sum(axis=0), shape).copy()  # (b, C, C), not yet dealt
        tables = np.zeros((shape[0], *counts.shape), np.int64)
        for group, labels in enumerate(counts.sum(axis=-1)):  # (C,): photos of each label
            hand = tables[:, group]
            wanted = np.broadcast_to(labels, shape[:2]).copy()
            rest = left.sum(axis=-1)
            for answer in range(counts.shape[-1]):
                rest -= left[..., answer]
                hand[..., answer] = rng.hypergeometric(left[..., answer], rest, wanted)
                wanted -= hand[..., answer]
            left -= hand
        yield tables


def _over(top: Floats, bottom: Floats) -> Floats:
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)


def _extremes(values: Floats) -> Floats:
    """(..., C): smallest through largest over groups of (..., G, C); NaN where the largest is 0."""
    ratio, largest = values.min(axis=-2), values.max(axis=-2)
    np.divide(ratio, largest, out=ratio, where=largest > 0)
    return np.where(largest > 0, ratio, np.nan)


def _mean(values: Floats) -> Floats:
    """Mean over the conditions that count (are not NaN)."""
    counts = ~np.isnan(values)
    total = np.where(counts, values, 0.0).sum(axis=-1)
    n = counts.sum(axis=-1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _largest(values: Floats) -> Floats:
    """The largest of those that count."""
    largest = np.where(np.isnan(values), -np.inf, values).max(axis=-1, initial=-np.inf)
    return np.where(np.isfinite(largest), largest, np.nan)
