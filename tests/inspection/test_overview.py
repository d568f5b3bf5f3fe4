"""What is there, against counts by hand and scikit-learn."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from ajl_tf.inspection.labels import compare_tone_columns, label_tree
from ajl_tf.inspection.overview import (
    THIN,
    compare_sides,
    count_photos,
    count_remarks,
    describe_files,
    quantiles,
)
from ajl_tf.inspection.samples import sample_photos

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b, c", "<d>", None]), st.sampled_from([-1, 1, 2, 3, 4, 5, 6])),
    min_size=1,
)


def manifest(labels: list[str | None], tones: list[int], **columns: Any) -> pd.DataFrame:
    ids = [f"p{number}" for number in range(len(labels))]
    known = {
        "image_id": ids,
        "path": ids,
        "label": pd.Series(labels, dtype="str"),
        "skin_tone": np.array(tones, np.int64),
        "group_id": ids,
    }
    return pd.DataFrame(known | {k: pd.Series(v, dtype="str") for k, v in columns.items()})


def survey(rows: list[tuple[bool, float, float, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["readable", "width", "height", "bytes"])
    return table.assign(
        image_id=[f"p{number}" for number in range(len(rows))],
        reason=["" if readable else "damaged" for readable in table["readable"]],
    )


@given(rows=ROWS)
def test_every_photo_is_counted_once(rows: list[tuple[str | None, int]]) -> None:
    found = count_photos(manifest([label for label, _ in rows], [tone for _, tone in rows]))
    json.dumps(found, allow_nan=False)
    counts = Counter(rows)
    cells = {
        (row["label"], -1 if tone == "unknown" else int(tone)): n
        for row in found["labels"]
        for tone, n in row["tones"].items()
    }
    assert {cell: n for cell, n in cells.items() if n} == {
        cell: n for cell, n in counts.items() if cell[0] is not None
    }
    known = {cell: n for cell, n in cells.items() if cell[1] > 0}
    assert len(found["empty"]) == sum(n == 0 for n in known.values())
    assert len(found["thin"]) == sum(0 < n < THIN for n in known.values())
    bands = sum(n for row in found["labels"] for n in row["bands"].values())
    assert bands == found["labelled"] == sum(n for cell, n in counts.items() if cell[0])
    assert sum(row["photos"] for row in found["tones"]) == found["photos"] == len(rows)
    sizes = [row["photos"] for row in found["labels"]]
    assert sizes == sorted(sizes, reverse=True)


def test_thin_begins_below_ten() -> None:
    found = count_photos(manifest(["a"] * 19, [1] * 10 + [2] * 9))
    assert found["thin"] == [{"label": "a", "tone": "2", "photos": 9}]
    assert found["empty_bands"] == [{"label": "a", "band": band} for band in ("3-4", "5-6")]


def test_sizes_are_of_what_can_be_read() -> None:
    nan = float("nan")
    found = describe_files(survey([(True, 100, 50, 10), (False, nan, nan, 7), (True, 30, 60, 20)]))
    assert found["readable"] == 2
    assert found["unreadable"] == [{"image_id": "p1", "reason": "damaged"}]
    assert found["total_bytes"] == 37
    assert (found["width"]["least"], found["width"]["median"], found["width"]["most"]) == (
        30,
        65,
        100,
    )
    assert (found["shorter_side"]["least"], found["shorter_side"]["most"]) == (30, 50)
    assert (found["aspect"]["least"], found["aspect"]["most"]) == (0.5, 2.0)
    json.dumps(found, allow_nan=False)


def test_nothing_readable_has_no_sizes() -> None:
    found = describe_files(survey([(False, float("nan"), float("nan"), 0)]))
    assert found["shorter_side"] is None
    assert quantiles(pd.Series([], dtype=float)) is None


def test_remarks_are_counted_where_there_is_such_a_column() -> None:
    assert count_remarks(manifest(["a"], [1])) is None
    found = count_remarks(manifest(["a"] * 4, [1] * 4, qc=["x", None, "y", "x"]))
    assert found == {
        "flags": [{"flag": "x", "photos": 2}, {"flag": "y", "photos": 1}],
        "without": 1,
    }


def test_training_against_test() -> None:
    files = survey([(True, 100, 50, 10)] * 2 + [(True, 20, 30, 10)] * 2)
    found = compare_sides(manifest(["a", "b", None, None], [1, 1, 1, -1]), files)
    assert found is not None
    assert found["train"]["photos"] == found["test"]["photos"] == 2
    assert (found["train"]["shorter_side"]["median"], found["test"]["shorter_side"]["median"]) == (
        50,
        20,
    )
    assert found["tones"][0] == {"tone": "1", "train": 1.0, "test": 0.5}
    assert found["tones"][-1] == {"tone": "unknown", "train": 0.0, "test": 0.5}
    assert found["most_different"]["tone"] in ("1", "unknown")


@pytest.mark.parametrize("label", ["a", None])
def test_one_side_alone_is_not_compared(label: str | None) -> None:
    assert compare_sides(manifest([label], [1]), survey([(True, 1, 1, 1)])) is None


def test_a_tree_nests() -> None:
    table = manifest(
        ["a", "a", "b", "c", None],
        [1] * 5,
        nine_partition_label=["x", "x", "x", "y", None],
        three_partition_label=["k", "k", "k", "m", None],
    )
    found = label_tree(table)
    assert found is not None
    assert found["is_tree"]
    assert (found["conflicts"], found["incomplete"]) == ([], 0)
    leaves = [{"name": "a", "photos": 2, "nodes": []}, {"name": "b", "photos": 1, "nodes": []}]
    assert found["nodes"][0] == {
        "name": "k",
        "photos": 3,
        "nodes": [{"name": "x", "photos": 3, "nodes": leaves}],
    }


def test_what_is_no_tree_is_told_with_its_parents() -> None:
    found = label_tree(manifest(["a", "a", "b"], [1] * 3, nine_partition_label=["x", "y", None]))
    assert found is not None
    assert not found["is_tree"]
    assert found["levels"] == ["nine_partition_label", "label"]
    assert found["conflicts"] == [{"level": "label", "name": "a", "parents": {"x": 1, "y": 1}}]
    assert found["incomplete"] == 1


def test_without_their_columns_tree_and_second_opinion_are_left_out() -> None:
    assert label_tree(manifest(["a"], [1])) is None
    assert compare_tone_columns(manifest(["a"], [1])) is None


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([-1, *range(1, 7)]), st.sampled_from(["-1", "", "?", *"123456"]))
    )
)
def test_two_readings_of_the_tone(pairs: list[tuple[int, str]]) -> None:
    first = [tone for tone, _ in pairs]
    second = [text or None for _, text in pairs]
    found = compare_tone_columns(manifest(["a"] * len(pairs), first, fitzpatrick_centaur=second))
    assert found is not None
    json.dumps(found, allow_nan=False)
    both = [(tone, int(text)) for tone, text in pairs if tone > 0 and text in "123456" and text]
    assert found["compared"] == len(both)
    counts = Counter(both)
    table = {
        (int(row["tone"]), int(other)): n
        for row in found["table"]
        for other, n in row["second"].items()
    }
    assert {cell: n for cell, n in table.items() if n} == counts
    sides = found["only_first"], found["only_second"], found["neither"]
    assert sum(sides) + len(both) == len(pairs)
    assert sides[2] == sum(tone < 0 and text not in set("123456") for tone, text in pairs)
    if not both:
        assert found["exact"] is found["within_one"] is found["kappa"] is None
        return
    assert found["exact"] == pytest.approx(np.mean([a == b for a, b in both]))
    assert found["within_one"] == pytest.approx(np.mean([abs(a - b) <= 1 for a, b in both]))
    columns = list(zip(*both, strict=True))
    if min(len(set(column)) for column in columns) > 1:
        expected = cohen_kappa_score(*columns, weights="quadratic", labels=list(range(1, 7)))
        assert found["kappa"] == pytest.approx(expected, abs=1e-9)
    else:
        assert found["kappa"] is None


def test_samples_are_one_readable_photo_of_each_label_and_tone() -> None:
    table = manifest(["a", "a", "a", "b", None], [1, 1, 2, 1, -1])
    files = survey([(False, 1, 1, 1)] + [(True, 1, 1, 1)] * 4)
    found = sample_photos(table, files)
    assert [(row["image_id"], row["label"], row["tone"]) for row in found] == [
        ("p1", "a", "1"),
        ("p2", "a", "2"),
        ("p3", "b", "1"),
        ("p4", None, "unknown"),
    ]
    shuffled = table.iloc[[4, 2, 0, 3, 1]].reset_index(drop=True)
    again = sample_photos(shuffled, files.iloc[[4, 2, 0, 3, 1]].reset_index(drop=True))
    assert again == found
