"""Leaks: every group on two sides of a split is found, and none else; against a double loop."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf.dataset.splits import make_split
from ajl_tf.errors import UserError
from ajl_tf.inspection.leaks import find_leaks, leak_statement, read_split

SIDES = ("train", "validation", "test")


def manifest_of(groups: list[int | None], **columns: object) -> pd.DataFrame:
    names = [None if group is None else f"g{group}" for group in groups]
    ids = [f"x{i:02}" for i in range(len(groups))]
    return pd.DataFrame({"image_id": ids, "group_id": names, **columns})


def by_hand(manifest: pd.DataFrame, sides: list[str | None]) -> set[tuple[str, str, str]]:
    """Photos with another one of their group on another side: looks at every pair."""
    rows = list(zip(manifest["image_id"], manifest["group_id"], sides, strict=True))
    return {
        (group, image_id, side)
        for image_id, group, side in rows
        for _, other_group, other in rows
        if group == other_group and side and other and side != other and isinstance(group, str)
    }


def as_set(leaks: pd.DataFrame) -> set[tuple[str, str, str]]:
    assert list(leaks) == ["group_id", "image_id", "side"]
    return set(leaks.itertuples(index=False, name=None))


ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.sampled_from((*SIDES, None))), max_size=25
)


@settings(max_examples=150)
@given(ROWS, st.booleans())
def test_leaks_are_those_of_a_double_loop(
    rows: list[tuple[int | None, str | None]], as_file: bool
) -> None:
    groups, sides = [row[0] for row in rows], [row[1] for row in rows]
    manifest = manifest_of(groups)
    expected = by_hand(manifest, sides)
    split = manifest[["image_id"]].assign(split=pd.Series(sides, dtype=object))
    if as_file:
        leaks = find_leaks(manifest, split.dropna())
    else:
        leaks = find_leaks(manifest.assign(split=split["split"]))
    assert as_set(leaks) == expected
    assert len(leaks) == len(expected)
    said = leak_statement(leaks, manifest, split.dropna())
    assert said.startswith("No group stands on two sides") == (not expected)


def test_both_sides_are_listed_and_the_sentence_counts_them() -> None:
    manifest = manifest_of(
        [0, 1, 0, 2, 2, 0], split=["train", "train", "test", None, "test", "train"]
    )
    leaks = find_leaks(manifest)
    assert leaks.values.tolist() == [
        ["g0", "x02", "test"],
        ["g0", "x00", "train"],
        ["g0", "x05", "train"],
    ]
    assert leak_statement(leaks, manifest) == (
        "1 group stands on more than one side, with 3 photos, "
        "of 5 photos in 3 groups (test, train)."
    )
    whole = manifest.assign(group_id=manifest["image_id"])
    assert leak_statement(find_leaks(whole), whole) == (
        "No group stands on two sides: 5 photos in 5 groups (test, train)."
    )


@pytest.mark.parametrize("folds", [[0, 1, 0], ["0", "1", "0"], [0.0, 1.0, None]])
def test_folds_are_sides_whatever_their_type(folds: list[object]) -> None:
    leaks = find_leaks(manifest_of([0, 0, 1], fold=folds))
    assert leaks["side"].tolist() == ["fold 0", "fold 1"]


def test_a_split_and_folds_in_one_manifest_are_checked_both() -> None:
    manifest = manifest_of(
        [0, 0, 1, 1], split=["train", "test", "train", "train"], fold=[1, 1, 0, 2]
    )
    assert as_set(find_leaks(manifest)) == {
        ("g0", "x00", "train"),
        ("g0", "x01", "test"),
        ("g1", "x02", "fold 0"),
        ("g1", "x03", "fold 2"),
    }
    other = pd.DataFrame({"image_id": ["x00", "x01"], "fold": [0, 0]})
    assert find_leaks(manifest, other).empty  # its own columns then do not count


@settings(max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=40), st.sampled_from(["80/20", "3 folds"]))
def test_the_splits_of_this_package_have_no_leak(groups: list[int], scheme: str) -> None:
    manifest = manifest_of(list(groups), label="acne", skin_tone=1)
    assert find_leaks(manifest, make_split(manifest, scheme, 0)).empty


def test_a_split_file_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("image_id,fold\nx00,0\nx01,1\n")
    manifest = manifest_of([0, 0])
    assert find_leaks(manifest, read_split(path))["side"].tolist() == ["fold 0", "fold 1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_id,part\nx00,0\n", "is no split: expected image_id and split or fold"),
        ("image_id,fold\nx00,0\nx00,1\n", r"stand there twice: x00 \(1 row\)"),
        ("image_id,fold\nx00,\n", r"without a side: x00 \(1 row\)"),
        ("image_id,fold\nx00\n", "has 1 fields, its header 2"),
        ("image_id,fold\nx99,0\n", "photos that the data does not have: x99"),
    ],
)
def test_a_file_that_is_no_split_of_the_data_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        find_leaks(manifest_of([0, 0]), read_split(path))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["image_id", "split"], "no column group_id"),
        (["image_id", "group_id"], "no column split or fold"),
    ],
)
def test_a_manifest_that_cannot_be_checked_is_refused(columns: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_leaks(manifest_of([0, 1], split="train")[columns])
