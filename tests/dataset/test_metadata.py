"""What is recorded of photos as numbers: what is known, what is not, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ajl_tf.dataset.metadata import (
    Column,
    cells_of,
    check_metadata,
    clean,
    coded,
    learn_columns,
    telling,
    unknown_shares,
)
from ajl_tf.errors import UserError

TABLE = pd.DataFrame(
    {
        "image_id": [f"i{number}" for number in range(8)],
        "label": ["acne"] * 4 + ["tinea"] * 4,
        "skin_tone": [1, 2, -1, 4, 1, 2, -1, 6],
        "sex": ["Female", " male", "male", pd.NA, "unknown", "female ", "-1", "other"],
        "age": ["30", "50.0", "", "nan", "-1", "40", "1000", pd.NA],
    }
)
NAN = float("nan")


def test_cells_are_compared_without_case_blanks_and_a_point_nought() -> None:
    cells = pd.Series([" Female\t", "4.0", "-1.0", "NaN", "Unknown", pd.NA, None, 4, 4.5, "1.00"])
    assert clean(cells).tolist() == ["female", "4", "", "", "", "", "", "4", "4.5", "1"]


def test_vocabulary_mean_and_deviation_are_of_the_rows_that_train() -> None:
    sex, age = learn_columns(TABLE, {"sex": "category", "age": "number"}, np.arange(6))
    assert sex == Column("sex", "category", ("female", "male"))
    assert age.mean == pytest.approx(40)
    assert age.deviation == pytest.approx(np.std([30, 50, 40]))
    codes = coded(TABLE, (sex, age))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes[:, 0], [0, 1, 1, NAN, NAN, 0, NAN, NAN])
    np.testing.assert_array_equal(codes[:, 1], [30, 50, NAN, NAN, NAN, 40, 1000, NAN])


def test_a_column_that_a_table_lacks_is_unknown() -> None:
    columns = (Column("site", "category", ("arm", "leg")), Column("age", "number"))
    codes = coded(TABLE, columns)
    assert np.isnan(codes[:, 0]).all()
    assert not np.isnan(codes[:, 1]).all()
    assert unknown_shares(TABLE, {"site": "category", "age": "number"}) == {"site": 1.0, "age": 0.5}


def test_the_competitions_tone_is_found_by_either_name() -> None:
    ours, theirs = cells_of(TABLE, "fitzpatrick_scale"), cells_of(TABLE, "skin_tone")
    assert ours is not None
    assert theirs is not None
    assert ours.tolist() == theirs.tolist() == ["1", "2", "", "4", "1", "2", "", "6"]
    competition = TABLE.rename(columns={"skin_tone": "fitzpatrick_scale"})
    again = cells_of(competition, "skin_tone")
    assert again is not None
    assert again.tolist() == theirs.tolist()


def test_a_number_without_spread_is_divided_by_one() -> None:
    (age,) = learn_columns(TABLE, {"age": "number"}, np.array([0]))
    assert (age.mean, age.deviation) == (30, 1)


def test_rows_that_know_nothing_of_a_column_are_refused() -> None:
    with pytest.raises(UserError, match="age is unknown for every photo that trains"):
        learn_columns(TABLE, {"age": "number"}, np.array([2, 3]))


def test_all_that_cannot_be_learnt_from_is_told_in_one_go() -> None:
    table = TABLE.assign(empty="", constant="x", weight=["70 kg", *["1"] * 7])
    table = pd.concat([table] * 15, ignore_index=True)
    table["patient"] = [f"p{number}" for number in range(len(table))]
    kinds = {"site": "category", "empty": "number", "constant": "category", "weight": "number"}
    with pytest.raises(UserError) as caught:
        check_metadata(table, {**kinds, "patient": "category", "sex": "category"})
    said = str(caught.value)
    assert "site: the data has no such column. There are: image_id, label, skin_tone" in said
    assert "empty: it needs at least two known values. There is: nothing" in said
    assert "constant: it needs at least two known values. There is: 'x'" in said
    assert "weight: some cells are no numbers, as '70 kg'" in said
    assert "patient: a category of 120 values (at most 100)" in said
    assert "  - sex" not in said
    check_metadata(table, {"sex": "category", "age": "number", "skin_tone": "category"})


def test_a_column_that_tells_the_label_is_found() -> None:
    labels = np.array(["acne", "eczema", "tinea"] * 20)
    codes = pd.Series(labels).map({"acne": "L70", "eczema": "L30", "tinea": "B35"})
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "label": labels,
            "code": codes.mask(pd.Series(np.arange(60) % 10 == 0), "L30"),
            "sex": rng.choice(["f", "m"], 60),
            "name": [f"n{number}" for number in range(60)],
        }
    )
    found = telling(table, dict.fromkeys(("code", "sex", "name"), "category"))
    assert set(found) == {"code"}
    told = table["code"].map({"L70": "acne", "L30": "eczema", "B35": "tinea"})
    assert found["code"] == pytest.approx((told == table["label"]).mean())
