"""The table of predictions: what goes in comes out, and a wrong table is named, never scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ajl_tf.assessment.predictions import (
    join_manifest,
    make_predictions,
    read_manifest_columns,
    read_predictions,
    write_predictions,
)
from ajl_tf.errors import UserError

GOOD = """image_id,label,predicted,prob_a,prob_b,skin_tone,split,fold,group_id
x1,a,a,0.75,0.25,1,test,0,g1
x2,b,a,0.5,0.5,-1,test,1,g1
x3,,b,0.0001,0.9999,,test,,
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "predictions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    return str(caught.value)


def test_reads_types_and_missing_values(tmp_path: Path) -> None:
    table = read_predictions(_file(tmp_path, GOOD))
    assert table["image_id"].tolist() == ["x1", "x2", "x3"]
    assert table["label"].isna().tolist() == [False, False, True]
    assert table["skin_tone"].tolist() == [1, -1, -1]
    assert table["fold"].isna().tolist() == [False, False, True]
    assert table["fold"].iloc[1] == 1
    assert table["prob_a"].dtype == np.float32


def test_needs_only_id_and_prediction(tmp_path: Path) -> None:
    table = read_predictions(_file(tmp_path, "predicted,image_id\nNA,007\nnan,1e3\n"))
    assert table["image_id"].tolist() == ["007", "1e3"]
    assert table["predicted"].tolist() == ["NA", "nan"]  # labels, not missing values


def test_column_order_does_not_matter(tmp_path: Path) -> None:
    text = "prob_b,predicted,prob_a,image_id\n0.9,b,0.1,x\n"
    assert read_predictions(_file(tmp_path, text))["prob_b"].iloc[0] == np.float32(0.9)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (4, 3), elements=st.floats(0.0, 1.0, width=32)).filter(
        lambda values: (values.sum(axis=1) > 1e-3).all()
    )
)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path_factory, values: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("round_trip") / "predictions.csv"
    rows = pd.DataFrame(
        {
            "image_id": ["1", "2", "3", "4"],
            "path": "photo.jpg",
            "label": ["a", 'b "c", d', None, "é"],
            "skin_tone": [1, 6, -1, 3],
            "fold": [0, 1, 2, 0],
            "group_id": ["g", "g", "h", "i"],
        }
    )
    probabilities = values / values.sum(axis=1, keepdims=True)
    made = make_predictions(rows, ["a", 'b "c", d', "é"], probabilities)
    write_predictions(path, made)
    pd.testing.assert_frame_equal(read_predictions(path), made, check_exact=True)


def test_made_predictions_have_the_argmax_and_the_class_order() -> None:
    rows = pd.DataFrame({"image_id": ["x", "y"], "label": [None, None]}, index=[7, 3])
    made = make_predictions(rows, ["b", "a"], np.array([[0.2, 0.8], [0.5, 0.5]]))
    assert made.columns.tolist() == ["image_id", "predicted", "prob_b", "prob_a"]
    assert made["predicted"].tolist() == ["a", "b"]


