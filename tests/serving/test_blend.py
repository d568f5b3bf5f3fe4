"""Weights and a temperature, against SciPy and against what they must not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ajl_tf.assessment.temperature import fit_temperature
from ajl_tf.serving.blend import (
    answer,
    cross_fitted,
    fit_blend,
    fit_served_temperature,
    fit_weights,
    mean_logits,
)


def drawn(seed: int, runs: int, n: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits (R, N, C) of runs of differing worth, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    signal = rng.uniform(0, 3, runs)[:, None, None] * np.eye(classes)[labels]
    return signal + rng.normal(0, rng.uniform(0.5, 3), (runs, n, classes)), labels


@given(seed=st.integers(0, 10_000), runs=st.integers(2, 4))
@settings(max_examples=15)
def test_weights_have_the_lowest_log_loss_as_another_search_finds_it(seed: int, runs: int) -> None:
    logits, labels = drawn(seed, runs)
    rows = np.arange(len(labels))

    def loss(coefficients: np.ndarray) -> float:
        mixed = np.einsum("r,rnc->nc", coefficients, logits)
        return float(-log_softmax(mixed, axis=1)[rows, labels].mean())

    weights = fit_weights(logits, labels)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    heat = fit_temperature(mean_logits(list(logits), weights.tolist()), labels)
    found = minimize(loss, np.full(runs, 0.5), bounds=[(0, 100)] * runs, method="Nelder-Mead")
    assert loss(weights / heat) <= found.fun + 1e-4


def test_a_run_that_knows_nothing_has_no_weight() -> None:
    logits, labels = drawn(1, 2)
    logits[1] = -20 * np.eye(4)[labels]
    assert fit_weights(logits, labels).tolist() == [1, 0]


def test_runs_that_all_know_nothing_weigh_alike() -> None:
    logits, labels = drawn(1, 2)
    assert fit_weights(-logits - 20 * np.eye(4)[labels], labels).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 80.0])
def test_runs_that_are_always_right_have_weights(scale: float) -> None:
    logits, labels = drawn(1, 2)
    sure = scale * (logits + 50 * np.eye(4)[labels])
    weights = fit_weights(sure, labels)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    assert (mean_logits(list(sure), weights.tolist()).argmax(axis=1) == labels).all()


@given(seed=st.integers(0, 10_000), heat=st.floats(0.05, 20))
@settings(max_examples=25)
def test_no_temperature_changes_what_is_predicted(seed: int, heat: float) -> None:
    logits, _ = drawn(seed, 2)
    got = answer(list(logits), [0.3, 0.1], heat)
    assert got.argmax(axis=1).tolist() == (3 * logits[0] + logits[1]).argmax(axis=1).tolist()
    np.testing.assert_allclose(got.sum(axis=1), 1)


def test_the_answer_of_several_is_the_pool_of_their_probabilities_written_out() -> None:
    logits, _ = drawn(2, 3)
    each = softmax(logits, axis=2)
    pool = each[0] ** 0.5 * each[1] ** 0.1 * each[2] ** 0.4
    got = answer(list(logits), [5, 1, 4], 0.5)
    np.testing.assert_allclose(got, pool**2 / (pool**2).sum(axis=1, keepdims=True))


def test_what_cannot_be_fitted_is_left_as_it_is_and_said() -> None:
    logits, labels = drawn(3, 1)
    few = fit_served_temperature(logits[0][:49], labels[:49], "these")
    assert (few.temperature, few.n) == (1.0, 0)
    assert few.rows == "not fitted: 49 rows are fewer than 50"
    right = fit_served_temperature(9.0 * np.eye(4)[labels], labels, "these")
    assert (right.temperature, right.n) == (1.0, 0)
    assert right.rows == "not fitted: all 200 answers are right"


@pytest.mark.parametrize(("rows", "fitted"), [(49, 0), (50, 50)])
def test_too_few_rows_leave_the_weights_alike(rows: int, fitted: int) -> None:
    logits, labels = drawn(6, 2)
    blend = fit_blend(list(logits[:, :rows]), labels[:rows])
    assert blend.n == fitted
    assert (blend.weights == (0.5, 0.5)) == (not fitted)


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
