"""Every score against scikit-learn, on labels and predictions of any kind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ajl_tf.assessment import metrics

# Up to six classes of which few may occur, down to a single row.
PAIRS = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1, max_size=40),
    )
)


def _split(pairs):
    n_classes, rows = pairs
    label, pred = np.array(rows).T
    return n_classes, label, pred


@settings(deadline=None, max_examples=50)
@given(PAIRS)
def test_scores_equal_scikit_learn(pairs) -> None:
    n_classes, label, pred = _split(pairs)
    matrix = metrics.confusion(label, pred, n_classes)
    every = {"zero_division": 0, "labels": range(n_classes), "average": None}

    assert matrix.tolist() == [
        [((label == row) & (pred == column)).sum() for column in range(n_classes)]
        for row in range(n_classes)
    ]
    assert metrics.weighted_f1(matrix) == pytest.approx(
        sk.f1_score(label, pred, average="weighted", zero_division=0)
    )
    assert metrics.macro_f1(matrix) == pytest.approx(
        sk.f1_score(label, pred, average="macro", zero_division=0)
    )
    assert metrics.accuracy(matrix) == pytest.approx(sk.accuracy_score(label, pred))
    # balanced_accuracy_score warns of predictions that are never labels; this is what it computes
    assert metrics.balanced_accuracy(matrix) == pytest.approx(
        sk.recall_score(label, pred, labels=np.unique(label), average="macro", zero_division=0)
    )
    varies = len(set(label) | set(pred)) > 1  # scikit-learn warns of a single one
    expected = sk.matthews_corrcoef(label, pred) if varies else 0.0
    assert metrics.matthews(matrix) == pytest.approx(expected, abs=1e-12)
    assert metrics.precision(matrix) == pytest.approx(sk.precision_score(label, pred, **every))
    assert metrics.recall(matrix) == pytest.approx(sk.recall_score(label, pred, **every))
    assert metrics.f1(matrix) == pytest.approx(sk.f1_score(label, pred, **every))


@settings(deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_weights_count_rows_as_repeats(pairs, random) -> None:
    n_classes, label, pred = _split(pairs)
    weights = np.array([random.randint(0, 3) for _ in label])
    weighted = metrics.confusion(label, pred, n_classes, weights.astype(float))
    both = metrics.confusion(label, pred, n_classes, np.stack([weights * 2.0, weights]))
    assert np.array_equal(both, [2 * weighted, weighted])
    repeated = metrics.confusion(np.repeat(label, weights), np.repeat(pred, weights), n_classes)
    assert np.array_equal(weighted, repeated)


SCORES = [
    metrics.weighted_f1,
    metrics.macro_f1,
    metrics.accuracy,
    metrics.balanced_accuracy,
    metrics.matthews,
    metrics.f1,
]


@pytest.mark.parametrize("score", SCORES)
def test_a_stack_is_scored_matrix_by_matrix(score) -> None:
    stack = np.random.default_rng(0).integers(0, 4, (3, 2, 5, 5)).astype(float)
    one_by_one = [[score(matrix) for matrix in row] for row in stack]
    assert np.array_equal(score(stack), np.array(one_by_one))


@pytest.mark.parametrize("score", SCORES[:-1])
def test_nothing_at_all_has_no_score(score) -> None:
    assert np.isnan(score(np.zeros((4, 4))))


def test_sensitivity_and_specificity_are_recall_of_either_class() -> None:
    label, pred = np.random.default_rng(0).integers(0, 2, (2, 50))
    matrix = metrics.confusion(label, pred, 2)
    assert metrics.sensitivity(matrix) == pytest.approx(sk.recall_score(label, pred))
    assert metrics.specificity(matrix) == pytest.approx(sk.recall_score(label, pred, pos_label=0))
    assert np.isnan(metrics.sensitivity(np.array([[3.0, 1.0], [0.0, 0.0]])))
    assert np.isnan(metrics.specificity(np.array([[0.0, 0.0], [3.0, 1.0]])))


def test_mean_recall_needs_every_class_asked_for() -> None:
    matrix = np.array([[1.0, 1, 0], [0, 3, 0], [0, 0, 0]])
    assert metrics.mean_recall(matrix, np.array([True, True, False])) == 0.75
    assert np.isnan(metrics.mean_recall(matrix, np.array([True, False, True])))
    assert np.isnan(metrics.mean_recall(matrix, np.array([False, False, False])))


def _random_probabilities(n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(n_classes), n).astype(np.float32).astype(np.float64)
    label = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    return label, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_equals_scikit_learn_without_ties(k: int) -> None:
    label, probabilities = _random_probabilities(80, 6)
    assert metrics.top_k(label, probabilities, k).mean() == pytest.approx(
        sk.top_k_accuracy_score(label, probabilities, k=k)
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=4, max_size=5))
def test_top_k_with_ties_is_the_mean_over_all_ways_to_break_them(row: list[float]) -> None:
    orders = list(itertools.permutations(range(len(row))))
    hits = [sorted(order, key=lambda c: -row[c])[:3].count(0) for order in orders]  # stable sort
    assert metrics.top_k(np.array([0]), np.array([row]))[0] == pytest.approx(np.mean(hits))


def test_top_k_of_fewer_classes_is_always_right() -> None:
    assert metrics.top_k(np.array([1]), np.array([[0.9, 0.1]])) == [1.0]


def test_log_loss_equals_scikit_learn() -> None:
    label, probabilities = _random_probabilities(80, 6)
    assert metrics.log_losses(label, probabilities).mean() == pytest.approx(
        sk.log_loss(label, probabilities)
    )


def test_log_loss_of_an_impossible_label_is_finite() -> None:
    loss = metrics.log_losses(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert loss == pytest.approx([-np.log(np.finfo(np.float32).eps), 0.0])
