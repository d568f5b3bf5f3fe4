"""Temperature scaling against scipy's search, and where there is no best temperature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize, special

from ajl_tf.assessment.temperature import (
    COLDEST,
    HOTTEST,
    apply_temperature,
    fit_temperature,
    logits_of,
)


def _loss(temperature: float, logits, label) -> float:
    scaled = logits / temperature
    own = scaled[np.arange(len(label)), label]
    return float((special.logsumexp(scaled, axis=1) - own).mean())


TABLES = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, (n, 4), elements=st.floats(-20, 20)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 3)),
    )
)


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_no_temperature_has_a_lower_loss(table) -> None:
    logits, label = table
    fitted = fit_temperature(logits, label)
    assert COLDEST <= fitted <= HOTTEST
    found = optimize.minimize_scalar(
        lambda log: _loss(np.exp(log), logits, label),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    assert _loss(fitted, logits, label) <= found.fun + 1e-9


def test_the_temperature_that_the_labels_were_drawn_at_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    for true in (0.5, 1.0, 2.5):
        chances = special.softmax(logits / true, axis=1)
        label = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=4)
        assert fit_temperature(logits, label) == pytest.approx(true, rel=0.05)


def test_probabilities_serve_as_well_as_logits() -> None:
    rng = np.random.default_rng(1)
    logits, label = rng.normal(0, 2, (200, 3)), rng.integers(0, 3, 200)
    probabilities = special.softmax(logits, axis=1)
    fitted = fit_temperature(logits_of(probabilities), label)
    assert fitted == pytest.approx(fit_temperature(logits, label), rel=1e-6)
    scaled = apply_temperature(logits_of(probabilities), fitted)
    assert scaled == pytest.approx(special.softmax(logits / fitted, axis=1))
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_an_answer_without_doubt_that_is_wrong_stays_finite() -> None:
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    fitted = fit_temperature(logits_of(probabilities), np.array([1, 0, 1]))
    assert np.isfinite(apply_temperature(logits_of(probabilities), fitted)).all()
    assert fitted > 10


def test_where_no_temperature_is_best() -> None:
    sure = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(sure, np.array([0, 1])) == COLDEST
    assert fit_temperature(sure, np.array([1, 0])) == HOTTEST
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 0])) == 1.0


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[0.0, np.inf]])])
def test_nothing_to_fit_on_is_refused(logits) -> None:
    with pytest.raises(ValueError, match="finite logits"):
        fit_temperature(logits, np.zeros(len(logits), int))
