"""The report's sections on all photos together: scores, each condition, the label tree."""

from __future__ import annotations

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.groups import BANDS, band_index, compare, group_stack
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import (
    Floats,
    accuracy,
    balanced_accuracy,
    confusion,
    f1,
    log_losses,
    macro_f1,
    matthews,
    precision,
    recall,
    sensitivity,
    specificity,
    top_k,
    weighted_f1,
)
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough, figures
from ajl_tf.assessment.tree import MALIGNANT, Level
from ajl_tf.assessment.words import told_comparison


def matrix_scores(matrix: Floats) -> Figures:
    """The scores that a confusion matrix (..., C, C) gives."""
    return {
        "weighted_f1": weighted_f1(matrix),
        "macro_f1": macro_f1(matrix),
        "accuracy": accuracy(matrix),
        "balanced_accuracy": balanced_accuracy(matrix),
        "mcc": matthews(matrix),
    }


def probability_columns(rows: Scored) -> dict[str, Floats]:
    """What each photo's probabilities give: (N,) each; nothing without probabilities."""
    if rows.probabilities is None:
        return {}
    return {
        "top_3_accuracy": top_k(rows.label_idx, rows.probabilities),
        "log_loss": log_losses(rows.label_idx, rows.probabilities),
    }


def overall(rows: Scored) -> Section:
    """Scores of all photos."""
    n_classes = len(rows.class_names)
    means = group_means(probability_columns(rows), np.zeros_like(rows.label_idx), 1)

    def count(weights: Floats) -> Figures:
        matrix = confusion(rows.label_idx, rows.pred_idx, n_classes, weights)
        of_rows = {name: values[:, 0] for name, values in means(weights).items()}
        return matrix_scores(matrix) | of_rows

    return Section(count, lambda found: figures(found, rows.certain))


def per_class(rows: Scored) -> Section:
    """Precision, recall and F1 of each condition; NaN where it does not occur."""
    n_classes = len(rows.class_names)

    def count(weights: Floats) -> Figures:
        matrix = confusion(rows.label_idx, rows.pred_idx, n_classes, weights)
        n, n_predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
        return {
            "precision": np.where(n_predicted > 0, precision(matrix), np.nan),
            "recall": np.where(n > 0, recall(matrix), np.nan),
            "f1": np.where(n + n_predicted > 0, f1(matrix), np.nan),
        }

    n = np.bincount(rows.label_idx, minlength=n_classes)
    n_predicted = np.bincount(rows.pred_idx, minlength=n_classes)
    certain = enough(clusters_of(rows.clusters, rows.label_idx, n_classes))
    answered = enough(clusters_of(rows.clusters, rows.pred_idx, n_classes))

    def tell(found: Found) -> Json:
        intervals = {
            name: found.intervals(name, answered if name == "precision" else certain)
            for name in found.value
        }
        return [
            {
                "label": label,
                "n": int(n[i]),
                "n_predicted": int(n_predicted[i]),
                **{name: number(values[i]) for name, values in found.value.items()},
                "intervals": {
                    name: [number(end) for end in ends[:, i]] for name, ends in intervals.items()
                },
            }
            for i, label in enumerate(rows.class_names)
        ]

    return Section(count, tell)


def level_scores(rows: Scored, level: Level) -> Section:
    """Scores when only the partition must be right: the prediction's, or the summed probability's.

    The first follows the predicted label up the tree; the second adds up the probabilities of each
    partition's labels and takes the largest sum (of a tie, the first by name).
    """
    label_idx = level.parent[rows.label_idx]
    answers = {"": level.parent[rows.pred_idx]}
    columns = {}
    if rows.probabilities is not None:
        summed = level.summed(rows.probabilities)
        answers["summed_"] = summed.argmax(axis=1)
        columns["summed_log_loss"] = log_losses(label_idx, np.clip(summed, 0.0, 1.0))
    means = group_means(columns, np.zeros_like(label_idx), 1)

    def count(weights: Floats) -> Figures:
        found: Figures = {}
        for prefix, pred_idx in answers.items():
            matrix = confusion(label_idx, pred_idx, len(level.partitions), weights)
            found |= {
                f"{prefix}accuracy": accuracy(matrix),
                f"{prefix}weighted_f1": weighted_f1(matrix),
                f"{prefix}macro_f1": macro_f1(matrix),
            }
        return found | {name: values[:, 0] for name, values in means(weights).items()}

    def tell(found: Found) -> Json:
        return {"partitions": list(level.partitions), **figures(found, rows.certain)}

    return Section(count, tell)


def malignant(rows: Scored, level: Level) -> Section:
    """Malignant against the rest, overall and by tone band, by the predicted label's partition."""
    positive = level.parent == level.partitions.index(MALIGNANT)  # (C,)
    ill, called = (
        positive[rows.label_idx].astype(np.int64),
        positive[rows.pred_idx].astype(np.int64),
    )
    bands = band_index(rows.tone_idx)
    n = group_stack(ill, called, bands, (len(BANDS), 2)).sum(axis=-1).astype(int)  # (G, 2)
    cells = ill * len(BANDS) + bands
    sure = enough(clusters_of(rows.clusters, cells, 2 * len(BANDS))).reshape(2, -1)  # (2, G)
    sure_of_all = enough(clusters_of(rows.clusters, ill, 2))

    def count(weights: Floats) -> Figures:
        stack = group_stack(ill, called, bands, (len(BANDS), 2), weights)
        every = stack.sum(axis=-3)
        return {
            "sensitivity": sensitivity(every),
            "specificity": specificity(every),
            "by_band sensitivity": sensitivity(stack),
            "by_band specificity": specificity(stack),
        }

    def tell(found: Found) -> Json:
        certain = {"sensitivity": sure[1], "specificity": sure[0]}
        ends = {name: found.intervals(f"by_band {name}", certain[name]) for name in certain}
        return {
            "level": level.name,
            "n_malignant": int(n[:, 1].sum()),
            "n_other": int(n[:, 0].sum()),
            "sensitivity": figure(
                found.value["sensitivity"], found.intervals("sensitivity", bool(sure_of_all[1]))
            ),
            "specificity": figure(
                found.value["specificity"], found.intervals("specificity", bool(sure_of_all[0]))
            ),
            "by_band": [
                {
                    "group": band,
                    "n_malignant": int(n[i, 1]),
                    "n_other": int(n[i, 0]),
                    **{
                        name: figure(found.value[f"by_band {name}"][i], ends[name][:, i])
                        for name in certain
                    },
                }
                for i, band in enumerate(BANDS)
            ],
            "compared": {
                name: told_comparison(
                    compare(found.value[f"by_band {name}"], found.moved[f"by_band {name}"], known),
                    BANDS,
                    found.value[f"by_band {name}"],
                )
                for name, known in certain.items()
            },
        }

    return Section(count, tell)


def confusion_counts(rows: Scored) -> list[list[int]]:
    """C lists of C numbers of photos: labels in rows, predictions in columns."""
    matrix = confusion(rows.label_idx, rows.pred_idx, len(rows.class_names))
    counts: list[list[int]] = matrix.astype(int).tolist()
    return counts
