"""The whole report: figures by hand, what an empty or tiny group gives, and what the words say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ajl_tf.assessment.predictions import make_predictions, read_predictions, write_predictions
from ajl_tf.assessment.report import format_table, make_report
from ajl_tf.errors import UserError

CLASSES = ["a", "b", "c", "never"]


def _predictions(n: int = 300, seed: int = 0, tones: tuple[int, ...] = (1, 2, 3, 4, 5, 6, -1)):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 4))
    logits[np.arange(n), label] += 1.5
    rows = pd.DataFrame(
        {
            "image_id": [f"x{i}" for i in range(n)],
            "label": np.array(CLASSES)[label],
            "skin_tone": rng.choice(tones, n),
            "group_id": [f"g{i // 2}" for i in range(n)],
        }
    )
    odds = np.exp(logits)
    return make_predictions(rows, CLASSES, odds / odds.sum(axis=1, keepdims=True))


def _group(report, by: str, name: str) -> dict:
    return next(group for group in report[by]["groups"] if group["group"] == name)


def test_figures_equal_scikit_learn() -> None:
    table = _predictions()
    report = make_report(table, resamples=50)
    y, p = table["label"], table["predicted"]
    probabilities = table[[f"prob_{name}" for name in CLASSES]].to_numpy(np.float64)
    index = pd.Index(CLASSES).get_indexer(pd.Index(y))
    overall = {name: figure["value"] for name, figure in report["overall"].items()}
    recalls = [(p[y == c] == c).mean() for c in "abc"]
    rank = (probabilities > probabilities[np.arange(300), index][:, None]).sum(axis=1)
    expected = {
        "weighted_f1": sk.f1_score(y, p, average="weighted", zero_division=0),
        "macro_f1": sk.f1_score(y, p, average="macro", zero_division=0),
        "accuracy": (y == p).mean(),
        "balanced_accuracy": np.mean(recalls),
        "mcc": sk.matthews_corrcoef(y, p),
        "top_3_accuracy": (rank < 3).mean(),
        "log_loss": -np.log(probabilities[np.arange(300), index]).mean(),
    }
    assert overall == pytest.approx(expected, abs=1e-6)
    assert report["n"] == 300
    assert report["interval"]["clusters"] == 150

    per_class = {row["label"]: row for row in report["per_class"]}
    assert per_class["b"]["recall"] == pytest.approx(recalls[1], abs=1e-6)
    assert per_class["b"]["precision"] == pytest.approx((y[p == "b"] == "b").mean(), abs=1e-6)
    assert per_class["never"]["n"] == 0
    assert per_class["never"]["n_predicted"] == (p == "never").sum() > 0
    assert per_class["never"]["recall"] is None

    mask = table["skin_tone"].isin([5, 6])
    band = _group(report, "by_band", "5-6")
    assert band["n"] == mask.sum()
    assert band["clusters"] == table["group_id"][mask].nunique()
    assert band["accuracy"]["value"] == pytest.approx((y == p)[mask].mean(), abs=1e-6)
    assert report["by_band"]["shared_conditions"] == ["a", "b", "c"]


def test_groups_hold_every_row_once() -> None:
    report = make_report(_predictions(), resamples=10)
    for by in ("by_tone", "by_band"):
        assert sum(group["n"] for group in report[by]["groups"]) == 300


def test_intervals_hold_the_figure_and_repeat_with_the_seed() -> None:
    table = _predictions()
    report = make_report(table, resamples=200)
    assert report == make_report(table, resamples=200)
    assert report != make_report(table, resamples=200, seed=1)
    figures = list(report["overall"].values()) + [
        group[name]
        for by in ("by_tone", "by_band")
        for group in report[by]["groups"]
        for name in ("accuracy", "weighted_f1", "balanced_accuracy", "standardised_recall")
    ]
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in figures)


def test_an_empty_group_is_null_and_does_not_empty_the_comparison() -> None:
    report = make_report(_predictions(tones=(1, 2, 3, 4, -1)), resamples=50)
    empty = _group(report, "by_band", "5-6")
    assert empty["n"] == 0
    for name in ("accuracy", "weighted_f1", "balanced_accuracy", "standardised_recall"):
        assert empty[name] == {"value": None, "low": None, "high": None}
    assert len(report["by_band"]["shared_conditions"]) == 3
    assert set(report["by_band"]["compared"]["accuracy"]["between"]) == {"1-2", "3-4"}
    assert "NaN" not in json.dumps(report, allow_nan=False)


def test_a_group_of_one_has_a_value_but_no_interval_and_decides_nothing() -> None:
    table = _predictions(tones=(1, 2, 3, 4))
    wrong = int(np.flatnonzero(table["label"] != table["predicted"])[0])
    table.loc[wrong, "skin_tone"] = 6
    report = make_report(table, resamples=100)
    one = _group(report, "by_band", "5-6")
    assert one["n"] == 1
    assert one["accuracy"] == {"value": 0.0, "low": None, "high": None}
    compared = report["by_band"]["compared"]["accuracy"]
    assert compared["group_min"] == {"group": "5-6", "value": 0.0}
    assert compared["difference"]["low"] is None
    assert "nothing can be said" in compared["conclusion"]
    assert len(report["by_band"]["shared_conditions"]) == 1


def test_few_clusters_have_values_but_no_interval() -> None:
    table = _predictions(tones=(1, 2))
    table.loc[:8, "skin_tone"] = 3  # rows 0 to 8: clusters g0 to g4
    few = _group(make_report(table, resamples=50), "by_band", "3-4")
    assert (few["n"], few["clusters"]) == (9, 5)
    assert few["accuracy"]["value"] is not None
    assert few["accuracy"]["low"] is None
    whole = make_report(table[:18], resamples=50)
    assert all(figure["low"] is None for figure in whole["overall"].values())


def test_a_row_without_group_id_is_a_cluster_of_its_own() -> None:
    table = _predictions()
    table["group_id"] = table["group_id"].where(table.index < 100)
    assert make_report(table, resamples=5)["interval"]["clusters"] == 50 + 200


def test_without_tones_all_are_unknown_and_nothing_is_compared() -> None:
    report = make_report(_predictions().drop(columns="skin_tone"), resamples=50)
    assert _group(report, "by_tone", "unknown")["n"] == 300
    compared = report["by_band"]["compared"]["weighted_f1"]
    assert compared["group_min"] == {"group": None, "value": None}
    assert "nothing to compare" in compared["conclusion"]
    assert any("No skin_tone column" in note for note in report["notes"])


def test_all_predictions_equal() -> None:
    table = _predictions()[["image_id", "label", "skin_tone"]].assign(predicted="a")
    report = make_report(table, resamples=50)
    assert report["overall"]["balanced_accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    compared = report["by_band"]["compared"]["standardised_recall"]
    assert compared["difference"]["value"] == 0
    assert compared["ratio"] == 1
    assert "nothing can be said" in compared["conclusion"]


@pytest.mark.parametrize(("gap", "words"), [(0.0, "includes 0"), (0.4, "lower on 5-6 than on")])
def test_the_words_follow_the_interval_of_the_difference(gap: float, words: str) -> None:
    rng = np.random.default_rng(0)
    tone = np.repeat([1, 4, 6], 200)
    label = rng.integers(0, 3, 600)
    right = rng.random(600) < np.where(tone == 6, 0.8 - gap, 0.8)
    table = pd.DataFrame(
        {
            "image_id": [str(i) for i in range(600)],
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[np.where(right, label, (label + 1) % 3)],
            "skin_tone": tone,
        }
    )
    report = make_report(table, resamples=300)
    compared = report["by_band"]["compared"]["standardised_recall"]
    assert words in compared["conclusion"]
    assert (compared["difference"]["low"] > 0) == (gap > 0)
    assert words in " ".join(format_table(report).split())


def test_scores_the_rows_that_were_held_out() -> None:
    table = _predictions()
    split = np.resize(["train", "validation", "test"], 300)
    by_split = make_report(table.assign(split=split), resamples=5)
    assert (by_split["rows"], by_split["n"]) == ("split test", 100)
    assert any("200 rows" in note for note in by_split["notes"])
    only_test = make_report(table[split == "test"], resamples=5)
    assert by_split["overall"] == only_test["overall"]
    without_test = make_report(
        table.assign(split=np.where(split == "test", "train", split)), resamples=5
    )
    assert (without_test["rows"], without_test["n"]) == ("split validation", 100)
    folds = make_report(table.assign(fold=np.resize([0, 1, 2], 300)), resamples=5)
    assert (folds["rows"], folds["n"]) == ("out of fold, 3 folds", 300)


def test_refuses_training_rows_and_rows_without_labels() -> None:
    with pytest.raises(UserError, match="say nothing about new photos"):
        make_report(_predictions().assign(split="train"))
    with pytest.raises(UserError, match="none of the 300 predictions has a label"):
        make_report(_predictions().drop(columns="label"))


def test_says_what_is_left_out_or_looks_misspelt() -> None:
    table = _predictions()[["image_id", "label", "predicted"]]
    table["label"] = table["label"].where(table.index >= 10)
    notes = make_report(table.replace({"predicted": {"c": "d"}}), resamples=5)["notes"]
    assert "10 rows without a label are not scored." in notes
    assert any("Predicted but never a label" in note and "d" in note for note in notes)
    with pytest.raises(UserError, match=r"(?s)spell conditions differently.*'C ' for 'c'"):
        make_report(table.replace({"predicted": {"c": "C "}}), resamples=5)
    with pytest.raises(UserError, match="no predicted condition is ever a label"):
        make_report(table.assign(predicted="x"), resamples=5)


def test_a_file_scores_as_the_array_it_came_from(tmp_path: Path) -> None:
    table = _predictions()
    write_predictions(tmp_path / "predictions.csv", table)
    read = read_predictions(tmp_path / "predictions.csv")
    assert make_report(read, resamples=20) == make_report(table, resamples=20)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CLASSES),
            st.sampled_from(CLASSES),
            st.sampled_from([1, 2, 3, 4, 5, 6, -1]),
            st.sampled_from(["g", "h", None]),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_any_table_gives_json_and_a_table_of_100_columns(rows) -> None:
    table = pd.DataFrame(rows, columns=["label", "predicted", "skin_tone", "group_id"])
    table["image_id"] = [str(i) for i in range(len(table))]
    report = make_report(table, resamples=20)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    text = format_table(report)
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())
    assert text.endswith("\nResearch software: no diagnosis.")


def test_the_table_names_every_group_with_n_and_interval() -> None:
    report = make_report(_predictions(), resamples=50)
    lines = format_table(report).splitlines()
    for by in ("by_tone", "by_band"):
        for group in report[by]["groups"]:
            f1 = group["weighted_f1"]
            cell = f"{f1['value']:.3f} [{f1['low']:.3f}, {f1['high']:.3f}]"
            assert any(
                line.split()[:2] == [group["group"], str(group["n"])] and cell in line
                for line in lines
            )


def test_real_labels_and_tones_of_the_competition(real_set: Path) -> None:
    rows = pd.read_csv(real_set / "train.csv")
    table = pd.DataFrame(
        {
            "image_id": rows["md5hash"],
            "label": rows["label"],
            "predicted": rows["label"],
            "skin_tone": rows["fitzpatrick_scale"],
        }
    )
    report = make_report(table, resamples=20)
    assert [group["n"] for group in report["by_tone"]["groups"]] == [
        528,
        964,
        562,
        393,
        216,
        89,
        108,
    ]
    assert report["overall"]["weighted_f1"]["value"] == 1
    assert "dermatofibroma" not in report["by_band"]["shared_conditions"]


TREE = pd.DataFrame(
    {
        "label": ["a", "b", "c", "never"],
        "nine_partition_label": ["one", "two", "two", "three"],
        "three_partition_label": ["malignant", "benign", "benign", "malignant"],
    }
)


def test_scores_up_the_tree_equal_scikit_learn() -> None:
    table = _predictions()
    report = make_report(table, TREE, resamples=30)
    up = dict(zip(TREE["label"], TREE["three_partition_label"], strict=True))
    y, p = table["label"].map(up), table["predicted"].map(up)
    found = report["tree"]["three_partition_label"]
    assert found["partitions"] == ["benign", "malignant"]
    assert found["accuracy"]["value"] == pytest.approx((y == p).mean(), abs=1e-6)
    assert found["macro_f1"]["value"] == pytest.approx(sk.f1_score(y, p, average="macro"), abs=1e-6)
    risk = table["prob_a"].astype(float) + table["prob_never"].astype(float)
    summed = np.where(risk > 1 - risk, "malignant", "benign")
    assert found["summed_accuracy"]["value"] == pytest.approx((y == summed).mean(), abs=1e-6)
    assert found["summed_log_loss"]["value"] == pytest.approx(
        sk.log_loss(y == "malignant", risk.clip(0, 1)), abs=1e-5
    )
    assert set(report["tree"]["nine_partition_label"]["partitions"]) == {"one", "two", "three"}

    ill, called = y == "malignant", p == "malignant"
    told = report["malignant"]
    assert told["sensitivity"]["value"] == pytest.approx(sk.recall_score(ill, called), abs=1e-6)
    assert told["specificity"]["value"] == pytest.approx((~called)[~ill].mean(), abs=1e-6)
    dark = table["skin_tone"].isin([5, 6])
    band = next(band for band in told["by_band"] if band["group"] == "5-6")
    assert band["n_malignant"] == (ill & dark).sum()
    assert band["n_other"] == (~ill & dark).sum()
    assert band["sensitivity"]["value"] == pytest.approx(called[ill & dark].mean(), abs=1e-6)
    assert band["sensitivity"]["low"] <= band["sensitivity"]["value"]
    assert set(told["compared"]) == {"sensitivity", "specificity"}


def test_without_a_tree_there_are_no_scores_up_it() -> None:
    report = make_report(_predictions(), resamples=5)
    assert report["tree"] == {}
    assert report["malignant"] is None
    report = make_report(_predictions(), TREE[:2], resamples=5)
    assert report["tree"] == {}
    assert any("nine_partition_label is not scored" in note for note in report["notes"])


def test_conditions_have_intervals_and_the_confusion_matrix_counts_photos() -> None:
    table = _predictions()
    report = make_report(table, resamples=100)
    for row in report["per_class"]:
        low, high = row["intervals"]["recall"]
        if row["n"]:
            assert low <= row["recall"] <= high
        else:
            assert low is None
            assert row["n_predicted"] >= 10
            assert row["intervals"]["precision"] == [0, 0]  # never right, which is known
    expected = sk.confusion_matrix(table["label"], table["predicted"], labels=CLASSES)
    assert report["confusion"] == expected.tolist()


def test_by_another_column_is_as_by_tone() -> None:
    table = _predictions()
    table["fitzpatrick_centaur"] = table["skin_tone"].astype(str)
    table["site"] = np.resize(["arm", "leg", None], len(table))
    report = make_report(table, by=["fitzpatrick_centaur", "site"], resamples=30)
    assert report["by"]["fitzpatrick_centaur"] == report["by_tone"]
    assert report["by"]["fitzpatrick_centaur (band)"] == report["by_band"]
    arm = report["by"]["site"]["groups"][0]
    mask = table["site"] == "arm"
    assert (arm["group"], arm["n"]) == ("arm", mask.sum())
    right = (table["label"] == table["predicted"])[mask].mean()
    assert arm["accuracy"]["value"] == pytest.approx(right, abs=1e-6)
    assert "by site" in format_table(report)


def test_parity_stands_beside_chance_and_says_what_it_cannot_tell() -> None:
    table = _predictions()
    parity = make_report(table, resamples=200)["by_band"]["parity"]
    known = table[table["skin_tone"] > 0]
    band = (known["skin_tone"] + 1) // 2
    right = (known["label"] == known["predicted"]).groupby(band).mean()
    assert parity["pqd"]["value"] == pytest.approx(right.min() / right.max(), abs=1e-6)
    for entry in parity.values():
        assert 0 <= entry["low"] <= entry["high"] <= 1
        assert entry["by_chance"]["low"] <= entry["by_chance"]["median"]
        words = "cannot tell it from chance" if entry["by_chance"]["share"] > 0.05 else "more than"
        assert words in entry["conclusion"]
    assert parity["dpm"]["conditions"] == 4
    assert parity["eom"]["conditions"] == 3
    rates = pd.crosstab(band, known["predicted"], normalize="index")
    assert parity["demographic_parity_difference_worst"]["condition"] == str(
        (rates.max() - rates.min()).idxmax()
    )


def test_parity_with_a_group_of_one_or_one_group() -> None:
    table = _predictions(tones=(1, 2))
    alone = make_report(table, resamples=20)["by_band"]["parity"]["pqd"]
    assert (alone["value"], alone["by_chance"]) == (None, None)
    assert "nothing to compare" in alone["conclusion"]
    for few in (1, 8):
        table.loc[: few - 1, "skin_tone"] = 6
        small = make_report(table, resamples=20)["by_band"]["parity"]["pqd"]
        assert small["value"] is not None
        assert small["low"] is None
        assert "nothing can be said" in small["conclusion"]


def test_every_figure_of_the_report_is_explained() -> None:
    report = make_report(_predictions(), TREE, resamples=10)
    figures = {
        *report["overall"],
        *(name for name, value in report["by_band"]["groups"][0].items() if type(value) is dict),
        *report["by_band"]["parity"],
        "sensitivity",
        "specificity",
        "precision",
        "recall",
        "f1",
    }
    assert figures <= set(report["words"])
    for word in report["words"].values():
        assert word["name"]
        assert word["meaning"].endswith(".")
        assert word["good"] in ("up", "down", "equal")
    assert report["notions"]["accuracy"] == report["words"]["accuracy"]["meaning"]
