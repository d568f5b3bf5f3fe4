"""Means over photos, with what other photos would have given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ajl_tf.assessment.bootstrap import MIN_CLUSTERS, Bootstrap, percentile_interval
from ajl_tf.assessment.figures import figure
from ajl_tf.assessment.groups import BANDS, TONES, band_index, tone_index

RESAMPLES = 2000


def mean_figure(values: npt.ArrayLike, clusters: npt.ArrayLike) -> dict[str, Any]:
    """The mean of values (N,) and its bootstrap interval: `{value, low, high, n}`.

    Args:
        values: A number a photo; NaN where a photo has none, which is left out.
        clusters: (N,), what is resampled as one: `group_id`.

    Returns:
        `low` and `high` hold 95% and are None with fewer than 10 clusters.
    """
    numbers = np.asarray(values, np.float64)
    has = ~np.isnan(numbers)
    n = int(has.sum())
    if not n:
        return figure(np.nan, None) | {"n": 0}
    index, names = pd.factorize(np.asarray(clusters, object)[has])
    interval = None
    if len(names) >= MIN_CLUSTERS:
        bootstrap = Bootstrap(index.astype(np.int64), RESAMPLES, seed=0)
        moved = bootstrap.figures(lambda w: {"mean": w @ numbers[has] / w.sum(axis=1)})
        interval = percentile_interval(moved["mean"])
    return figure(float(numbers[has].mean()), interval) | {"n": n}


def tone_groups(skin_tone: npt.ArrayLike) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields `by_tone` or `by_band`, the group's name and its rows bool (N,), where it has any."""
    tones = tone_index(skin_tone)
    for title, names, index in (
        ("by_tone", TONES, tones),
        ("by_band", BANDS, band_index(tones)),
    ):
        for number, name in enumerate(names):
            rows = index == number
            if rows.any():
                yield title, name, rows
