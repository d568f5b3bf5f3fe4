"""The report: what a table of predictions is worth, as JSON and as a plain text table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.bootstrap import LEVEL, MIN_CLUSTERS, Bootstrap, percentile_interval
from ajl_tf.assessment.groups import (
    BANDS,
    TONES,
    Comparison,
    band_index,
    compare,
    compared_groups,
    group_figures,
    group_stack,
    shared_conditions,
)
from ajl_tf.assessment.metrics import (
    Floats,
    Ints,
    accuracy,
    balanced_accuracy,
    confusion,
    f1,
    log_losses,
    macro_f1,
    precision,
    recall,
    top_k,
    weighted_f1,
)
from ajl_tf.assessment.scored import Scored, scored
from ajl_tf.assessment.words import NOTIONS, conclusion, format_table

__all__ = ["format_table", "make_report"]

SCHEMA = 1
_METHOD = (
    "percentile bootstrap of clusters (group_id); of a difference: max-t bootstrap, simultaneous "
    "over all pairs of known groups"
)


def make_report(
    predictions: pd.DataFrame, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Scores predictions overall, by class, by skin tone and by tone band.

    Args:
        predictions: As `read_predictions` or `make_predictions` returns them, with `label`. Rows
            with a fold are scored, else those of the split test, else validation, else all.
        resamples: Bootstrap resamples behind the intervals.
        seed: Of the resamples.

    Returns:
        JSON-able, no NaN: what has no value is None. A *figure* is `{value, low, high}`, with the
        ends of its 95% interval (None with fewer than `min_clusters` clusters).

        - `schema`: 1; `rows`: which rows were scored; `n`: photos; `classes`: label names;
          `notes`: sentences on rows left out and columns missing; `notions`: name of a figure to
          what it means
        - `interval`: `{level, method, resamples, seed, clusters, min_clusters}`
        - `overall`: `weighted_f1, macro_f1, accuracy, balanced_accuracy` and, with probabilities,
          `top_3_accuracy, log_loss`: figures
        - `per_class`: list of `{label, n, n_predicted, precision, recall, f1}`; precision is None
          where nothing is predicted so, recall where no photo is of it, F1 where both
        - `by_tone`, `by_band`: `groups`: list of `{group, n, clusters, conditions, accuracy,
          weighted_f1, balanced_accuracy, standardised_recall}`, the last four figures;
          `shared_conditions`: the labels that standardised recall averages over; `compared`: name
          of a figure to `{group_min: {group, value}, difference: figure, between: [best, worst],
          ratio, conclusion}` over the known groups

    Raises:
        UserError: No row to score, or none with a label.
    """
    rows = scored(predictions)
    bootstrap = Bootstrap(rows.clusters, resamples, seed)
    return {
        "schema": SCHEMA,
        "rows": rows.rows,
        "n": len(rows.label_idx),
        "classes": list(rows.class_names),
        "notes": list(rows.notes),
        "notions": NOTIONS,
        "interval": {
            "level": LEVEL,
            "method": _METHOD,
            "resamples": resamples,
            "seed": seed,
            "clusters": int(rows.clusters.max()) + 1,
            "min_clusters": MIN_CLUSTERS,
        },
        "overall": _overall(rows, bootstrap),
        "per_class": _per_class(rows),
        "by_tone": _by_group(rows, TONES, rows.tone_idx, bootstrap),
        "by_band": _by_group(rows, BANDS, band_index(rows.tone_idx), bootstrap),
    }


def _overall(rows: Scored, bootstrap: Bootstrap) -> dict[str, Any]:
    def count(weights: Floats | None) -> Floats:
        return confusion(rows.label_idx, rows.pred_idx, len(rows.class_names), weights)

    def scores(stack: Floats) -> dict[str, Floats]:
        return {
            "weighted_f1": weighted_f1(stack),
            "macro_f1": macro_f1(stack),
            "accuracy": accuracy(stack),
            "balanced_accuracy": balanced_accuracy(stack),
        }

    observed, moved = scores(count(None)), bootstrap.figures(count, scores)
    if rows.probabilities is not None:
        each = {
            "top_3_accuracy": top_k(rows.label_idx, rows.probabilities),
            "log_loss": log_losses(rows.label_idx, rows.probabilities),
        }
        values = np.stack(list(each.values()))  # (2, N)

        def means(stack: Floats) -> dict[str, Floats]:
            return dict(zip(each, stack.T, strict=True))

        observed |= means(values.mean(axis=1))
        moved |= bootstrap.figures(lambda weights: values @ weights / weights.sum(), means)
    certain = int(rows.clusters.max()) + 1 >= MIN_CLUSTERS
    return {
        name: _figure(value, percentile_interval(moved[name]) if certain else None)
        for name, value in observed.items()
    }


def _per_class(rows: Scored) -> list[dict[str, Any]]:
    matrix = confusion(rows.label_idx, rows.pred_idx, len(rows.class_names))
    n, n_predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    columns = (
        np.where(n_predicted > 0, precision(matrix), np.nan),
        np.where(n > 0, recall(matrix), np.nan),
        np.where(n + n_predicted > 0, f1(matrix), np.nan),
    )
    return [
        {
            "label": label,
            "n": int(n[i]),
            "n_predicted": int(n_predicted[i]),
            "precision": _number(columns[0][i]),
            "recall": _number(columns[1][i]),
            "f1": _number(columns[2][i]),
        }
        for i, label in enumerate(rows.class_names)
    ]


def _by_group(
    rows: Scored, names: Sequence[str], group_idx: Ints, bootstrap: Bootstrap
) -> dict[str, Any]:
    shape = (len(names), len(rows.class_names))

    def count(weights: Floats | None) -> Floats:
        return group_stack(rows.label_idx, rows.pred_idx, group_idx, shape, weights)

    stack = count(None)
    compared = compared_groups(stack)
    observed = group_figures(stack, compared)
    moved = bootstrap.figures(count, lambda stack: group_figures(stack, compared))
    clusters = np.array([len(set(rows.clusters[group_idx == i])) for i in range(len(names))])
    certain = clusters >= MIN_CLUSTERS
    intervals = {
        name: np.where(certain, percentile_interval(moved[name]), np.nan) for name in moved
    }
    shared = shared_conditions(stack, compared)
    return {
        "groups": [
            {
                "group": group,
                "n": int(stack[i].sum()),
                "clusters": int(clusters[i]),
                "conditions": int((stack[i].sum(axis=1) > 0).sum()),
                **{name: _figure(observed[name][i], intervals[name][:, i]) for name in observed},
            }
            for i, group in enumerate(names)
        ],
        "shared_conditions": [rows.class_names[c] for c in np.flatnonzero(shared)],
        "compared": {
            name: _comparison(compare(observed[name], moved[name], certain), names, observed[name])
            for name in observed
        },
    }


def _comparison(found: Comparison, names: Sequence[str], values: Floats) -> dict[str, Any]:
    best = None if found.best is None else names[found.best]
    worst = None if found.worst is None else names[found.worst]
    return {
        "group_min": {
            "group": worst,
            "value": None if found.worst is None else _number(values[found.worst]),
        },
        "difference": _figure(found.difference, np.array([found.low, found.high])),
        "between": [best, worst],
        "ratio": _number(found.ratio),
        "conclusion": conclusion(found, best, worst),
    }


def _figure(value: float | Floats, interval: Floats | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (_number(end) for end in interval)
    return {"value": _number(value), "low": low, "high": high}


def _number(value: float | Floats) -> float | None:
    """Six decimals: more would differ between machines and say nothing."""
    return None if np.isnan(value) else round(float(value), 6)
