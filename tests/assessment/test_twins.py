"""Twins in training: who has one, against a double loop; the scores, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from ajl_tf.assessment.checks import checked
from ajl_tf.assessment.report import format_table, make_report
from ajl_tf.assessment.twins import with_twin

SPLITS = ("train", "validation", "test")


def table(**columns: object) -> pd.DataFrame:
    """Predictions of x0, x1, …, half of them right."""
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]  # every column is a list
    rows = {
        "image_id": [f"x{i}" for i in range(n)],
        "label": ["ab"[i % 2] for i in range(n)],
        "predicted": ["ab"[i // 2 % 2] for i in range(n)],
    }
    return checked(pd.DataFrame({**rows, **columns}), "a table")


GROUP = st.one_of(st.none(), st.sampled_from(["g0", "g1", "g2", "g3", "g4"]))


@settings(max_examples=50)
@given(st.lists(st.tuples(GROUP, st.integers(0, 2), st.booleans()), min_size=1, max_size=16))
def test_out_of_fold_a_twin_is_a_photo_of_the_group_in_another_fold(
    rows: list[tuple[str | None, int, bool]],
) -> None:
    predictions = table(group_id=[row[0] for row in rows], fold=[row[1] for row in rows])
    reasons = ["blurred" if row[2] else None for row in rows]
    photos = predictions[["image_id"]].assign(drop_reason=reasons)
    expected = {
        f"x{i}"
        for i, (group, fold, _) in enumerate(rows)
        for other, other_fold, dropped in rows
        if group is not None and group == other and fold != other_fold and not dropped
    }
    found = with_twin(predictions, photos)
    if isinstance(found, str):  # every reason to say nothing is a table that can tell nothing
        assert not expected
    else:
        assert found == expected


@settings(max_examples=50)
@given(
    st.lists(st.tuples(GROUP, st.sampled_from(SPLITS), st.booleans()), min_size=1, max_size=16),
    st.booleans(),
)
def test_of_a_holdout_a_twin_is_a_photo_of_the_group_that_trained(
    rows: list[tuple[str | None, str, bool]], predicted_all: bool
) -> None:
    manifest = pd.DataFrame(rows, columns=["group_id", "split", "dropped"])
    manifest.insert(0, "image_id", [f"x{i}" for i in range(len(rows))])
    manifest["drop_reason"] = pd.Series("dark", manifest.index).where(manifest["dropped"])
    predictions = table(group_id=[row[0] for row in rows], split=[row[1] for row in rows])
    if not predicted_all:  # as this package writes them: no training rows
        predictions = predictions[predictions["split"] != "train"].reset_index(drop=True)
    expected = {
        f"x{i}"
        for i, (group, split, _) in enumerate(rows)
        for other, other_split, dropped in rows
        if group is not None and group == other
        if split != "train" and other_split == "train" and not dropped
    }
    found = with_twin(predictions, manifest)
    if isinstance(found, str):
        assert not expected
    else:
        assert found == expected


def test_the_last_group_id_counts_and_the_first_fold() -> None:
    predictions = table(group_id=["g0", "g1", "g2"], fold=[0, 1, 0])
    assert with_twin(predictions) == set()
    own = pd.DataFrame({"image_id": ["x0", "x1", "x2"], "fold": ["0", "1", "0"]})
    near = pd.DataFrame(
        {"image_id": ["x0", "x1", "x2"], "group_id": ["x0", "x0", "x0"], "fold": ["1.0"] * 3}
    )
    assert with_twin(predictions, near) == {"x0", "x1", "x2"}
    assert with_twin(predictions, pd.concat([own, near])) == {"x0", "x1", "x2"}
    assert with_twin(predictions, pd.concat([near, own])) == {"x0", "x1", "x2"}


def test_photos_of_folds_that_were_not_predicted_count_as_training() -> None:
    predictions = table(group_id=["g0", "g1"], fold=[0, 0])
    told = with_twin(predictions)
    assert isinstance(told, str)
    assert told.startswith("the photos of the other folds are unknown")
    photos = pd.DataFrame({"image_id": ["y0"], "group_id": ["g1"], "fold": [1]})
    assert with_twin(predictions, photos) == {"x1", "y0"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"fold": [0, 1]}, "the group ids are unknown"),
        ({"fold": [0, 1], "group_id": [None, None]}, "the group ids are unknown"),
        ({"group_id": ["g0", "g0"]}, "nothing says which photos were trained on"),
        ({"group_id": ["g0", "g0"], "split": ["test", "test"]}, "the training photos are unknown"),
    ],
)
def test_where_it_cannot_be_told_the_report_says_why(columns: dict[str, object], said: str) -> None:
    report = make_report(table(**columns), resamples=5)
    assert report["twins"]["n"] is None
    assert said in report["twins"]["sentence"]
    assert "cannot be told" in format_table(report)


def many(twins: int, others: int, seed: int = 0) -> pd.DataFrame:
    """Two folds: `twins` pairs of photos divided between them, mostly right; `others`, less so."""
    rng = np.random.default_rng(seed)
    n = 2 * twins + others
    label = rng.integers(0, 3, n)
    right = rng.random(n) < np.where(np.arange(n) < 2 * twins, 0.95, 0.4)
    predicted = np.where(right, label, (label + 1) % 3)
    return table(
        label=np.array(list("abc"))[label],
        predicted=np.array(list("abc"))[predicted],
        fold=np.arange(n) % 2,
        group_id=[f"g{i // 2}" if i < 2 * twins else f"h{i}" for i in range(n)],
    )


@settings(max_examples=10)
@given(st.integers(0, 40), st.integers(0, 60), st.integers(0, 99))
def test_the_scores_are_scikit_learns_on_the_rows_with_and_without(
    twins: int, others: int, seed: int
) -> None:
    assume(2 * twins + others > 1)  # both folds have a photo
    predictions = many(twins, others, seed)
    twin = np.arange(len(predictions)) < 2 * twins
    report = make_report(predictions, resamples=20)
    told = report["twins"]
    assert told["n"] == 2 * twins
    for name, rows in (("all", twin | True), ("only", twin), ("without", ~twin)):
        if rows.any():
            expected = f1_score(
                predictions["label"][rows], predictions["predicted"][rows], average="weighted"
            )
            assert told[name]["value"] == pytest.approx(expected, abs=1e-6)
        else:
            assert told[name] == {"value": None, "low": None, "high": None}
    assert told["all"] == report["overall"]["weighted_f1"]
    if others and twins:
        difference = told["all"]["value"] - told["without"]["value"]
        assert told["difference"]["value"] == pytest.approx(difference, abs=2e-6)
    assert (told["only"]["low"] is not None) == (twins >= 10)  # clusters


def test_twins_that_flatter_the_score_are_called_so() -> None:
    report = make_report(many(60, 200), resamples=200)
    told = report["twins"]
    assert told["n"] == 120
    assert 0 < told["difference"]["low"] <= told["difference"]["value"]
    assert "120 of the 320 photos have a twin in training" in told["sentence"]
    assert "With them the score is higher, by" in told["sentence"]
    assert "twins: 120 of the 320 photos" in format_table(report)


def test_few_twins_and_none_are_told_without_a_claim() -> None:
    few = make_report(many(2, 200), resamples=50)["twins"]
    assert few["difference"]["low"] is None
    assert few["sentence"].endswith("They are too few (or all) to say what they do to the score.")
    none = make_report(many(0, 200), resamples=50)["twins"]
    assert none["n"] == 0
    assert none["sentence"] == (
        "None of the 200 photos has a twin in training, as far as group_id tells."
    )


def test_interval_of_the_difference_is_that_of_paired_resamples() -> None:
    """Against a bootstrap written out: clusters drawn, rows repeated, both scores on each."""
    predictions = many(30, 60)
    told = make_report(predictions, resamples=300)["twins"]["difference"]
    rng = np.random.default_rng(7)
    rows = predictions.groupby("group_id", sort=False).indices
    clusters = list(rows)
    twin = np.arange(len(predictions)) < 60
    differences = []
    for _ in range(150):
        drawn = np.concatenate([rows[clusters[i]] for i in rng.integers(len(rows), size=len(rows))])
        label, answer = (predictions[name].to_numpy()[drawn] for name in ("label", "predicted"))
        bare = ~twin[drawn]
        differences.append(
            f1_score(label, answer, average="weighted")
            - f1_score(label[bare], answer[bare], average="weighted")
        )
    low, high = np.quantile(differences, [0.025, 0.975])
    assert told["low"] == pytest.approx(low, abs=0.025)
    assert told["high"] == pytest.approx(high, abs=0.025)
