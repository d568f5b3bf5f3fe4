"""How the answers of several runs become one: a temperature each, weights, a last temperature.

A run's folds are networks of one recipe on different photos: they weigh alike. Their temperature is
fitted on the photos that each held out, so that each network is as sure as it may be; the average
of several is then somewhat less sure than it may be (Rahaman and Thiery 2021,
https://arxiv.org/abs/2007.08792), for which no photo is left to correct it on: all but one of the
networks trained on any of them. Between runs there are such photos, and what is fitted there is
scored on other parts of the photos than it is fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.assessment.temperature import apply_temperature, logits_of
from ajl_tf.serving.mixture import (
    FEWEST,
    Fitted,
    answer,
    fit_member_temperature,
    fit_weights,
)


@dataclass(frozen=True)
class Blend:
    """What is fitted on held-out rows.

    Attributes:
        temperatures: Of each run's networks.
        weights: Of each run, sum to one.
        last: The temperature of the weighted sum.
    """

    temperatures: tuple[Fitted, ...]
    weights: tuple[float, ...]
    last: Fitted

    def answer(self, logits: Sequence[Floats]) -> Floats:
        """Probabilities (N, C) of logits (N, C) of each run."""
        heats = [fitted.temperature for fitted in self.temperatures]
        return answer(logits, heats, self.weights, self.last.temperature)


def fit_blend(logits: Sequence[Floats], labels: Ints, words: Sequence[str] = ()) -> Blend:
    """Fits temperatures and weights.

    Args:
        logits: Of each run (N, C), on the same rows, which no network answers that trained on them.
        labels: (N,).
        words: Of each run which rows those are.
    """
    each_words = words or [""] * len(logits)
    temperatures = tuple(
        fit_member_temperature(own, labels, told)
        for own, told in zip(logits, each_words, strict=True)
    )
    if len(logits) == 1:
        return Blend(temperatures, (1.0,), Fitted(1.0, 0, "one run needs none"))
    heats = [fitted.temperature for fitted in temperatures]
    each = np.stack([apply_temperature(z, heat) for z, heat in zip(logits, heats, strict=True)])
    alike = np.full(len(logits), 1 / len(logits))
    weights = fit_weights(each, labels) if len(labels) >= FEWEST else alike
    mixed = np.tensordot(weights, each, 1)
    last = fit_member_temperature(logits_of(mixed), labels, "; ".join(dict.fromkeys(each_words)))
    return Blend(temperatures, tuple(float(weight) for weight in weights), last)


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
