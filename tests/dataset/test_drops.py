"""Dropped photos: those that are named and no others; all that is wrong is told at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ajl_tf.dataset.drops import dropped, mark_dropped
from ajl_tf.errors import UserError

MANIFEST = pd.DataFrame(
    {
        "image_id": ["x0", "x1", "x2", "x3"],
        "qc": ["1 Diagnostic", None, "3 Wrongly labelled", "3 Wrongly labelled"],
    }
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "drop.csv"
    path.write_text('image_id,seen by,reason\nx3,me,blurred\nx1,me,"off topic, a shoe"\n')
    return path


def test_nothing_is_dropped_unless_it_is_asked_for() -> None:
    once_dropped = MANIFEST.assign(drop_reason=["seen before", None, None, None])
    for manifest in (MANIFEST, once_dropped):
        kept = mark_dropped(manifest, None, ())
        pd.testing.assert_frame_equal(kept, MANIFEST)
        assert not dropped(kept).any()


def test_the_photos_of_the_table_are_marked_with_its_reasons(table: Path) -> None:
    marked = mark_dropped(MANIFEST, str(table), ())
    pd.testing.assert_frame_equal(marked[list(MANIFEST)], MANIFEST)  # every row stays
    assert dropped(marked).tolist() == [False, True, False, True]
    assert marked["drop_reason"][[1, 3]].tolist() == ["off topic, a shoe", "blurred"]


def test_photos_are_dropped_by_their_qc_and_reasons_add_up(table: Path) -> None:
    by_qc = mark_dropped(MANIFEST, None, ["3 Wrongly labelled"])
    assert by_qc["drop_reason"].fillna("").tolist() == ["", "", *["qc: 3 Wrongly labelled"] * 2]
    both = mark_dropped(MANIFEST, str(table), ["3 Wrongly labelled", "1 Diagnostic"])
    assert both["drop_reason"].fillna("").tolist() == [
        "qc: 1 Diagnostic",
        "off topic, a shoe",
        "qc: 3 Wrongly labelled",
        "blurred; qc: 3 Wrongly labelled",
    ]


def test_the_order_of_rows_and_their_index_do_not_matter(table: Path) -> None:
    turned = MANIFEST.iloc[::-1]
    marked = mark_dropped(turned, str(table), ["1 Diagnostic"])
    straight = mark_dropped(MANIFEST, str(table), ["1 Diagnostic"])
    pd.testing.assert_frame_equal(marked.iloc[::-1], straight)
    assert np.array_equal(dropped(marked)[::-1], dropped(straight))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "drop.csv"
    path.write_text("image_id,reason\nx9,gone\nx0, \nx1,blurred\nx1,dark\n")
    with pytest.raises(UserError) as caught:
        mark_dropped(MANIFEST, str(path), ["3 Wrong"])
    told = str(caught.value)
    assert "row 2: image_id 'x9' is no labelled photo of the data" in told
    assert "row 3: image_id 'x0' has no reason" in told
    assert "row 5: image_id 'x1' stands there twice" in told
    assert "no photo has the qc '3 Wrong'. The data has: '1 Diagnostic', '3 Wrongly" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"drop.csv does not exist"),
        ("image_id,why\nx0,dark\n", "has no column reason. Expected image_id, reason. Received"),
        ("image_id,reason\n", "has a header but no row"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(
    text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "drop.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        mark_dropped(MANIFEST, str(path), ())


def test_a_folder_is_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        mark_dropped(MANIFEST, str(tmp_path), ())


def test_qc_where_the_data_has_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"no photo has the qc '4 Other'. The data has no qc."):
        mark_dropped(MANIFEST[["image_id"]], None, ["4 Other"])
