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
_WEIGHTS_AT_ONCE = 2**20  # 8 MB, so that 100,000 rows need no more memory than a thousand
_RESAMPLES_AT_ONCE = 128  # the counts made from them stay in the cache's reach
_MIN_DEFINED = 0.9  # share of resamples in which a figure must exist for an interval

Figures = dict[str, Floats]


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
        """Yields blocks of resamples (b, N): how often each row is in each of them."""
        rng = np.random.default_rng(self.seed)
        n, k = len(self.clusters), int(self.clusters.max()) + 1
        at_once = min(_RESAMPLES_AT_ONCE, max(1, _WEIGHTS_AT_ONCE // n))
        for start in range(0, self.resamples, at_once):
            block = np.empty((min(at_once, self.resamples - start), n))
            for row in block:
                row[:] = np.bincount(rng.integers(k, size=k), minlength=k)[self.clusters]
            yield block

    def figures(self, figures: Callable[[Floats], Figures]) -> Figures:
        """Figures of every resample.

        Args:
            figures: From the weights of several resamples (b, N) to the figures of each, (b, ...).

        Returns:
            Name of the figure to (B, ...).
        """
        parts = [figures(block) for block in self.weights()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(resampled: Floats) -> Floats:
    """The middle 95% of resampled figures (Efron and Tibshirani 1993, chapter 13).

    Args:
        resampled: (B, ...), NaN where a resample does not have the figure.

    Returns:
        (2, ...): low and high; NaN where fewer than 90% of the resamples have the figure.
    """
    rising = np.sort(resampled, axis=0)  # NaN last; np.nanquantile takes ten times as long
    n = (~np.isnan(rising)).sum(axis=0)
    place = np.stack([(1 - LEVEL) / 2 * (n - 1), (1 + LEVEL) / 2 * (n - 1)]).clip(min=0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n - 1, 0))
    under, over = (np.take_along_axis(rising, at, axis=0) for at in (below, above))
    between = under + (over - under) * (place - below)
    return np.where(n >= _MIN_DEFINED * len(resampled), between, np.nan)


def basic_interval(observed: Floats, resampled: Floats) -> Floats:
    """The resamples' middle 95% turned round the observed value, for what luck moves one way.

    The extremes of several groups, or a mean of absolute gaps, come out too unequal in a sample,
    and by as much again in its resamples. `2 · observed - quantile` takes that off (Davison and
    Hinkley 1997, section 5.2). Where that leaves the observed value outside, the interval is
    widened to it: nobody should read a figure that its own interval denies. In samples of bands
    that differ it held the true value in 86 to 89 of 100, the percentile interval in 0 to 94; of
    bands that do not differ in 28 to 92 and 0 to 86 (`benchmarks/parity_intervals.py`). So what
    luck alone gives stands beside it (`parity.dealt`).

    Args:
        observed: (...), in [0, 1].
        resampled: (B, ...), NaN where a resample does not have the figure.

    Returns:
        (2, ...): low and high, within [0, 1]; NaN as in `percentile_interval`, and where both ends
        are 0 or 1, for that would claim to be certain.
    """
    low, high = percentile_interval(resampled)
    turned = np.stack(
        [np.minimum(2 * observed - high, observed), np.maximum(2 * observed - low, observed)]
    )
    interval = np.clip(turned, 0.0, 1.0)
    return np.where(interval[0] < interval[1], interval, np.nan)


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
