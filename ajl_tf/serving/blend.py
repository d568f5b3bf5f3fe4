"""How the answers of several runs become one: weights, then a temperature.

A run's folds are networks of one recipe on different photos: they weigh alike. Weights of runs and
the temperature are fitted on photos that each network held out, so that the answer of one network a
run is as sure as it may be. The mean over a run's networks is then somewhat less sure than it may
be (Rahaman and Thiery 2021, https://arxiv.org/abs/2007.08792), for which no photo is left to
correct it on: all but one of the networks trained on any of them. What is fitted is scored on other
parts of the photos than it is fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.serving.mixture import (
    FEWEST,
    Fitted,
    answer,
    fit_served_temperature,
    fit_weights,
    mean_logits,
)


@dataclass(frozen=True)
class Blend:
    """What is fitted on held-out rows.

    Attributes:
        weights: Of each run's logits, sum to one.
        temperature: Of their weighted mean.
    """

    weights: tuple[float, ...]
    temperature: Fitted

    def answer(self, logits: Sequence[Floats]) -> Floats:
        """Probabilities (N, C) of logits (N, C) of each run."""
        return answer(logits, self.weights, self.temperature.temperature)


def fit_blend(logits: Sequence[Floats], labels: Ints, words: Sequence[str] = ()) -> Blend:
    """Fits weights and temperature.

    Args:
        logits: Of each run (N, C), on the same rows, which no network answers that trained on them.
        labels: (N,).
        words: Of each run which rows those are.
    """
    weights = np.full(len(logits), 1 / len(logits))
    if len(logits) > 1 and len(labels) >= FEWEST:
        weights = fit_weights(np.stack(logits), labels)
    told = "; ".join(dict.fromkeys(words))
    mean = mean_logits(logits, weights.tolist())
    return Blend(tuple(weights.tolist()), fit_served_temperature(mean, labels, told))


def cross_fitted(logits: Sequence[Floats], labels: Ints, fits: Bools, parts: Ints) -> Floats:
    """Probabilities (N, C) of a blend that was never fitted on the row that it answers.

    Args:
        logits: Of each run (N, C).
        labels: (N,).
        fits: (N,), rows that a blend may be fitted on.
        parts: (N,), 0 to P - 1; a row is answered by the blend of the other parts.
    """
    answers = np.empty_like(logits[0])
    for fit, use in _turns(fits, parts):
        blend = fit_blend([own[fit] for own in logits], labels[fit])
        answers[use] = blend.answer([own[use] for own in logits])
    return answers


def _turns(fits: Bools, parts: Ints) -> Iterator[tuple[Bools, Bools]]:
    if not fits.all():
        yield fits, ~fits
    for part in range(int(parts.max()) + 1):
        use = fits & (parts == part)
        if use.any():
            yield fits & (parts != part), use
