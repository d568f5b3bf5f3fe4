"""What a SavedModel makes of its networks' logits: in this process, and how sure it may be.

`answer` is the in-process counterpart of the graph that `savedmodel.Server` saves; the SavedModel's
`probabilities` equal it within 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.metrics import Floats, Ints
from ajl_tf.assessment.temperature import (
    COLDEST,
    apply_temperature,
    fit_temperature,
    logits_of,
)

FEWEST = 50  # rows; fewer fit no number worth serving
_STEPS = 10_000


@dataclass(frozen=True)
class Fitted:
    """A temperature, and what it was fitted on.

    Attributes:
        temperature: 1 changes nothing, above it answers become less sure.
        n: Rows it was fitted on; 0 where it was not fitted.
        rows: Which rows those are, or why there is no temperature.
    """

    temperature: float
    n: int
    rows: str


def answer(
    logits: Sequence[Floats],
    temperatures: Sequence[float],
    weights: Sequence[float],
    temperature: float = 1.0,
) -> Floats:
    """Probabilities of several networks as one.

    Each network's logits are divided by its temperature before the softmax, its probabilities are
    weighted and summed, and the logarithm of the sum is divided by a last temperature before a last
    softmax. Of one network, the most probable condition is that of its logits.

    Args:
        logits: Of each network (N, C).
        temperatures: Of each network.
        weights: Of each network, 0 and more, not all 0.
        temperature: Of the sum.

    Returns:
        (N, C), rows sum to one.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    each = zip(logits, temperatures, shares, strict=True)
    mixed = np.sum([share * apply_temperature(own, heat) for own, heat, share in each], axis=0)
    return apply_temperature(logits_of(mixed), temperature)


def fit_member_temperature(logits: Floats, label_idx: Ints, rows: str) -> Fitted:
    """The temperature that a SavedModel may use, with what it was fitted on.

    Args:
        logits: (N, C) on rows that their network did not train on.
        label_idx: (N,).
        rows: Which rows those are, in words.

    Returns:
        Temperature 1 with fewer than `FEWEST` rows, or where all answers are right: then the loss
        falls for ever as the answers become surer, and says nothing on how sure they may be.
    """
    if len(logits) < FEWEST:
        return Fitted(1.0, 0, f"not fitted: {len(logits)} rows are fewer than {FEWEST}")
    temperature = fit_temperature(logits, label_idx)
    if temperature <= COLDEST:
        return Fitted(1.0, 0, f"not fitted: all {len(logits)} answers are right")
    return Fitted(temperature, len(logits), rows)


def fit_weights(probabilities: Floats, label_idx: Ints) -> Floats:
    """Weights of models that give their weighted sum the lowest log loss.

    The loss is convex in the weights. Expectation maximisation for mixture weights (Dempster, Laird
    and Rubin 1977, section 4.3) lowers it at each step and stays within 0 to 1 and a sum of 1.

    Args:
        probabilities: (R, N, C), of R models on rows that none of them trained on.
        label_idx: (N,).

    Returns:
        (R,), sum to one; those below 0.001 are 0.
    """
    own = np.take_along_axis(probabilities, label_idx[None, :, None], axis=2)[..., 0]  # (R, N)
    own = np.maximum(own, np.finfo(np.float32).tiny)
    weights: Floats = np.full(len(own), 1 / len(own))
    for _ in range(_STEPS):
        shares = weights[:, None] * own
        moved = (shares / shares.sum(axis=0)).mean(axis=1)
        done = np.abs(moved - weights).max() < 1e-9
        weights = moved
        if done:
            break
    weights = np.where(weights < 1e-3, 0.0, weights)
    weights /= weights.sum()
    return weights
