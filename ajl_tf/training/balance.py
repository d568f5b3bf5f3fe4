"""What is done about rare conditions and rare tones: weights in the loss, or a sampler."""

from __future__ import annotations

from typing import Literal

import numpy as np


def class_weights(
    labels: np.ndarray,
    classes: int,
    kind: Literal["none", "inverse", "effective_number"],
    beta: float,
) -> np.ndarray | None:
    """Weight of each class in the loss, averaging one over the rows.

    Args:
        labels: int `(N,)` class of each training row.
        classes: Number of classes.
        kind: `"inverse"` of the class's count, or of its effective number (1 - beta^n) / (1 - beta)
            (Cui et al. 2019, arXiv:1901.05555).
        beta: In [0, 1); 0 weighs all alike, towards 1 it becomes the inverse count.

    Returns:
        float32 `(classes,)`, 0 for a class without rows; None for `"none"`.
    """
    if kind == "none":
        return None
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    effective = counts if kind == "inverse" else (1.0 - beta**counts) / (1.0 - beta)
    weights = np.divide(1.0, effective, out=np.zeros(classes), where=effective > 0)
    normalised: np.ndarray = weights / weights[labels].mean()
    return normalised.astype(np.float32)


def sampling_weights(
    labels: np.ndarray,
    tones: np.ndarray,
    kind: Literal["none", "class", "tone", "class_tone"],
) -> np.ndarray | None:
    """Probability of drawing each row, so that every group is drawn equally often.

    Args:
        labels: int `(N,)` class of each training row.
        tones: int `(N,)` skin tone, -1 where unknown, which counts as a group.
        kind: What makes a group. A cell of `"class_tone"` that has one photo is drawn as often as
            one that has fifty: strong, and easily too strong.

    Returns:
        float64 `(N,)` that sums to one; None for `"none"`.
    """
    if kind == "none":
        return None
    keys = {"class": [labels], "tone": [tones], "class_tone": [labels, tones]}[kind]
    _, group, counts = np.unique(
        np.stack(keys, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    weights = 1.0 / counts[group.ravel()]
    probabilities: np.ndarray = weights / weights.sum()
    return probabilities


def strengths(labels: np.ndarray, train: np.ndarray, boost: float) -> np.ndarray | None:
    """How much stronger than given the augmentation of rare conditions is.

    Args:
        labels: int `(N,)` class of each row.
        train: int, the rows that train.
        boost: What each halving of how common a class is, against the commonest, adds to 1.

    Returns:
        float64 `(N,)`, 1 for rows that do not train; None where `boost` is 0.
    """
    if not boost:
        return None
    strength = np.ones(len(labels))
    counts = np.bincount(labels[train])
    strength[train] += boost * np.log2(counts.max() / counts[labels[train]])
    return strength
