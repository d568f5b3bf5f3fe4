"""The tone probe: how well a fresh, simple classifier tells the tone band from pooled features.

What a linear probe finds is there to be used, though not every network that holds it uses it
(Alain and Bengio 2017, arXiv:1610.01644; of what an adversary left: Elazar and Goldberg 2018,
arXiv:1808.06640). Conditions are not equally common in all tones, so a network that knows the
condition knows something of the tone: the same probe on the condition alone stands beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ajl_tf.assessment.bootstrap import Bootstrap, percentile_interval
from ajl_tf.assessment.figures import figure
from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.assessment.metrics import balanced_accuracy, confusion, recall
from ajl_tf.errors import UserError

_PARTS = 5
_RESAMPLES = 1000
_PENALTY = 0.1  # scikit-learn's C: features are many times as many as a small model needs


def probe(features: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Guesses each photo's tone band from its features, by a probe that did not see its group.

    Multinomial logistic regression on standardised features, bands weighing alike, in at most five
    parts that keep a `group_id` together.

    Args:
        features: `(N, D)`, all of one network that trained on none of these photos.
        rows: N rows with `skin_tone` (1 to 6) and `group_id`.

    Returns:
        int `(N,)`, positions in `groups.BANDS`.

    Raises:
        UserError: Fewer than two bands, or one with fewer than two groups of photos.
    """
    bands = bands_of(rows)
    names = pd.Series(np.asarray(BANDS)[bands])
    groups = rows["group_id"].reset_index(drop=True).groupby(names).nunique()
    if len(groups) < 2 or groups.min() < 2:
        told = ", ".join(f"{band}: {count}" for band, count in groups.items())
        raise UserError(
            "the tone probe needs two groups of photos in each of at least two known tone bands. "
            f"Received: {told or 'none'}. Choose more photos."
        )
    parts = _parts(bands, rows["group_id"].to_numpy(), min(_PARTS, int(groups.min())))
    guessed = np.empty(len(rows), np.int64)
    for known, new in parts:
        fresh = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=2000),
        )
        guessed[new] = fresh.fit(features[known], bands[known]).predict(features[new])
    return guessed


def _parts(bands: np.ndarray, groups: np.ndarray, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to guess, of at most so many parts; every band is always fitted on.

    A group that is of two bands may keep one of them out of a part.
    """
    every = len(np.unique(bands))
    for count in range(most, 1, -1):
        division = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        parts = list(division.split(bands, bands, groups))
        if all(len(new) and len(np.unique(bands[known])) == every for known, new in parts):
            return parts
    raise UserError(
        "the tone probe cannot divide these photos so that every tone band is in each part, for "
        "groups of copies are of several bands. Choose more photos."
    )


def bands_of(rows: pd.DataFrame) -> np.ndarray:
    """The tone band of each row, int `(N,)`, a position in `groups.BANDS`."""
    return band_index(tone_index(rows["skin_tone"].to_numpy()))


def summarise_probe(guessed: pd.DataFrame) -> dict[str, Any]:
    """Scores guesses from features, and from the condition alone, beside chance.

    Args:
        guessed: A row a photo: `skin_tone` and `group_id` as `probe` takes them, and `features` and
            `condition`: the bands that it guessed from either.

    Returns:
        `photos`; `chance`: the balanced accuracy of any guess that knows nothing; `features`,
        `condition`: balanced accuracy with its interval (bootstrap of groups); `difference`: of the
        two; `by_band`: list of `{group, n, recall}` of the features' guesses.
    """
    bands = bands_of(guessed)
    matrix = confusion(bands, guessed["features"].to_numpy(), len(BANDS))
    there = np.flatnonzero(matrix.sum(axis=1))
    return {
        "photos": len(guessed),
        "chance": round(1 / len(there), 6),
        **_scored(guessed, "features", "condition"),
        "by_band": [
            {
                "group": BANDS[band],
                "n": int(matrix[band].sum()),
                "recall": round(float(recall(matrix)[band]), 6),
            }
            for band in there
        ],
    }


def compare_probes(guessed: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    """Scores two runs' probes on the photos that both have guessed, paired by photo.

    Args:
        guessed: As `summarise_probe` takes it, with `image_id`.
        theirs: The other run's.

    Returns:
        `photos`: how many both have; `features`, `theirs`: balanced accuracy with its interval;
        `difference`: of the two, each resample of groups the same for both.

    Raises:
        UserError: They have no photo in common.
    """
    other = theirs.set_index("image_id")["features"].rename("theirs")
    both = guessed.join(other, on="image_id", how="inner")
    if both.empty:
        raise UserError(
            "--against: the two runs have no photo of known tone in common that neither trained "
            "on. Choose runs of one set of photos, and of one fold."
        )
    return {"photos": len(both), **_scored(both, "features", "theirs")}


def _scored(guessed: pd.DataFrame, *sides: str) -> dict[str, Any]:
    """Balanced accuracy of two columns of guesses, and their difference."""
    bands = bands_of(guessed)

    def count(weights: np.ndarray) -> dict[str, np.ndarray]:
        first, second = (
            np.asarray(
                balanced_accuracy(confusion(bands, guessed[side].to_numpy(), len(BANDS), weights))
            )
            for side in sides
        )
        return {**dict(zip(sides, (first, second), strict=True)), "difference": first - second}

    clusters = pd.factorize(guessed["group_id"])[0].astype(np.int64)
    once = count(np.ones((1, len(guessed))))
    moved = Bootstrap(clusters, _RESAMPLES, 0).figures(count)
    return {name: figure(once[name][0], percentile_interval(moved[name])) for name in once}
