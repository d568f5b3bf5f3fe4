"""Temperatures and weights, against SciPy and against what they must not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ajl_tf.serving.blend import cross_fitted, fit_blend
from ajl_tf.serving.mixture import answer, fit_member_temperature, fit_weights


def drawn(seed: int, runs: int, n: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits (R, N, C) of runs of differing worth, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    signal = rng.uniform(0, 3, runs)[:, None, None] * np.eye(classes)[labels]
    return signal + rng.normal(0, rng.uniform(0.5, 3), (runs, n, classes)), labels


@given(seed=st.integers(0, 10_000), runs=st.integers(2, 4))
@settings(max_examples=15)
def test_weights_have_the_lowest_log_loss_as_scipy_finds_it(seed: int, runs: int) -> None:
    logits, labels = drawn(seed, runs)
    probabilities = softmax(logits, axis=2)
    own = probabilities[:, np.arange(len(labels)), labels]
    weights = fit_weights(probabilities, labels)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    found = minimize(
        lambda w: -np.log(w @ own + 1e-30).mean(),
        np.full(runs, 1 / runs),
        bounds=[(0, 1)] * runs,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
    )
    assert -np.log(weights @ own).mean() <= found.fun + 1e-4


def test_a_run_that_knows_nothing_has_no_weight() -> None:
    logits, labels = drawn(1, 2)
    logits[1] = -20 * np.eye(4)[labels]
    assert fit_weights(softmax(logits, axis=2), labels).tolist() == [1, 0]


@given(seed=st.integers(0, 10_000), heat=st.floats(0.05, 20), last=st.floats(0.05, 20))
@settings(max_examples=25)
def test_no_temperature_changes_what_one_network_predicts(
    seed: int, heat: float, last: float
) -> None:
    logits, _ = drawn(seed, 1)
    got = answer(logits, [heat], [0.3], last)
    assert got.argmax(axis=1).tolist() == logits[0].argmax(axis=1).tolist()
    np.testing.assert_allclose(got.sum(axis=1), 1)


def test_the_answer_of_several_is_the_sum_written_out() -> None:
    logits, _ = drawn(2, 3)
    mixed = sum(
        w * softmax(z / t, axis=1)
        for w, z, t in zip((0.5, 0.1, 0.4), logits, (1, 2, 3), strict=True)
    )
    got = answer(logits, [1, 2, 3], [5, 1, 4], 0.5)
    np.testing.assert_allclose(got, mixed**2 / (mixed**2).sum(axis=1, keepdims=True))


def test_what_cannot_be_fitted_is_left_as_it_is_and_said() -> None:
    logits, labels = drawn(3, 1)
    few = fit_member_temperature(logits[0][:49], labels[:49], "these")
    assert (few.temperature, few.n) == (1.0, 0)
    assert few.rows == "not fitted: 49 rows are fewer than 50"
    right = fit_member_temperature(9.0 * np.eye(4)[labels], labels, ["these"] * len(logits))
    assert (right.temperature, right.n) == (1.0, 0)
    assert right.rows == "not fitted: all 200 answers are right"


def test_a_blend_lowers_the_log_loss_of_its_rows() -> None:
    logits, labels = drawn(4, 3, 400)
    blend = fit_blend(list(logits), labels, ["these"] * len(logits))
    rows = np.arange(len(labels))

    def loss(probabilities: np.ndarray) -> float:
        return float(-np.log(probabilities[rows, labels]).mean())

    each = [-log_softmax(own, axis=1)[rows, labels].mean() for own in logits]
    assert loss(blend.answer(list(logits))) < min(each)


def test_no_row_is_answered_by_a_blend_that_was_fitted_on_it() -> None:
    logits, labels = drawn(5, 2, 300)
    fits, parts = np.arange(300) % 6 > 0, np.arange(300) // 3 % 5
    before = cross_fitted(list(logits), labels, fits, parts)
    changed = labels.copy()
    changed[parts == 2] = (changed[parts == 2] + 1) % 4
    after = cross_fitted(list(logits), changed, fits, parts)
    own = (parts == 2) & fits
    assert (before[own] == after[own]).all()
    assert (before[~own] != after[~own]).any(axis=1).all()
    changed = np.where(fits, labels, 0)
    after = cross_fitted(list(logits), changed, fits, parts)
    assert (before == after).all()  # rows that nothing is fitted on have no say
