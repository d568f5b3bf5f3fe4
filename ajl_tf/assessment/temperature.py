"""One number that makes probabilities as sure as they may be: temperature scaling.

Guo et al. 2017 (https://arxiv.org/abs/1706.04599): logits are divided by a temperature before the
softmax. The most probable condition stays the same; above 1 all answers become less sure.
"""

from __future__ import annotations

import numpy as np

from ajl_tf.assessment.metrics import Floats, Ints

COLDEST, HOTTEST = 0.01, 100.0
_STEPS = 60
_TINY = float(np.finfo(np.float32).tiny)


def logits_of(probabilities: Floats) -> Floats:
    """(N, C): logits that the softmax turns into `probabilities`; each row's constant is free."""
    return np.log(np.maximum(probabilities, _TINY))


def apply_temperature(logits: Floats, temperature: float | Floats) -> Floats:
    """Probabilities at a temperature.

    Args:
        logits: (N, C).
        temperature: A number, or one for each row (N, 1); above 0.

    Returns:
        (N, C), rows sum to one.
    """
    scaled = logits / temperature
    odds = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: Floats = odds / odds.sum(axis=-1, keepdims=True)
    return probabilities


def fit_temperature(logits: Floats, label_idx: Ints) -> float:
    """The temperature with the lowest log loss.

    The loss is convex in 1 / temperature, so its slope is searched for its only zero: Newton's
    steps, halved into a bracket where they leave it.

    Args:
        logits: (N, C), or logarithms of probabilities (`logits_of`).
        label_idx: (N,), 0 to C - 1.

    Returns:
        `COLDEST` to `HOTTEST`; an end of that where the loss falls beyond it (all photos right, or
        no better than a guess). 1 where no temperature is better than another.

    Raises:
        ValueError: No row, or a logit that is not finite.
    """
    if not len(logits) or not np.isfinite(logits).all():
        raise ValueError(
            "a temperature is fitted on at least one row of finite logits. Received: shape "
            f"{logits.shape}, {int((~np.isfinite(logits)).sum())} not finite."
        )
    own = np.take_along_axis(logits, label_idx[:, None], axis=1)
    highest = (logits.max(axis=1, keepdims=True) - own)[:, 0]
    below = logits - own - highest[:, None]  # (N, C), 0 and less: no row overflows

    def slope(inverse: float) -> tuple[float, float]:
        odds = np.exp(below * inverse)
        total = odds.sum(axis=1)
        first = np.einsum("ij,ij->i", odds, below) / total
        second = np.einsum("ij,ij,ij->i", odds, below, below) / total
        return float((first + highest).mean()), float((second - first**2).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    inverse = 1.0
    if abs(slope(inverse)[0]) <= 1e-12 * float(np.abs(below).max() + highest.max()):
        return 1.0
    if slope(low)[0] >= 0:
        return HOTTEST
    if slope(high)[0] <= 0:
        return COLDEST
    for _ in range(_STEPS):
        value, curve = slope(inverse)
        low, high = (inverse, high) if value < 0 else (low, inverse)
        step = inverse - value / curve if curve > 0 else np.inf
        nearer = step if low < step < high else float(np.sqrt(low * high))
        if abs(nearer - inverse) <= 1e-8 * inverse:
            break
        inverse = nearer
    return 1 / inverse
