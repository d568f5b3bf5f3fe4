"""Held-out fitting, risk and coverage, prediction sets: by plain loops, and what they promise."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.assessment.conformal import aps_scores, lac_scores, prediction_sets, reach
from ajl_tf.assessment.held_out import Parts, parts_of
from ajl_tf.assessment.report import format_table, make_report
from ajl_tf.assessment.scored import scored
from ajl_tf.assessment.selective import COVERAGES, threshold_at_risk, thresholds
from ajl_tf.assessment.sure import fit
from ajl_tf.assessment.temperature import fit_temperature, logits_of

CLASSES = ["a", "b", "c", "d"]


def _table(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 4))
    chances = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    label = (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=3)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "image_id": [str(i) for i in range(n)],
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[probabilities.argmax(axis=1)],
            "skin_tone": rng.choice([1, 3, 5, -1], n),
            "fold": np.arange(n) % 3,
            "group_id": [f"g{i % 100}" for i in range(n)],
            **{f"prob_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)},
        }
    )


def test_parts_are_the_folds_or_fifths_of_whole_clusters() -> None:
    table = _table()
    folds = parts_of(scored(table), 0)
    assert np.array_equal(folds.index, table["fold"])
    fifths = parts_of(scored(table.drop(columns="fold")), 0)
    assert np.bincount(fifths.index).tolist() == [60] * 5
    assert (pd.Series(fifths.index).groupby(table["group_id"]).nunique() == 1).all()
    assert parts_of(scored(table[:49]), 0) is None
    for others, use in folds.pairs():
        assert np.array_equal(others, ~use)


def test_nothing_is_fitted_on_the_rows_it_is_used_on() -> None:
    table = _table()
    rows, spoilt = scored(table), table.copy()
    held = spoilt["fold"] == 1
    spoilt.loc[held, "label"] = "a"
    parts = parts_of(rows, 0)
    before, after = fit(rows, 0).temperatures, fit(scored(spoilt), 0).temperatures
    assert np.array_equal(before[held], after[held])
    assert (before[~held] != after[~held]).all()
    expected = fit_temperature(logits_of(rows.probabilities[~held]), rows.label_idx[~held])
    assert before[held] == pytest.approx(expected)
    scores = lac_scores(rows.probabilities)
    group = np.zeros(300, int)
    sets = prediction_sets(scores, rows.label_idx, parts, group)
    others = prediction_sets(scores, scored(spoilt).label_idx, parts, group)
    assert np.array_equal(sets[held], others[held])
    assert not np.array_equal(sets[~held], others[~held])


ANSWERS = st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.5, 0.8, 1.0]), st.booleans()), min_size=1)


@given(ANSWERS, st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_the_threshold_answers_most_photos_at_the_risk(answers, risk: float) -> None:
    confidence, right = (np.array(values) for values in zip(*answers, strict=True))
    found = threshold_at_risk(confidence, right, risk)
    fine = [
        edge
        for edge in np.unique(confidence)
        if (~right[confidence >= edge]).mean() <= risk + 1e-12
    ]
    assert found == min(fine, default=np.inf)


@given(st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.8, 1.0]), min_size=1))
def test_each_coverage_has_the_highest_threshold_that_reaches_it(values) -> None:
    confidence = np.array(values)
    for target, edge in zip(COVERAGES, thresholds(confidence), strict=True):
        assert (confidence >= edge).mean() >= target - 1e-9
        assert (confidence > edge).mean() < target


def test_reach_is_an_order_statistic_and_infinite_where_rows_are_too_few() -> None:
    scores = np.random.default_rng(0).random(99)
    assert reach(scores, 0.9) == np.sort(scores)[89]  # the 90th of 99
    assert reach(scores[:9], 0.9) == scores[:9].max()
    assert reach(scores[:8], 0.9) == np.inf
    assert reach(np.zeros(0), 0.9) == np.inf


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.2, 0.4]])
    assert lac_scores(probabilities)[0] == pytest.approx([0.5, 0.7, 0.8])
    assert aps_scores(probabilities)[0] == pytest.approx([0.25, 0.65, 0.9])
    assert aps_scores(probabilities)[1] == pytest.approx([0.4, 0.9, 0.4])  # ties share


@pytest.mark.parametrize("score", [lac_scores, aps_scores])
def test_sets_hold_the_label_as_often_as_promised_in_every_group(score) -> None:
    covered = {"marginal": [], "by_band": []}
    for seed in range(15):
        rng = np.random.default_rng(seed)
        group = rng.integers(0, 2, 600)
        logits = rng.normal(0, 1, (600, 4))
        sharp = np.where(group == 1, 0.0, 3.0)[:, None]  # of group 1 nothing can be known
        chances = np.exp(sharp * logits) / np.exp(sharp * logits).sum(axis=1, keepdims=True)
        label = (rng.random((600, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=3)
        said = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
        parts = Parts(rng.integers(0, 5, 600), "")
        for name, within in (("marginal", np.zeros(600, int)), ("by_band", group)):
            sets = prediction_sets(score(said), label, parts, within)
            held = sets[np.arange(600), label]
            covered[name].append([held[group == 0].mean(), held[group == 1].mean(), held.mean()])
    marginal, by_band = (np.mean(covered[name], axis=0) for name in covered)
    assert marginal[2] == pytest.approx(0.9, abs=0.015)
    assert marginal[1] < 0.87
    assert by_band == pytest.approx([0.9, 0.9, 0.9], abs=0.015)


def test_the_surest_condition_is_always_in_the_set() -> None:
    said = np.tile([0.9, 0.05, 0.05], (100, 1))
    label = np.zeros(100, int)
    said[:50] = [0.5, 0.3, 0.2]  # the other part is surer, so that half a probability is too much
    sets = prediction_sets(lac_scores(said), label, Parts(np.arange(100) // 50, ""), label)
    assert sets[:, 0].all()


def test_the_report_tells_how_sure_by_band() -> None:
    table = _table()
    report = make_report(table, resamples=60)
    sure = report["sure"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert sure["fitted_on"] == "the rows of the other folds"
    assert sure["temperature"]["all"] == pytest.approx(2, rel=0.3)
    assert len(sure["temperature"]["used"]) == 3
    before, after = (part["calibration"]["groups"][0] for part in (sure, sure["temperature"]))
    assert after["log_loss"]["value"] < before["log_loss"]["value"]
    assert after["ece"]["value"] < before["ece"]["value"]
    assert report["overall"]["log_loss"]["value"] == before["log_loss"]["value"]

    confidence = table[[f"prob_{name}" for name in CLASSES]].max(axis=1)
    right = table["label"] == table["predicted"]
    there = table["skin_tone"] == 5
    band = next(entry for entry in sure["risk_coverage"] if entry["group"] == "5-6")
    half = band["points"][9]
    surest = right[there].loc[confidence[there].sort_values(ascending=False).index]
    n = int(np.ceil(there.sum() / 2))
    assert half["coverage"] == pytest.approx(n / there.sum(), abs=1e-6)
    assert half["risk"]["value"] == pytest.approx(1 - surest[:n].mean(), abs=1e-6)
    assert band["points"][-1]["coverage"] == 1
    assert band["points"][-1]["risk"]["value"] == pytest.approx(1 - surest.mean(), abs=1e-6)

    aim = sure["at_risk"][1]
    answered = pd.Series(False, index=table.index)
    for fold in range(3):
        others, use = table["fold"] != fold, table["fold"] == fold
        edge = threshold_at_risk(
            confidence[others].to_numpy(np.float64), right[others].to_numpy(), aim["target"]
        )
        answered |= use & (confidence >= edge)
    told = {entry["group"]: entry for entry in aim["groups"]}
    assert told["5-6"]["coverage"]["value"] == pytest.approx(answered[there].mean(), abs=1e-6)
    assert told["5-6"]["risk"]["value"] == pytest.approx(
        1 - right[there & answered].mean(), abs=1e-6
    )
    for method in ("lac", "aps"):
        for calibrated in ("marginal", "by_band"):
            groups = sure["conformal"][method][calibrated]["groups"]
            assert groups[0]["group"] == "overall"
            assert groups[0]["set_coverage"]["value"] == pytest.approx(0.9, abs=0.06)
            assert 1 <= groups[0]["set_size"]["value"] <= 4
    bands = {name: entry["coverage"]["value"] for name, entry in told.items()}
    known = {name: value for name, value in bands.items() if name not in ("overall", "unknown")}
    compared = aim["compared"]["coverage"]
    assert compared["between"] == [max(known, key=known.get), min(known, key=known.get)]
    assert compared["difference"]["value"] == pytest.approx(
        max(known.values()) - min(known.values()), abs=2e-6
    )
    assert "cannot tell the groups apart" in compared["conclusion"]
    text = format_table(report)
    assert "how sure" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_few_photos_or_no_probabilities() -> None:
    few = make_report(_table(30), resamples=10)["sure"]
    assert few["conformal"] is None
    assert few["calibration"]["groups"][0]["n"] == 30
    bare = _table()[["image_id", "label", "predicted", "fold"]]
    assert make_report(bare, resamples=10)["sure"] is None


def test_perfect_and_hopeless_models() -> None:
    table = _table()
    perfect = table.assign(label=table["predicted"])
    sure = make_report(perfect, resamples=10)["sure"]
    assert sure["at_risk"][0]["groups"][0]["coverage"]["value"] > 0.98  # less sure than all others
    wrong = table["predicted"].map(dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)))
    sure = make_report(table.assign(label=wrong), resamples=10)["sure"]
    nobody = sure["at_risk"][0]["groups"][0]
    assert (nobody["coverage"]["value"], nobody["risk"]["value"]) == (0, None)
