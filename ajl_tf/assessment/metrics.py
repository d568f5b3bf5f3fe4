"""Scores from confusion matrices, for one matrix or a stack of thousands (a bootstrap) at once.

A confusion matrix is `(..., C, C)`, labels in rows, predictions in columns, counts or sums of
weights. What has no value (no photo at all) is NaN; a ratio 0/0 inside a mean is 0, as
scikit-learn's `zero_division=0`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LOG_LOSS_FLOOR = float(np.finfo(np.float32).eps)


def confusion(
    label_idx: Ints, pred_idx: Ints, n_classes: int, weights: Floats | None = None
) -> Floats:
    """Counts (or sums the weights of) each pair of label and prediction.

    Args:
        label_idx: (N,), 0 to `n_classes` - 1.
        pred_idx: (N,), likewise.
        n_classes: C.
        weights: (..., N), non-negative; None counts each row once.

    Returns:
        (..., C, C).
    """
    counts = tally(label_idx * n_classes + pred_idx, n_classes**2, weights)
    return counts.reshape(*counts.shape[:-1], n_classes, n_classes)


def tally(cells: Ints, n_cells: int, weights: Floats | None = None) -> Floats:
    """(..., M): how many rows, or what sum of `weights` (..., N), are in each of M cells (N,)."""
    if weights is None or weights.ndim == 1:
        return np.bincount(cells, weights, minlength=n_cells).astype(np.float64)
    return np.stack([tally(cells, n_cells, row) for row in weights])


def precision(matrix: Floats) -> Floats:
    """(..., C): share of the photos predicted as a class that are of it; 0 where none is."""
    return _ratio(_correct(matrix), matrix.sum(axis=-2))


def recall(matrix: Floats) -> Floats:
    """(..., C): share of the photos of a class that are predicted so; 0 where there is none."""
    return _ratio(_correct(matrix), matrix.sum(axis=-1))


def f1(matrix: Floats) -> Floats:
    """(..., C): harmonic mean of precision and recall; 0 where a class is in neither."""
    return _ratio(2 * _correct(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def weighted_f1(matrix: Floats) -> Floats:
    """(...): F1 of the classes, weighted by how often each is the label.

    The competition's metric; `sklearn.metrics.f1_score(average="weighted", zero_division=0)`.
    """
    n = matrix.sum(axis=-1)
    return _value((f1(matrix) * n).sum(axis=-1), n.sum(axis=-1))


def macro_f1(matrix: Floats) -> Floats:
    """(...): plain mean of F1 over the classes that occur as label or as prediction.

    `sklearn.metrics.f1_score(average="macro", zero_division=0)`.
    """
    occurs = matrix.sum(axis=-1) + matrix.sum(axis=-2) > 0
    return _value(f1(matrix).sum(axis=-1), occurs.sum(axis=-1))


def accuracy(matrix: Floats) -> Floats:
    """(...): share of photos whose prediction is the label."""
    return _value(_correct(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: Floats) -> Floats:
    """(...): recall averaged over the classes that occur as label (macro recall).

    `sklearn.metrics.balanced_accuracy_score`.
    """
    return mean_recall(matrix, matrix.sum(axis=-1) > 0)


def mean_recall(matrix: Floats, classes: Bools) -> Floats:
    """(...): recall averaged over `classes` (..., C); NaN where one of them has no photo."""
    complete = ~(classes & (matrix.sum(axis=-1) == 0)).any(axis=-1)
    total = (recall(matrix) * classes).sum(axis=-1)
    return _value(total, np.where(complete, classes.sum(axis=-1), 0))


def matthews(matrix: Floats) -> Floats:
    """(...): Matthews correlation of label and prediction, -1 to 1; 0 where either never varies.

    For several classes as in Gorodkin 2004 (https://doi.org/10.1016/j.compbiolchem.2004.09.006);
    `sklearn.metrics.matthews_corrcoef`.
    """
    n, labels, answers = matrix.sum(axis=(-2, -1)), matrix.sum(axis=-1), matrix.sum(axis=-2)
    both = _correct(matrix).sum(axis=-1) * n - (labels * answers).sum(axis=-1)
    spread = (n**2 - (labels**2).sum(axis=-1)) * (n**2 - (answers**2).sum(axis=-1))
    return _value(_ratio(both, np.sqrt(spread)) * n, n)


def sensitivity(matrix: Floats) -> Floats:
    """(...): share of what is of class 1 that is predicted so, from matrices (..., 2, 2)."""
    return _value(matrix[..., 1, 1], matrix[..., 1, :].sum(axis=-1))


def specificity(matrix: Floats) -> Floats:
    """(...): share of what is of class 0 that is predicted so, from matrices (..., 2, 2)."""
    return _value(matrix[..., 0, 0], matrix[..., 0, :].sum(axis=-1))


def top_k(label_idx: Ints, probabilities: Floats, k: int = 3) -> Floats:
    """Whether the label is among the k most probable classes, for each photo.

    Args:
        label_idx: (N,).
        probabilities: (N, C).
        k: At C and above the answer is always 1.

    Returns:
        (N,), 0 or 1; where classes tie across the k-th place they share what is left of it, so the
        order of the columns does not matter. Without ties the mean is
        `sklearn.metrics.top_k_accuracy_score`.
    """
    own = np.take_along_axis(probabilities, label_idx[:, None], axis=1)
    above = (probabilities > own).sum(axis=1)
    tied = (probabilities == own).sum(axis=1)  # the label itself among them
    share: Floats = np.clip((k - above) / tied, 0.0, 1.0)
    return share


def log_losses(label_idx: Ints, probabilities: Floats) -> Floats:
    """(N,): minus the natural log of the label's probability, floored at float32's epsilon."""
    own = np.take_along_axis(probabilities, label_idx[:, None], axis=1)[:, 0]
    return -np.log(np.clip(own.astype(np.float64), LOG_LOSS_FLOOR, 1.0))


def _correct(matrix: Floats) -> Floats:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom > 0)


def _value(top: Floats, bottom: npt.ArrayLike) -> Floats:
    bottom = np.asarray(bottom, dtype=np.float64)
    out = np.full(np.broadcast(top, bottom).shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out
