"""FairDisCo's ratios, parity and odds: by hand on masks, against fairlearn, and against luck."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf.assessment import parity
from ajl_tf.assessment.bootstrap import Bootstrap, basic_interval
from ajl_tf.assessment.groups import compared_groups, group_stack
from ajl_tf.assessment.sections import beside_chance
from ajl_tf.assessment.words import UNUSUAL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fairlearn import metrics as fair

CLASSES, GROUPS = 3, 4
ROWS = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1), st.integers(0, GROUPS - 1)),
    min_size=1,
    max_size=40,
)


def _figures(label, pred, group, n_classes=CLASSES, n_groups=GROUPS):
    stack = group_stack(label, pred, group, (n_groups, n_classes))
    found = parity.parity_figures(stack, compared_groups(stack))
    return {name: float(value) for name, value in found.items()}


def _by_hand(label, pred, group) -> dict[str, float]:
    """The definitions, in words of boolean masks."""
    known = [g for g in range(GROUPS - 1) if (group == g).any()]
    nan = dict.fromkeys((*parity.RATIOS, *parity.DIFFERENCES), np.nan)
    if len(known) < 2:
        return nan
    right = [(label == pred)[group == g].mean() for g in known]
    ratio, chance, spread, odds = [], [], [], []
    for c in range(CLASSES):
        rate = [(pred[group == g] == c).mean() for g in known]
        if max(rate) > 0:
            ratio.append(min(rate) / max(rate))
            spread.append(max(rate) - min(rate))
        if all(((group == g) & (label == c)).any() for g in known):
            hit = [(pred[(group == g) & (label == c)] == c).mean() for g in known]
            if max(hit) > 0:
                chance.append(min(hit) / max(hit))
            if all(((group == g) & (label != c)).any() for g in known):
                alarm = [(pred[(group == g) & (label != c)] == c).mean() for g in known]
                odds.append(max(max(hit) - min(hit), max(alarm) - min(alarm)))
    return {
        "pqd": min(right) / max(right) if max(right) > 0 else np.nan,
        "dpm": np.mean(ratio),
        "eom": np.mean(chance) if chance else np.nan,
        "demographic_parity_difference": np.mean(spread),
        "demographic_parity_difference_worst": max(spread),
        "equalised_odds_difference": np.mean(odds) if odds else np.nan,
        "equalised_odds_difference_worst": max(odds, default=np.nan),
    }


@settings(deadline=None, max_examples=80)
@given(ROWS)
def test_figures_equal_those_by_hand(rows) -> None:
    label, pred, group = np.array(rows).T
    expected = _by_hand(label, pred, group)
    assert _figures(label, pred, group) == pytest.approx(expected, nan_ok=True)


def _table(n: int = 300, seed: int = 0, n_classes: int = 2):
    rng = np.random.default_rng(seed)
    label, group = rng.integers(0, n_classes, n), rng.integers(0, 3, n)
    return label, np.where(rng.random(n) < 0.6, label, rng.integers(0, n_classes, n)), group


def test_binary_differences_equal_fairlearn() -> None:
    label, pred, group = _table()
    found = _figures(label, pred, group, n_classes=2)
    parity_ = fair.demographic_parity_difference(label, pred, sensitive_features=group)
    odds = fair.equalized_odds_difference(label, pred, sensitive_features=group)
    for end in ("", "_worst"):  # of two classes, one against the rest is the same both ways
        assert found[f"demographic_parity_difference{end}"] == pytest.approx(parity_)
        assert found[f"equalised_odds_difference{end}"] == pytest.approx(odds)


def test_one_against_the_rest_equals_fairlearn_condition_by_condition() -> None:
    label, pred, group = _table(n_classes=4)
    found = _figures(label, pred, group, n_classes=4)
    each = [(label == c, pred == c) for c in range(4)]
    parity_ = [fair.demographic_parity_difference(*c, sensitive_features=group) for c in each]
    odds = [fair.equalized_odds_difference(*c, sensitive_features=group) for c in each]
    assert found["demographic_parity_difference"] == pytest.approx(np.mean(parity_))
    assert found["demographic_parity_difference_worst"] == pytest.approx(max(parity_))
    assert found["equalised_odds_difference"] == pytest.approx(np.mean(odds))
    assert found["equalised_odds_difference_worst"] == pytest.approx(max(odds))
    right = fair.MetricFrame(
        metrics=lambda y, p: (y == p).mean(), y_true=label, y_pred=pred, sensitive_features=group
    )
    assert found["pqd"] == pytest.approx(right.ratio())


def test_weighted_rows_count_as_repeats() -> None:
    label, pred, group = _table(40, n_classes=CLASSES)
    weights = np.random.default_rng(1).integers(0, 3, (5, 40))
    stack = group_stack(label, pred, group, (GROUPS, CLASSES), weights.astype(float))
    found = parity.parity_figures(stack, np.array([True, True, True, False]))
    for i, times in enumerate(weights):
        expected = _figures(*(np.repeat(values, times) for values in (label, pred, group)))
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected)


def test_a_resample_without_one_of_the_groups_has_no_figure() -> None:
    label, pred, group = _table(40, n_classes=CLASSES)
    weights = np.stack([np.ones(40), (group != 1).astype(float)])
    stack = group_stack(label, pred, group, (GROUPS, CLASSES), weights)
    for values in parity.parity_figures(stack, np.array([True, True, True, False])).values():
        assert np.isnan(values).tolist() == [False, True]


@pytest.mark.parametrize(("up_good", "worse"), [(True, 20), (False, 81)])
def test_the_share_of_deals_that_are_as_bad(up_good: bool, worse: int) -> None:
    chance = np.arange(100) / 100
    told = beside_chance(np.array(0.19), np.full(50, 0.2), chance, True, up_good=up_good)
    assert told["by_chance"]["share"] == pytest.approx((1 + worse) / 101, abs=1e-6)
    assert told["by_chance"]["median"] == pytest.approx(0.495)
    unsure = beside_chance(np.array(0.19), np.full(50, 0.2), chance, False, up_good=up_good)
    assert (unsure["low"], unsure["high"]) == (None, None)


@given(st.integers(0, 2**32 - 1), st.integers(0, 200), st.booleans())
def test_a_figure_is_unusual_where_it_lies_beyond_what_chance_gives(
    seed: int, rank: int, up_good: bool
) -> None:
    chance = np.random.default_rng(seed).integers(0, 200, 1000) / 200
    told = beside_chance(np.array(rank / 200), chance, chance, True, up_good=up_good)
    given_by_chance = told["by_chance"]
    worst = given_by_chance["low"] if up_good else given_by_chance["high"]
    beyond = told["value"] < worst if up_good else told["value"] > worst
    assert beyond == (given_by_chance["share"] <= UNUSUAL)


def test_all_predictions_equal_are_equal_treatment() -> None:
    label, _, group = _table(n_classes=CLASSES)
    found = _figures(label, np.zeros_like(label), group)
    assert [found["dpm"], found["eom"]] == [1, 1]
    assert all(found[name] == 0 for name in parity.DIFFERENCES)


def test_unknown_tones_do_not_count() -> None:
    label, pred, group = _table(n_classes=CLASSES)
    unknown = np.full(50, GROUPS - 1)
    wrong = np.zeros(50, int)
    with_unknown = _figures(*map(np.append, (label, pred, group), (wrong, wrong + 1, unknown)))
    assert with_unknown == _figures(label, pred, group)


def _deal(label, pred, group, times=200, seed=0):
    stack = group_stack(label, pred, group, (GROUPS, CLASSES))
    return parity.dealt(stack, compared_groups(stack), times, seed)


def test_dealing_keeps_each_groups_mix_of_conditions(monkeypatch) -> None:
    label, pred, group = _table(60, n_classes=CLASSES)
    group = np.where(np.arange(60) < 5, GROUPS - 1, group)
    seen = []

    def keep(stack, compared):
        seen.append(stack)
        return {"x": np.zeros(len(stack))}

    monkeypatch.setattr(parity, "parity_figures", keep)
    _deal(label, pred, group, times=300)
    stacks = np.concatenate(seen)
    observed = group_stack(label, pred, group, (GROUPS, CLASSES))[:-1]
    assert len(stacks) == 300
    assert (stacks.sum(axis=-1) == observed.sum(axis=-1)).all()  # labels in each group
    assert (stacks.sum(axis=-3) == observed.sum(axis=-3)).all()  # labels and answers in all
    assert (stacks != observed).any()


def test_a_deal_is_a_shuffle_within_each_condition() -> None:
    label, pred, group = _table(90, n_classes=CLASSES)
    dealt = _deal(label, pred, group, times=2000)
    rng, shuffled = np.random.default_rng(5), []
    order = np.argsort(label, kind="stable")
    for _ in range(1000):
        deal = np.argsort(label[order] + rng.random(90))
        shuffled.append(_figures(label[order], pred[order], group[order][deal]))
    for name, values in dealt.items():
        expected = [figures[name] for figures in shuffled]
        assert values.mean() == pytest.approx(np.mean(expected), abs=0.012), name
        assert values.std() == pytest.approx(np.std(expected), rel=0.12), name


def test_where_tones_do_not_matter_few_tables_are_beyond_chance() -> None:
    shares = []
    for seed in range(60):
        label, pred, group = _table(150, seed, CLASSES)
        chance, value = _deal(label, pred, group, 99, seed), _figures(label, pred, group)
        worse = (chance["equalised_odds_difference"] >= value["equalised_odds_difference"]).sum()
        shares.append((1 + worse) / 100)
    assert (np.array(shares) <= 0.05).mean() <= 0.12  # 5 in 100 expected
    assert 0.35 < np.mean(shares) < 0.65


def test_where_tones_matter_it_is_beyond_chance() -> None:
    label, pred, group = _table(600, 3, CLASSES)
    pred = np.where((group == 2) & (np.arange(600) % 2 == 0), (label + 1) % CLASSES, pred)
    chance, value = _deal(label, pred, group), _figures(label, pred, group)
    for name in (*parity.RATIOS, *parity.DIFFERENCES):
        if name in ("pqd", "eom"):
            assert value[name] < chance[name].min()
        elif name.startswith("equalised"):
            assert value[name] > chance[name].max()


def test_the_basic_interval_is_the_percentile_interval_turned_round_and_holds_the_figure() -> None:
    moved = np.random.default_rng(0).normal(0.4, 0.05, 20_000)
    low, high = basic_interval(np.array(0.5), moved)
    assert (low, high) == pytest.approx((0.6 - 1.96 * 0.05, 0.6 + 1.96 * 0.05), abs=0.003)
    assert basic_interval(np.array(0.68), moved)[1] == 1.0
    # Turned round it would be 0.0 to 0.198, which denies the figure.
    low, high = basic_interval(np.array(0.25), moved)
    assert (low, high) == (pytest.approx(0.002, abs=0.003), 0.25)
    assert np.isnan(basic_interval(np.array(1.0), np.full(100, 0.5))).all()


def test_the_basic_interval_of_a_gap_covers_it_where_the_percentile_interval_does_not() -> None:
    # Two conditions, three groups of 60; the third is recognised in 0.5 instead of 0.8.
    rng = np.random.default_rng(0)
    chance = np.array([0.8, 0.8, 0.5])
    hits = 0
    for seed in range(60):
        group = np.repeat([0, 1, 2], 60)
        label = rng.integers(0, 2, 180)
        pred = np.where(rng.random(180) < chance[group], label, 1 - label)

        def figures(weights, label=label, pred=pred, group=group):
            stack = group_stack(label, pred, group, (GROUPS, 2), weights)
            return parity.parity_figures(stack, np.array([True, True, True, False]))

        moved = Bootstrap(np.arange(180), 200, seed).figures(figures)["equalised_odds_difference"]
        value = figures(np.ones((1, 180)))["equalised_odds_difference"][0]
        low, high = basic_interval(value, moved)
        hits += bool(low <= 0.3 <= high)
    assert hits >= 50
