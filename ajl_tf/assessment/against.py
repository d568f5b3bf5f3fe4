"""Two models on the same photos: by how much one scores higher, and where they differ.

Keys of `compare_models` (figures as in `report`): `schema`, `n`, `notes`, `interval`; `overall` and
`by_band` (list of `{group, n, …}`): `first`, `second`: name to value; `difference`: name to
figure, first minus second, with `conclusion`; `mcnemar`: `{only_first, only_second, both, neither,
exact, mid_p, conclusion}`: photos that only one, both or neither of the models has right, and two
p-values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.bootstrap import LEVEL, MIN_CLUSTERS, Bootstrap, Figures
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.groups import BANDS, band_index, compared_groups, group_figures, group_stack
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import Bools, Floats
from ajl_tf.assessment.overall import matrix_scores, probability_columns
from ajl_tf.assessment.pairing import Pair
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough, tell_all

__all__ = ["compare_models", "differing_photos", "mcnemar"]
SCHEMA = 1
_LEVEL_OF_TEST = 0.05
_MANY = (
    "Many figures are compared, each by itself: where the models are equally good, one interval in "
    "twenty excludes 0 all the same."
)


def compare_models(pair: Pair, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Compares two models on the photos that both have predicted.

    Every resample holds the same photos for both (paired bootstrap of clusters), so that photos
    that are hard for both do not widen the interval of the difference.

    Args:
        pair: From `pairing.paired`.
        resamples: Bootstrap resamples behind the intervals.
        seed: Of the resamples.

    Returns:
        What the module's docstring describes; JSON-able, no NaN.
    """
    bootstrap = Bootstrap(pair.first.clusters, resamples, seed)
    told = tell_all({"overall": _overall(pair), "by_band": _by_band(pair)}, bootstrap)
    return {
        "schema": SCHEMA,
        "n": len(pair.first.label_idx),
        "notes": [*pair.notes, _MANY],
        "interval": {
            "level": LEVEL,
            "method": "percentile bootstrap of clusters (group_id), the same for both models",
            "resamples": resamples,
            "seed": seed,
            "clusters": int(pair.first.clusters.max()) + 1,
            "min_clusters": MIN_CLUSTERS,
        },
        **told,
    }


