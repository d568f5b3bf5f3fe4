"""Parts of the report that are resampled together, and how their figures are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ajl_tf.assessment.bootstrap import (
    MIN_CLUSTERS,
    Bootstrap,
    Figures,
    basic_interval,
    percentile_interval,
)
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.metrics import Bools, Floats, Ints

Json = Any  # a JSON value; mypy knows no recursive aliases that json.dumps would take


class Found(NamedTuple):
    """Figures of the photos as they are, and of each resample.

    Attributes:
        value: Name to (...).
        moved: Name to (B, ...).
    """

    value: Figures
    moved: Figures

    def intervals(self, name: str, certain: Bools | bool = True) -> Floats:
        """(2, ...): the percentile interval; NaN where it is not `certain`: too few clusters."""
        return np.where(certain, percentile_interval(self.moved[name]), np.nan)


@dataclass(frozen=True)
class Section:
    """A part of the report: how its figures are counted, and how they are told.

    Attributes:
        figures: From weights (b, N) to name -> (b, ...).
        tell: From what was found to JSON.
    """

    figures: Callable[[Floats], Figures]
    tell: Callable[[Found], Json]


def tell_all(sections: Mapping[str, Section], bootstrap: Bootstrap) -> dict[str, Json]:
    """Resamples once for all sections and tells each of them.

    Args:
        sections: By their names.
        bootstrap: What is resampled.

    Returns:
        Name of the section to what it tells.
    """

    def everything(weights: Floats) -> Figures:
        return {
            f"{name}\n{figure}": values
            for name, section in sections.items()
            for figure, values in section.figures(weights).items()
        }

    once = everything(np.ones((1, len(bootstrap.clusters))))
    value = {name: values[0] for name, values in once.items()}
    moved = bootstrap.figures(everything)
    return {
        name: section.tell(Found(_of(value, name), _of(moved, name)))
        for name, section in sections.items()
    }


def figures(found: Found, certain: bool) -> dict[str, dict[str, float | None]]:
    """Every single figure, with its percentile interval where it is `certain`."""
    return {
        name: figure(value, found.intervals(name, certain)) for name, value in found.value.items()
    }


def beside_chance(
    value: Floats, moved: Floats, chance: Floats, certain: bool, *, up_good: bool
) -> dict[str, Json]:
    """A figure that luck alone moves one way, beside what luck alone gives.

    Args:
        value: (), in [0, 1].
        moved: (B,), of the resamples.
        chance: (T,), where there is nothing to find.
        certain: Whether there are clusters enough for an interval.
        up_good: Whether a high value is a good one.

    Returns:
        `{value, low, high, by_chance}`: the interval is `basic_interval`; `by_chance` is
        `{median, low, high, share}`: the middle 90 % of the draws, so that 5 % are worse than its
        worse end, and the part of them that are at least as bad as the figure.
    """
    known = chance[~np.isnan(chance)]
    told = figure(value, basic_interval(value, moved) if certain else None)
    if np.isnan(value) or not len(known):
        return {**told, "by_chance": None}
    edge = 1e-9  # sums of the same numbers in another order
    bad = known <= value + edge if up_good else known >= value - edge
    low, high = np.quantile(known, 0.05, method="lower"), np.quantile(known, 0.95, method="higher")
    share = (1 + int(bad.sum())) / (1 + len(known))  # the photos as they are count as a draw
    by_chance = {
        "median": number(np.median(known)),
        "low": number(low),
        "high": number(high),
        "share": number(share),
    }
    return {**told, "by_chance": by_chance}


def clusters_of(clusters: Ints, group_idx: Ints, n_groups: int) -> Ints:
    """(G,): how many clusters have a row in each group."""
    k = int(clusters.max()) + 1
    pairs = np.unique(group_idx * k + clusters)
    return np.bincount(pairs // k, minlength=n_groups).astype(np.int64)


def enough(clusters: Ints) -> Bools:
    """Whether there are clusters enough for an interval."""
    return clusters >= MIN_CLUSTERS


def _of(figures: Figures, section: str) -> Figures:
    start = f"{section}\n"
    return {
        name.removeprefix(start): values
        for name, values in figures.items()
        if name.startswith(start)
    }
