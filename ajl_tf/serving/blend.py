"""How the answers of several networks become one: weights, then a temperature.

Networks are averaged by their logits, the logarithmic pool of their probabilities (Genest and Zidek
1986, https://doi.org/10.1214/ss/1177013825), as a network's views of a photo are: what is taken off
each one's logits, as logit adjustment does, is then taken off the average.

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
from scipy.optimize import minimize
from scipy.special import log_softmax

from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.assessment.temperature import COLDEST, apply_temperature, fit_temperature

FEWEST = 50  # rows; fewer fit no number worth serving


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


@dataclass(frozen=True)
class Blend:
    """What is fitted on held-out rows.

    Attributes:
        weights: Of each run's logits, sum to one.
        temperature: Of their weighted mean.
        n: Rows that the weights were fitted on; 0 where they are alike, unfitted.
    """

    weights: tuple[float, ...]
    temperature: Fitted
    n: int = 0

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
    weights, n = np.full(len(logits), 1 / len(logits)), 0
    if len(logits) > 1 and len(labels) >= FEWEST:
        weights, n = fit_weights(np.stack(logits), labels), len(labels)
    told = "; ".join(dict.fromkeys(words))
    mean = mean_logits(logits, weights.tolist())
    return Blend(tuple(weights.tolist()), fit_served_temperature(mean, labels, told), n)


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


def answer(logits: Sequence[Floats], weights: Sequence[float], temperature: float = 1.0) -> Floats:
    """Probabilities of several networks as one: of the weighted mean of their logits.

    The in-process counterpart of the graph that `savedmodel.Server` saves, whose `probabilities`
    equal it within 1e-5.

    Args:
        logits: Of each network (N, C).
        weights: Of each network, 0 and more, not all 0.
        temperature: Of the mean.

    Returns:
        (N, C), rows sum to one.
    """
    return apply_temperature(mean_logits(logits, weights), temperature)


def mean_logits(logits: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """(N, C): the mean of (N, C) of each network, by weights of 0 and more, not all 0."""
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    mean: Floats = np.tensordot(shares, np.asarray(logits), 1)
    return mean


def fit_served_temperature(logits: Floats, label_idx: Ints, rows: str) -> Fitted:
    """The temperature that a SavedModel may use, with what it was fitted on.

    Args:
        logits: (N, C) on rows that no network which answers them trained on.
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


def fit_weights(logits: Floats, label_idx: Ints) -> Floats:
    """Weights of models that, with the best temperature, give their mean the lowest log loss.

    A weight divided by the temperature is a coefficient, and the loss is convex in these: they are
    searched for between 0 and the coefficient of the coldest temperature.

    Args:
        logits: (R, N, C), of R models on rows that none of them trained on.
        label_idx: (N,).

    Returns:
        (R,), sum to one; those below 0.001 are 0. All alike where no model knows anything.
    """
    rows = np.arange(len(label_idx))

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logs = log_softmax(np.tensordot(coefficients, logits, 1), axis=1)
        off = np.einsum("nc,rnc->rn", np.exp(logs), logits) - logits[:, rows, label_idx]
        return float(-logs[rows, label_idx].mean()), off.mean(axis=1)

    count = len(logits)
    alike: Floats = np.full(count, 1 / count)
    bounds = [(0.0, 1 / COLDEST)] * count
    found = minimize(loss, alike, jac=True, bounds=bounds, method="L-BFGS-B")
    if not found.x.any():
        return alike
    weights: Floats = np.where(found.x < 1e-3 * found.x.sum(), 0.0, found.x)
    weights /= weights.sum()
    return weights
