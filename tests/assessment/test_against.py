"""Two models: matched by id or refused, differences against plain loops, McNemar against scipy."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from ajl_tf.assessment.against import compare_models, differing_photos, mcnemar
from ajl_tf.assessment.pairing import paired
from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.printed import format_comparison
from ajl_tf.errors import UserError

CLASSES = ["a", "b", "c"]


def _model(n: int = 200, skill: float = 1.5, seed: int = 0) -> pd.DataFrame:
    photos, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    label = photos.integers(0, 3, n)
    logits = own.normal(size=(n, 3))
    logits[np.arange(n), label] += skill
    rows = pd.DataFrame(
        {
            "image_id": [f"x{i}" for i in range(n)],
            "label": np.array(CLASSES)[label],
            "skin_tone": photos.choice([1, 2, 3, 5, -1], n),
            "group_id": [f"g{i // 2}" for i in range(n)],
        }
    )
    odds = np.exp(logits)
    return make_predictions(rows, CLASSES, odds / odds.sum(axis=1, keepdims=True))


def _bare(table: pd.DataFrame) -> pd.DataFrame:
    return table[["image_id", "predicted"]]


def test_figures_are_those_of_each_model_and_their_difference() -> None:
    first, second = _model(skill=2.0), _model(skill=1.0, seed=1)
    shuffled = second.sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled = shuffled[["prob_c", "image_id", "prob_a", "predicted", "prob_b"]]
    found = compare_models(paired(first, shuffled, "other"), resamples=100)
    for name, score in [
        ("accuracy", sk.accuracy_score),
        ("weighted_f1", lambda y, p: sk.f1_score(y, p, average="weighted")),
        ("mcc", sk.matthews_corrcoef),
    ]:
        expected = [score(table["label"], table["predicted"]) for table in (first, second)]
        told = found["overall"]
        assert told["first"][name] == pytest.approx(expected[0], abs=1e-6)
        assert told["second"][name] == pytest.approx(expected[1], abs=1e-6)
        assert told["difference"][name]["value"] == pytest.approx(
            expected[0] - expected[1], abs=1e-6
        )
    assert found["overall"]["difference"]["log_loss"]["value"] < 0
    assert "better, is the first" in found["overall"]["difference"]["log_loss"]["conclusion"]
    band = next(band for band in found["by_band"] if band["group"] == "1-2")
    mask = first["skin_tone"].isin([1, 2])
    assert band["n"] == mask.sum()
    right = [(table["label"] == table["predicted"])[mask] for table in (first, second)]
    assert band["difference"]["accuracy"]["value"] == pytest.approx(
        right[0].mean() - right[1].mean(), abs=1e-6
    )
    assert band["mcnemar"]["only_first"] == (right[0] & ~right[1]).sum()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = format_comparison(found)
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())
    assert "tone band 5-6" in text


def test_a_model_against_itself_does_not_differ() -> None:
    table = _model()
    pair = paired(table, table, "itself")
    found = compare_models(pair, resamples=50)
    for name, figure in found["overall"]["difference"].items():
        assert (figure["value"], figure["low"], figure["high"]) == (0, 0, 0), name
        assert "cannot tell" in figure["conclusion"]
    assert found["overall"]["mcnemar"]["mid_p"] == 1
    assert differing_photos(pair).empty


def test_resamples_hold_the_same_photos_for_both() -> None:
    # Both models are right on the same hard photos: unpaired intervals would be several times wider
    first = _model(400)
    second = first.copy()
    wrong = np.flatnonzero(first["label"] == first["predicted"])[:8]
    second = second[["image_id", "predicted"]]
    second.loc[wrong, "predicted"] = first["label"].map({"a": "b", "b": "c", "c": "a"})
    found = compare_models(paired(first, second, "o"), resamples=400)
    figure = found["overall"]["difference"]["accuracy"]
    assert figure["value"] == pytest.approx(8 / 400)
    error = np.sqrt(8) / 400  # of a sum of eight rare events
    assert figure["high"] - figure["low"] == pytest.approx(2 * 1.96 * error, rel=0.4)
    assert "higher is the first" in figure["conclusion"]
    assert any("labels alone are compared" in note for note in found["notes"])


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_the_binomial_test(only_first: int, only_second: int) -> None:
    first = np.repeat([True, False, True, False], [only_first, only_second, 3, 4])
    second = np.repeat([False, True, True, False], [only_first, only_second, 3, 4])
    found = mcnemar(first, second)
    n = only_first + only_second
    exact = stats.binomtest(only_first, n, 0.5).pvalue if n else 1.0
    assert found["exact"] == pytest.approx(exact, abs=1e-6)
    fewer = min(only_first, only_second)
    half = stats.binom.cdf(fewer, n, 0.5) - stats.binom.pmf(fewer, n, 0.5) / 2
    assert found["mid_p"] == pytest.approx(min(1.0, 2 * half), abs=1e-6)
    assert (found["both"], found["neither"]) == (3, 4)


def test_mcnemar_of_many_photos() -> None:
    first = np.arange(100_000) % 2 == 0
    assert mcnemar(first, ~first)["exact"] == 1
    second = ~first
    second[1:2001:2] = False  # 50,000 against 49,000
    assert mcnemar(first, second)["exact"] == pytest.approx(
        stats.binomtest(49_000, 99_000, 0.5).pvalue, abs=1e-6
    )


def test_the_photos_on_which_they_differ() -> None:
    first, second = _model(), _model(seed=2)
    turned = second[["image_id", "predicted", "prob_c", "prob_b", "prob_a"]][::-1]
    found = differing_photos(paired(first, turned.reset_index(drop=True), "other"))
    mask = (first["predicted"] != second["predicted"]).to_numpy()
    assert found["image_id"].tolist() == first["image_id"][mask].tolist()
    assert found["first"].tolist() == first["predicted"][mask].tolist()
    assert found["second"].tolist() == second["predicted"][mask].tolist()
    right = first["label"] == first["predicted"]
    assert (found["right"] == "first").sum() == (right & mask).sum()
    assert set(found["right"]) == {"first", "second", "neither"}
    row = found.iloc[0]
    source = first.set_index("image_id").loc[row["image_id"]]
    assert row["first_probability"] == pytest.approx(source[f"prob_{row['label']}"], abs=1e-6)
    assert row["skin_tone"] == source["skin_tone"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t[5:], r"only in the first: x0, x1, x2 … \(5 rows\)"),
        (lambda t: t.replace({"image_id": {"x3": "y3"}}), r"(?s)x3 \(1 row\).*other: y3 \(1 row\)"),
        (lambda t: t.assign(label=t["label"].iloc[::-1].to_numpy()), "different labels"),
        (lambda t: t.rename(columns={"prob_a": "prob_d"}), "different conditions: a, d"),
    ],
)
def test_what_cannot_be_matched_is_refused(change, expected: str) -> None:
    table = _model()
    with pytest.raises(UserError, match=expected):
        paired(table, change(table).reset_index(drop=True), "other")


def test_of_each_model_the_held_out_rows_are_matched() -> None:
    table = _model()
    split = np.resize(["train", "test"], 200)
    pair = paired(table.assign(split=split), table[split == "test"].reset_index(drop=True), "o")
    assert len(pair.first.label_idx) == 100
    swapped = paired(table[split == "test"].reset_index(drop=True), table.assign(split=split), "o")
    assert len(swapped.second.label_idx) == 100


def test_without_probabilities_the_classes_of_either_count() -> None:
    first, second = _bare(_model()), _bare(_model(seed=3))
    first = first.assign(label=_model()["label"])
    second = second.assign(predicted=second["predicted"].replace("c", "d"))
    found = compare_models(paired(first, second, "other"), resamples=20)
    expected = (second["predicted"] == first["label"]).mean()
    assert found["overall"]["second"]["accuracy"] == pytest.approx(expected, abs=1e-6)
    assert "log_loss" not in found["overall"]["difference"]


def test_rows_without_a_label_are_left_out_of_both() -> None:
    table = _model()
    table.loc[[3, 7], "label"] = None
    pair = paired(table, table.copy(), "other")
    assert len(pair.first.label_idx) == len(pair.second.label_idx) == 198
    assert any("2 rows without a label" in note for note in pair.notes)
    assert len(paired(table, _bare(table), "other").second.label_idx) == 198
    with pytest.raises(UserError, match=r"only in other: x3 \(1 row\)"):
        paired(_model().drop(index=3).reset_index(drop=True), _model(), "other")
