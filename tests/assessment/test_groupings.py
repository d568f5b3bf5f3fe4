"""Dividing photos by any column."""

from __future__ import annotations

import pandas as pd
import pytest

from ajl_tf.assessment.groupings import column_groupings
from ajl_tf.errors import UserError


def _one(values, name: str = "site"):
    return column_groupings(pd.DataFrame({name: values}), [name])


def test_groups_are_sorted_and_the_unknown_come_last() -> None:
    made = _one(["arm", None, " leg", "unknown", "arm"])["site"]
    assert made.names == ("arm", "leg", "unknown")
    assert made.index.tolist() == [0, 2, 1, 2, 0]


def test_numbers_sort_by_size() -> None:
    assert _one([10, 9, -1, 100])["site"].names == ("9", "10", "100", "unknown")
    assert _one([1.0, 2.0, None])["site"].names == ("1", "2", "unknown")


@pytest.mark.parametrize("values", [["1", "6", "-1", None, "3"], [1.0, 6.0, -1.0, None, 3.0]])
def test_a_second_annotators_tones_come_as_types_and_as_bands(values) -> None:
    made = _one(values, "fitzpatrick_centaur")
    assert list(made) == ["fitzpatrick_centaur", "fitzpatrick_centaur (band)"]
    assert made["fitzpatrick_centaur"].names == ("1", "2", "3", "4", "5", "6", "unknown")
    assert made["fitzpatrick_centaur"].index.tolist() == [0, 5, 6, 6, 2]
    assert made["fitzpatrick_centaur (band)"].index.tolist() == [0, 2, 3, 3, 1]


def test_a_column_of_other_values_is_no_tone_whatever_its_name() -> None:
    assert _one(["light", "dark"], "skin_tone_words")["skin_tone_words"].names == (
        "dark",
        "light",
        "unknown",
    )


@pytest.mark.parametrize(
    ("values", "column", "expected"),
    [
        (["a"], "other", r"no column 'other'.*Received: site"),
        ([None, ""], "site", "no value in any of the 2 photos"),
        ([f"{i}" for i in range(21)], "site", "21 different values"),
    ],
)
def test_what_divides_nothing_is_refused(values, column: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        column_groupings(pd.DataFrame({"site": values}), [column])
