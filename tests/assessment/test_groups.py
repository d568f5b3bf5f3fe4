"""Figures by group against scikit-learn on boolean masks, the bootstrap against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ajl_tf.assessment import groups
from ajl_tf.assessment.bootstrap import Bootstrap, percentile_interval, simultaneous_interval
from ajl_tf.assessment.metrics import accuracy, confusion, weighted_f1

CLASSES = 4
ROWS = st.lists(
    st.tuples(
        st.integers(0, CLASSES - 1),
        st.integers(0, CLASSES - 1),
        st.sampled_from([1, 2, 3, 4, 5, 6, -1]),
    ),
    min_size=1,
    max_size=60,
)
BAND_OF = {1: "1-2", 2: "1-2", 3: "3-4", 4: "3-4", 5: "5-6", 6: "5-6", -1: "unknown"}


def _stack(label, pred, group_idx, n_groups):
    return groups.group_stack(label, pred, group_idx, (n_groups, CLASSES), None)


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_figures_equal_scikit_learn_on_masks(rows) -> None:
    label, pred, tone = np.array(rows).T
    tone_idx = groups.tone_index(tone)
    names = [
        (groups.TONES, tone_idx, np.array([str(t) if t > 0 else "unknown" for t in tone])),
        (groups.BANDS, groups.band_index(tone_idx), np.array([BAND_OF[t] for t in tone])),
    ]
    for order, index, name in names:
        stack = _stack(label, pred, index, len(order))
        figures = groups.group_figures(stack, groups.compared_groups(stack))
        known = [g for g in order[:-1] if (name == g).any()]
        shared = [
            c for c in range(CLASSES) if known and all((label[name == g] == c).any() for g in known)
        ]
        for i, group in enumerate(order):
            mask = name == group
            found = {key: values[i] for key, values in figures.items()}
            if not mask.any():
                assert all(np.isnan(value) for value in found.values())
                continue
            y, p = label[mask], pred[mask]
            assert found["accuracy"] == pytest.approx((y == p).mean())
            assert found["weighted_f1"] == pytest.approx(
                sk.f1_score(y, p, average="weighted", zero_division=0)
            )
            assert found["balanced_accuracy"] == pytest.approx(
                np.mean([(p[y == c] == c).mean() for c in np.unique(y)])
            )
            if shared and set(shared) <= set(y):
                expected = np.mean([(p[y == c] == c).mean() for c in shared])
                assert found["standardised_recall"] == pytest.approx(expected)
            else:
                assert np.isnan(found["standardised_recall"])


def test_standardised_recall_ignores_the_mix_of_conditions() -> None:
    # Recall 0.9 on condition 0 and 0.3 on condition 1 in both groups, mixed 9:1 and 1:9.
    stack = np.array([[[81.0, 9], [7, 3]], [[9, 1], [63, 27]], [[0, 0], [0, 0]]])
    figures = groups.group_figures(stack, groups.compared_groups(stack))
    assert figures["accuracy"][:2] == pytest.approx([0.84, 0.36])
    assert figures["standardised_recall"][:2] == pytest.approx([0.6, 0.6])


def _bootstrap(n: int = 60, resamples: int = 50) -> tuple[Bootstrap, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    label = rng.integers(0, CLASSES, n)
    pred = np.where(rng.random(n) < 0.5, label, rng.integers(0, CLASSES, n))
    return Bootstrap(rng.permutation(n) // 3, resamples, seed=5), label, pred


def test_each_resample_holds_whole_clusters_as_many_as_there_are() -> None:
    bootstrap, label, _ = _bootstrap()
    seen = list(np.concatenate(list(bootstrap.weights())))
    assert len(seen) == 50
    for weights in seen:
        per_cluster = [set(weights[bootstrap.clusters == k]) for k in range(20)]
        assert all(len(values) == 1 for values in per_cluster)
        assert sum(values.pop() for values in per_cluster) == 20
        assert weights.shape == label.shape


def test_resampled_figures_equal_scikit_learn_on_the_rows_drawn() -> None:
    bootstrap, label, pred = _bootstrap()
    moved = bootstrap.figures(lambda w: {"f1": weighted_f1(confusion(label, pred, CLASSES, w))})[
        "f1"
    ]
    for value, weights in zip(moved, np.concatenate(list(bootstrap.weights())), strict=True):
        drawn = np.repeat(np.arange(len(label)), weights.astype(int))
        expected = sk.f1_score(label[drawn], pred[drawn], average="weighted", zero_division=0)
        assert value == pytest.approx(expected)


def test_figures_do_not_depend_on_how_many_resamples_are_held_at_once(monkeypatch) -> None:
    bootstrap, label, pred = _bootstrap()

    def run() -> np.ndarray:
        return bootstrap.figures(lambda w: {"a": accuracy(confusion(label, pred, CLASSES, w))})["a"]

    whole = run()
    monkeypatch.setattr("ajl_tf.assessment.bootstrap._WEIGHTS_AT_ONCE", 7 * 60)
    assert np.array_equal(run(), whole)


def test_copies_in_one_cluster_do_not_narrow_the_interval() -> None:
    correct = np.arange(200) % 2
    width = {}
    for name, rows, clusters in [
        ("once", correct, np.arange(200)),
        ("copied", np.repeat(correct, 4), np.repeat(np.arange(200), 4)),
        ("as if new", np.repeat(correct, 4), np.arange(800)),
    ]:
        moved = Bootstrap(clusters, 2000, 0).figures(
            lambda w, rows=rows: {"mean": w @ rows / w.sum(axis=-1)}
        )["mean"]
        low, high = percentile_interval(moved)
        width[name] = high - low
    assert width["copied"] == pytest.approx(width["once"])
    # The normal approximation of a proportion: ± 1.96 * sqrt(p (1 - p) / n)
    assert width["once"] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 200), rel=0.08)
    assert width["as if new"] == pytest.approx(width["once"] / 2, rel=0.08)


def test_percentile_interval_needs_most_resamples() -> None:
    values = np.arange(1000.0)
    some, few = values.copy(), values.copy()
    some[:50], few[:200] = np.nan, np.nan
    interval = percentile_interval(np.stack([values, some, few, np.full(1000, np.nan)], axis=1))
    assert interval[:, 0] == pytest.approx(np.quantile(values, [0.025, 0.975]))
    assert interval[:, 1] == pytest.approx(np.quantile(values[50:], [0.025, 0.975]))
    assert np.isnan(interval[:, 2:]).all()


def test_simultaneous_interval_of_one_difference_is_the_usual_one() -> None:
    moved = np.random.default_rng(0).normal(0.1, 0.05, (20_000, 1))
    low, high = simultaneous_interval(np.array([0.1]), moved)
    assert (low[0], high[0]) == pytest.approx((0.1 - 1.96 * 0.05, 0.1 + 1.96 * 0.05), abs=0.003)


def test_simultaneous_intervals_cover_all_differences_at_once() -> None:
    # Groups that do not differ: in at most about 5% of experiments may any interval exclude 0.
    rng = np.random.default_rng(0)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    first, second = np.transpose(pairs)
    misses = 0
    for _ in range(300):
        value = rng.normal(0, 0.1, 6)
        moved = rng.normal(value, 0.1, (400, 6))
        low, high = simultaneous_interval(
            value[first] - value[second], moved[:, first] - moved[:, second]
        )
        misses += bool(((low > 0) | (high < 0)).any())
    assert misses / 300 < 0.09  # 15 intervals of 95% each would miss in about 40%


def test_simultaneous_interval_of_what_never_moves_or_is_unknown() -> None:
    moved = np.stack([np.zeros(100), np.full(100, np.nan)], axis=1)
    assert np.isnan(simultaneous_interval(np.array([0.0, np.nan]), moved)).all()
    assert np.isnan(simultaneous_interval(np.array([]), np.zeros((100, 0)))).all()


def test_the_interval_of_weighted_f1_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(CLASSES), CLASSES) + 2 * np.eye(CLASSES)  # label x prediction
    chances /= chances.sum()
    hits = 0
    for seed in range(100):
        label, pred = np.divmod(rng.choice(CLASSES**2, 120, p=chances.ravel()), CLASSES)
        moved = Bootstrap(np.arange(120), 200, seed).figures(
            lambda w, label=label, pred=pred: {
                "f1": weighted_f1(confusion(label, pred, CLASSES, w))
            }
        )["f1"]
        low, high = percentile_interval(moved)
        hits += bool(low <= weighted_f1(chances) <= high)
    assert 88 <= hits <= 99


VALUES = st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), min_size=3, max_size=7)


@settings(deadline=None)
@given(VALUES, st.integers(0, 9))
def test_comparison_of_known_groups(values: list[float], seed: int) -> None:
    value = np.array(values)
    moved = value + np.random.default_rng(seed).normal(0, 0.1, (200, len(values)))
    found = groups.compare(value, moved, np.full(len(values), True))
    known = [v for v in values[:-1] if not np.isnan(v)]
    if not known:
        assert found.best is None
        assert found.worst is None
        return
    assert value[found.best] == max(known)
    assert value[found.worst] == min(known)
    if len(known) == 1:
        assert np.isnan([found.difference, found.ratio, found.low, found.high]).all()
        return
    assert found.best != found.worst
    assert found.difference == pytest.approx(max(known) - min(known))
    assert found.low <= found.difference <= found.high
    assert found.ratio == pytest.approx(min(known) / max(known)) if max(known) else True


def test_a_small_group_has_a_difference_but_no_interval() -> None:
    value = np.array([0.9, 0.2, 0.5])
    moved = value + np.random.default_rng(0).normal(0, 0.1, (200, 3))
    found = groups.compare(value, moved, np.array([True, False, True]))
    assert (found.best, found.worst) == (0, 1)
    assert found.difference == pytest.approx(0.7)
    assert np.isnan([found.low, found.high]).all()