def test_making_predictions_refuses_a_wrong_shape_and_nan() -> None:
    rows = pd.DataFrame({"image_id": ["x", "y"]})
    with pytest.raises(ValueError, match=r"Received: shape \(2, 3\)"):
        make_predictions(rows, ["a", "b"], np.zeros((2, 3)))
    with pytest.raises(UserError, match=r"NaN or not a number: y \(1 row\)"):
        make_predictions(rows, ["a", "b"], np.array([[0.5, 0.5], [np.nan, 1]]))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("predicted,", "answer,", "missing column predicted"),
        ("x2,b", "x1,b", "1 image_id(s) occur more than once, in 2 rows: x1"),
        ("x2,b", ",b", "image_id is empty: row 2"),
        ("x3,,b", "x3,,", "predicted is empty: x3"),
        ("0.75,0.25", "nan,0.25", "empty, NaN or not a number: x1"),
        ("0.75,0.25", "high,0.25", "empty, NaN or not a number: x1"),
        ("0.75,0.25", ",0.25", "empty, NaN or not a number: x1"),
        ("0.75,0.25", "2.5,-1.5", "outside [0, 1]"),
        ("0.75,0.25", "inf,0.25", "outside [0, 1]"),
        ("0.75,0.25", "0.75,0.1", "do not sum to 1 ± 0.005"),
        ("a,0.75,0.25", "b,0.75,0.25", "'b' in the first, where 'a' is more probable"),
        ("x1,a,a", "x1,c,a", "label 'c' has no column prob_c: x1"),
        ("x1,a,a", "x1,a,c", "predicted 'c' has no column prob_c: x1"),
        ("1,test", "7,test", "skin_tone must be 1 to 6, or -1 or empty for unknown: x1"),
        ("1,test", "light,test", "Received: light"),
        ("1,test", "1.5,test", "Received: 1.5"),
        ("1,test", "1,exam", "Received: exam"),
        ("test,1", "test,-1", "fold must be 0, 1, 2, …: x2"),
        ("test,1", "test,1e19", "fold must be 0, 1, 2, …: x2"),
        ("test,1", "test,inf", "fold must be 0, 1, 2, …: x2"),
        ("prob_b", "prob_a", "column 'prob_a' is named 2 times"),
        (",g1\nx2", "\nx2", "line 2 has 8 fields, the header has 9"),
        (",g1\nx2", ",g1,z\nx2", "line 2 has 10 fields, the header has 9"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in _message(_file(tmp_path, GOOD.replace(old, new, 1)))


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    text = GOOD.replace("x2,b", "x1,b").replace("0.75,0.25", "0.7,0.1").replace("1,test", "9,test")
    message = _message(_file(tmp_path, text))
    assert "predictions.csv: 3 problems in 3 rows; nothing was scored." in message
    for part in ("occur more than once", "do not sum", "skin_tone must be"):
        assert part in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"image_id,predicted\n", "has a header but no rows"),
        (b"\xff\xd8\xff\xe0", "is not a CSV file in UTF-8"),
        (b'image_id,predicted\n"x,a\n', "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    assert expected in _message(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "does not exist" in _message(tmp_path / "none.csv")
    assert "is a folder" in _message(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert len(read_predictions(_file(tmp_path, "\ufeff" + GOOD))) == 3


def _manifest(folder: Path, text: str) -> pd.DataFrame:
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return read_manifest_columns(path)


BARE = "image_id,predicted\nx2,a\nx1,b\n"
MANIFEST = """path,image_id,label,skin_tone,group_id
p,x0,a,2,g0
p,x1,b,6,g1
p,x2,a,,g2
"""


def test_a_manifest_is_joined_by_id(tmp_path: Path) -> None:
    joined = join_manifest(read_predictions(_file(tmp_path, BARE)), _manifest(tmp_path, MANIFEST))
    assert joined["image_id"].tolist() == ["x2", "x1"]
    assert joined["label"].tolist() == ["a", "b"]
    assert joined["skin_tone"].tolist() == [-1, 6]
    assert joined["group_id"].tolist() == ["g2", "g1"]


def test_the_joined_manifest_may_be_a_read_manifest_with_numbers(tmp_path: Path) -> None:
    manifest = pd.DataFrame({"image_id": ["x1", "x2"], "skin_tone": [6, -1]}, index=[5, 9])
    table = read_predictions(_file(tmp_path, "image_id,predicted,skin_tone\nx2,a,3\nx1,b,6.0\n"))
    assert join_manifest(table, manifest)["skin_tone"].tolist() == [3, 6]


def test_a_manifest_fills_only_what_is_missing(tmp_path: Path) -> None:
    text = "image_id,label,predicted,group_id\nx2,,a,mine\nx1,b,b,mine\n"
    joined = join_manifest(read_predictions(_file(tmp_path, text)), _manifest(tmp_path, MANIFEST))
    assert joined["label"].tolist() == ["a", "b"]
    assert joined["group_id"].tolist() == ["g2", "g1"]  # the clusters may be newer


def test_a_prediction_without_manifest_row_is_an_error(tmp_path: Path) -> None:
    table = read_predictions(_file(tmp_path, BARE + "y1,a\ny2,a\n"))
    with pytest.raises(UserError, match=r"2 of 4 predictions have no row .*: y1, y2 \(2 rows\)"):
        join_manifest(table, _manifest(tmp_path, MANIFEST))


def test_a_manifest_with_an_id_twice_is_an_error(tmp_path: Path) -> None:
    table = read_predictions(_file(tmp_path, BARE))
    with pytest.raises(UserError, match=r"1 image_id\(s\) more than once: x1"):
        join_manifest(table, _manifest(tmp_path, MANIFEST + "p,x1,b,6,g1\n"))


def test_contradictions_are_an_error(tmp_path: Path) -> None:
    text = "image_id,label,predicted,skin_tone\nx2,b,a,1\nx1,b,b,5\n"
    with pytest.raises(UserError, match=r"(?s)label: x2 \(1 row\).*skin_tone: x1 \(1 row\)"):
        join_manifest(read_predictions(_file(tmp_path, text)), _manifest(tmp_path, MANIFEST))


def test_a_manifest_must_have_something_to_join(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Received: label, path\."):
        _manifest(tmp_path, "label,path\na,b\n")
    with pytest.raises(UserError, match=r"Received: image_id\."):
        _manifest(tmp_path, "image_id\nx\n")


def test_a_submission_and_the_competitions_table(tmp_path: Path) -> None:
    table = read_predictions(_file(tmp_path, "md5hash,label\nx2,a\nx1,b\n"))
    assert table.columns.tolist() == ["image_id", "predicted"]
    answered = read_predictions(_file(tmp_path, "md5hash,label,predicted\nx2,a,b\nx1,b,b\n"))
    assert answered["label"].tolist() == ["a", "b"]
    text = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label\nx1,6,5,b\nx2,-1,,a\n"
    joined = join_manifest(table, _manifest(tmp_path, text), ["fitzpatrick_centaur", "absent"])
    assert joined["skin_tone"].tolist() == [-1, 6]
    assert joined["fitzpatrick_centaur"].isna().tolist() == [True, False]
    assert joined["label"].tolist() == ["a", "b"]
    assert "absent" not in joined


def test_a_file_without_predictions_is_no_submission(tmp_path: Path) -> None:
    assert "missing column predicted" in _message(_file(tmp_path, "image_id,label\nx,a\n"))