def mcnemar(first_right: Bools, second_right: Bools) -> dict[str, Json]:
    """McNemar's test: whether two models are right on equally many of the photos they differ on.

    `exact` is the two-sided binomial p-value; `mid_p` counts what was observed only by half: less
    timid, and recommended (Fagerland, Lydersen and Laake 2013,
    https://doi.org/10.1186/1471-2288-13-91). Photos count as independent of each other: near-copies
    make both a little too small.

    Args:
        first_right: (N,).
        second_right: (N,).
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    n, fewer = only_first + only_second, min(only_first, only_second)
    exact = min(1.0, 2 * sum(_chance(k, n) for k in range(fewer + 1)))
    mid_p = 1.0 if only_first == only_second else exact - _chance(fewer, n)
    if not n:
        words = "No photo is right in one model only: nothing to compare."
    elif mid_p > _LEVEL_OF_TEST:
        words = "These photos cannot tell which of the models is right more often."
    else:
        words = (
            f"The {'first' if only_first > only_second else 'second'} model is right more often."
        )
    return {
        "only_first": only_first,
        "only_second": only_second,
        "both": int((first_right & second_right).sum()),
        "neither": int((~first_right & ~second_right).sum()),
        "exact": number(exact),
        "mid_p": number(mid_p),
        "conclusion": words,
    }


def differing_photos(pair: Pair) -> pd.DataFrame:
    """The photos on which the models say different things, one row each.

    Returns:
        `image_id, label, first, second, right` ("first", "second" or "neither"), `skin_tone`, and
        with probabilities `first_probability`, `second_probability` of the label.
    """
    first, second = pair.first, pair.second
    names = np.asarray(first.class_names, dtype=object)
    differ = first.pred_idx != second.pred_idx
    right = np.where(first.right, "first", np.where(second.right, "second", "neither"))
    columns: dict[str, Any] = {
        "image_id": first.table["image_id"].to_numpy(),
        "label": names[first.label_idx],
        "first": names[first.pred_idx],
        "second": names[second.pred_idx],
        "right": right,
        "skin_tone": np.where(first.tone_idx < 6, first.tone_idx + 1, -1),
    }
    for side, rows in (("first", first), ("second", second)):
        if rows.probabilities is not None:
            own = np.take_along_axis(rows.probabilities, rows.label_idx[:, None], axis=1)[:, 0]
            columns[f"{side}_probability"] = own.round(6)
    return pd.DataFrame({name: np.asarray(values)[differ] for name, values in columns.items()})


def _overall(pair: Pair) -> Section:
    sides = (pair.first, pair.second)
    n_classes = len(pair.first.class_names)
    nowhere = np.zeros_like(pair.first.label_idx)
    both = all(rows.probabilities is not None for rows in sides)
    means = [group_means(probability_columns(rows) if both else {}, nowhere, 1) for rows in sides]

    def count(weights: Floats) -> Figures:
        found: Figures = {}
        for side, rows, mean in zip(("first", "second"), sides, means, strict=True):
            stack = group_stack(rows.label_idx, rows.pred_idx, nowhere, (1, n_classes), weights)
            scores = matrix_scores(stack) | mean(weights)
            found |= {f"{side} {name}": values[..., 0] for name, values in scores.items()}
        return _with_difference(found)

    def tell(found: Found) -> Json:
        return _told(found, (), pair.first.certain) | {
            "mcnemar": mcnemar(pair.first.right, pair.second.right)
        }

    return Section(count, tell)


def _by_band(pair: Pair) -> Section:
    sides = (pair.first, pair.second)
    bands, shape = band_index(pair.first.tone_idx), (len(BANDS), len(pair.first.class_names))
    compared = compared_groups(group_stack(pair.first.label_idx, pair.first.pred_idx, bands, shape))
    n = np.bincount(bands, minlength=len(BANDS))
    certain = enough(clusters_of(pair.first.clusters, bands, len(BANDS)))

    def count(weights: Floats) -> Figures:
        found: Figures = {}
        for side, rows in zip(("first", "second"), sides, strict=True):
            stack = group_stack(rows.label_idx, rows.pred_idx, bands, shape, weights)
            scores = group_figures(stack, compared)
            found |= {f"{side} {name}": values for name, values in scores.items()}
        return _with_difference(found)

    def tell(found: Found) -> Json:
        return [
            {
                "group": band,
                "n": int(n[i]),
                **_told(found, (i,), bool(certain[i])),
                "mcnemar": mcnemar(pair.first.right[bands == i], pair.second.right[bands == i]),
            }
            for i, band in enumerate(BANDS)
        ]

    return Section(count, tell)


def _with_difference(found: Figures) -> Figures:
    names = [name.removeprefix("first ") for name in found if name.startswith("first ")]
    return found | {
        f"difference {name}": found[f"first {name}"] - found[f"second {name}"] for name in names
    }


def _told(found: Found, where: tuple[int, ...], certain: bool) -> dict[str, Json]:
    told: dict[str, Json] = {"first": {}, "second": {}, "difference": {}}
    for full, values in found.value.items():
        side, _, name = full.partition(" ")
        if side != "difference":
            told[side][name] = number(values[where])
            continue
        low, high = found.intervals(full, certain)
        interval = np.array([low[where], high[where]])
        told[side][name] = figure(values[where], interval)
        told[side][name]["conclusion"] = _conclusion(name, interval)
    return told


def _conclusion(name: str, interval: Floats) -> str:
    low, high = interval
    if np.isnan(low):
        return "Too few photos for an interval: nothing can be said about a difference."
    if low <= 0 <= high:
        return "The interval includes 0: these photos cannot tell the models apart."
    higher = "first" if low > 0 else "second"
    if name.endswith(("_loss", "_error")):
        return f"The interval excludes 0: lower, and so better, is the {_other(higher)}."
    return f"The interval excludes 0: higher is the {higher}."


def _other(side: str) -> str:
    return "second" if side == "first" else "first"


def _chance(k: int, n: int) -> float:
    """Of n fair coins, k heads; by logarithms, for n may be many thousand."""
    logs = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    return math.exp(logs)
