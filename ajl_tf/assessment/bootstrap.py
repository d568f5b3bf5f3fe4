"""How far figures move when other photos had been taken: bootstrap intervals.

Clusters (`group_id`: near-identical photos) are drawn with replacement, not rows, for two photos of
one lesion are not two observations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.metrics import Bools, Floats, Ints

LEVEL = 0.95
MIN_CLUSTERS = 10  # below it, resamples of so few photos pretend to a certainty that is not there
_CELLS_AT_ONCE = 2**20  # of counts, 8 MB: the arrays made from them stay in the cache's reach
_MIN_DEFINED = 0.9  # share of resamples in which a figure must exist for an interval


@dataclass(frozen=True)
class Bootstrap:
    """What is resampled, and how often.

    Attributes:
        clusters: (N,), each row's cluster, 0 to K - 1, every one occurring.
        resamples: How many, B.
        seed: The same seed gives the same resamples.
    """

    clusters: Ints
    resamples: int
    seed: int

    def weights(self) -> Iterator[Floats]:
        """Yields each resample as (N,): how often each row is in it."""
        rng = np.random.default_rng(self.seed)
        k = int(self.clusters.max()) + 1
        for _ in range(self.resamples):
            drawn = np.bincount(rng.integers(k, size=k), minlength=k)
            yield drawn[self.clusters].astype(np.float64)

    def figures(
        self, count: Callable[[Floats], Floats], figures: Callable[[Floats], dict[str, Floats]]
    ) -> dict[str, Floats]:
        """Figures of every resample.

        Args:
            count: From the weights of one resample (N,) to its counts, of any shape (...).
            figures: From the counts of many (b, ...) to the figures of each, (b, ...).

        Returns:
            Name of the figure to (B, ...).
        """
        parts, stack = [], []
        for weights in self.weights():
            stack.append(count(weights))
            if len(stack) * stack[0].size >= _CELLS_AT_ONCE:
                parts.append(figures(np.stack(stack)))
                stack = []
        if stack:
            parts.append(figures(np.stack(stack)))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(resampled: Floats) -> Floats:
    """The middle 95% of resampled figures (Efron and Tibshirani 1993, chapter 13).

    Args:
        resampled: (B, ...), NaN where a resample does not have the figure.

    Returns:
        (2, ...): low and high; NaN where fewer than 90% of the resamples have the figure.
    """
    defined = ~np.isnan(resampled)
    enough = defined.mean(axis=0) >= _MIN_DEFINED
    filled = np.where(enough, resampled, 0.0)  # a column of only NaN would warn
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return np.where(enough, np.nanquantile(filled, tails, axis=0), np.nan)


def simultaneous_interval(differences: Floats, resampled: Floats) -> Floats:
    """Intervals that hold for all differences at once, so the largest of them may be looked at.

    The widest of several differences is wide by luck too, and the interval of a maximum never
    includes 0. So each interval is `difference ± q · standard error` with q the 95% quantile, over
    resamples, of the largest studentised deviation (max-t bootstrap; Romano and Wolf 2005,
    https://doi.org/10.1198/016214504000000539).

    Args:
        differences: (P,), as observed.
        resampled: (B, P).

    Returns:
        (2, P): low and high; NaN where there is nothing to go by.
    """
    usable = (~np.isnan(resampled)).mean(axis=0) >= _MIN_DEFINED
    usable &= ~np.isnan(differences)
    interval = np.full((2, len(differences)), np.nan)
    if not usable.any():
        return interval
    observed, moved = differences[usable], resampled[:, usable]
    error = np.nanstd(moved, axis=0)
    moves: Bools = error > 1e-12
    deviation = np.abs(moved - observed)[:, moves] / error[moves]
    deviation = np.where(np.isnan(deviation), -np.inf, deviation)
    largest = deviation.max(axis=1, initial=-np.inf)
    largest = largest[np.isfinite(largest)]
    if not len(largest):
        return interval
    reach = np.where(moves, np.quantile(largest, LEVEL) * error, np.nan)
    interval[:, usable] = np.stack([observed - reach, observed + reach])
    return interval
