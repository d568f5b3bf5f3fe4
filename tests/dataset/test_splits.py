"""Splits: groups whole, every row once, alike in label and tone, and never drawn again."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ajl_tf import files
from ajl_tf.dataset import splits
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.dataset.splits import inner_split, load_or_make_split, make_split, parse_scheme
from ajl_tf.errors import UserError
from ajl_tf.inspection.leaks import find_leaks

SCHEMES = st.sampled_from(
    ["80/10/10", "80/20", "34/33/33", "1/99", "2 folds", "3 folds", "7 folds"]
)

SOME = settings(max_examples=40, deadline=None)
SOME_IN_A_FOLDER = settings(SOME, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(labels: list[str], tones: list[int], groups: list[int] | None = None) -> pd.DataFrame:
    """A manifest of so many photos; photos with the same number in `groups` belong together."""
    ids = [f"id{i:05}" for i in range(len(labels))]
    groups = list(range(len(labels))) if groups is None else groups
    return pd.DataFrame(
        {
            "image_id": ids,
            "label": pd.Series(labels, dtype=object),
            "skin_tone": tones,
            "group_id": [ids[groups.index(number)] for number in groups],
        }
    )


@st.composite
def manifests(draw: st.DrawFn, grouped: bool = True, labelled: bool = False) -> pd.DataFrame:
    names = [*"abc"] if labelled else [*"abc", None]
    size = draw(st.integers(1, 60))
    rows = st.lists(
        st.tuples(st.sampled_from(names), st.sampled_from([-1, 1, 6]), st.integers(0, size)),
        min_size=size,
        max_size=size,
    ).filter(lambda rows: any(label for label, _, _ in rows))
    labels, tones, groups = map(list, zip(*draw(rows), strict=True))
    return table(labels, tones, groups if grouped else None)


def joined(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """The labelled rows with a column `part`; the merge fails where an id stands twice."""
    both = split.set_axis(["image_id", "part"], axis=1)
    return labelled(manifest).merge(both, on="image_id", how="outer", validate="one_to_one")


@SOME
@given(manifests(), SCHEMES, st.integers(0, 9))
def test_every_labelled_row_once_and_groups_whole(
    manifest: pd.DataFrame, scheme: str, seed: int
) -> None:
    split = make_split(manifest, scheme, seed)
    both = joined(manifest, split)
    assert both.notna().all(axis=None)
    assert both.groupby("group_id")["part"].nunique().eq(1).all()
    column, shares = parse_scheme(scheme)
    assert split.columns.tolist() == ["image_id", column]
    names = ["train", "validation", "test"] if column == "split" else list(range(7))
    assert set(split[column]) <= set(names[: len(shares)])
    assert split["image_id"].is_monotonic_increasing


@SOME
@given(manifests(), SCHEMES, st.integers(0, 9), st.randoms())
def test_the_order_of_the_rows_has_no_influence(
    manifest: pd.DataFrame, scheme: str, seed: int, random: object
) -> None:
    order = list(manifest.index)
    random.shuffle(order)  # type: ignore[attr-defined] # a random.Random
    expected = make_split(manifest, scheme, seed)
    pd.testing.assert_frame_equal(make_split(manifest.loc[order], scheme, seed), expected)


@SOME
@given(manifests(grouped=False), st.integers(2, 7), st.integers(0, 9))
def test_labels_of_single_photos_differ_by_at_most_one_between_folds(
    manifest: pd.DataFrame, k: int, seed: int
) -> None:
    both = joined(manifest, make_split(manifest, f"{k} folds", seed))
    for keys, bound in ((["label"], 1), (["label", "skin_tone"], 2)):
        counts = both.groupby([*keys, "part"]).size().unstack(fill_value=0)
        counts = counts.reindex(columns=range(k), fill_value=0)
        assert (counts.max(axis=1) - counts.min(axis=1)).max() <= bound
    sizes = both["part"].value_counts().reindex(range(k), fill_value=0)
    assert (sizes > 0).sum() == min(k, len(both))


@SOME
@given(manifests(grouped=False), st.sampled_from(["80/10/10", "80/20", "60/20/20"]))
def test_labels_of_single_photos_are_near_their_share(manifest: pd.DataFrame, scheme: str) -> None:
    both = joined(manifest, make_split(manifest, scheme, 0))
    shares = np.array(parse_scheme(scheme)[1]) / 100
    names = ["train", "validation", "test"][: len(shares)]
    counts = both.groupby(["label", "part"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=names, fill_value=0)
    off = counts - np.outer(counts.sum(axis=1), shares)
    assert off.abs().max(axis=None) < 2
    assert (counts["train"] > 0).all()  # a rare label is never without training photos


def test_a_label_of_one_photo_is_trained_on() -> None:
    split = make_split(table([f"l{i}" for i in range(9)], [1] * 9), "34/33/33", 0)
    assert set(split["split"]) == {"train"}


def test_many_rare_labels_still_fill_validation() -> None:
    labels = [f"l{i}" for i in range(100) for _ in range(3)]
    sizes = make_split(table(labels, [1] * 300), "80/10/10", 0)["split"].value_counts()
    assert sizes["train"] >= 100
    assert sizes["validation"] == pytest.approx(30, abs=10)
    assert sizes["test"] == pytest.approx(30, abs=10)


def test_tones_are_spread_within_labels() -> None:
    labels = ["a"] * 40 + ["b"] * 40
    tones = ([1] * 10 + [2] * 10 + [3] * 10 + [-1] * 10) * 2
    both = joined(table(labels, tones), split := make_split(table(labels, tones), "5 folds", 3))
    assert (both.groupby(["label", "skin_tone", "part"]).size() == 2).all()
    assert split["fold"].dtype.kind == "i"


def test_large_groups_are_balanced_by_the_rest() -> None:
    manifest = table(["a"] * 100, [1] * 100, [0] * 20 + [1] * 15 + list(range(2, 67)))
    both = joined(manifest, make_split(manifest, "4 folds", 0))
    assert both["part"].value_counts().tolist() == [25] * 4


def test_a_seed_deals_others_to_the_same_shares() -> None:
    manifest = table(["a", "b"] * 50, [1] * 100)
    first, second = (make_split(manifest, "80/20", seed) for seed in (0, 1))
    assert first["split"].value_counts().to_dict() == {"train": 80, "validation": 20}
    assert second["split"].value_counts().to_dict() == {"train": 80, "validation": 20}
    assert not first.equals(second)


def test_without_labels_there_is_nothing_to_split() -> None:
    with pytest.raises(UserError, match="No photo of the data has a label"):
        make_split(table([None, None], [1, 1]), "80/20", 0)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("80/20", ("split", (80, 20))),
        ("70/15/15", ("split", (70, 15, 15))),
        ("2 folds", ("fold", (1, 1))),
        (" 5  folds ", ("fold", (1,) * 5)),
    ],
)
def test_schemes(scheme: str, expected: tuple[str, tuple[int, ...]]) -> None:
    assert parse_scheme(scheme) == expected


@pytest.mark.parametrize(
    "scheme",
    [
        "",
        "80",
        "80/10",
        "100/0",
        "80/-1/21",
        "40/30/20/10",
        "1 folds",
        "0 folds",
        "folds",
        "5",
        "a/b",
    ],
)
def test_schemes_that_are_none(scheme: str) -> None:
    with pytest.raises(UserError, match=r"split\.scheme '.*' is no scheme\. Expected"):
        parse_scheme(scheme)


# The inner split


@SOME
@given(manifests(labelled=True), st.sampled_from([0.1, 0.2, 0.5]), st.randoms())
def test_inner_split(manifest: pd.DataFrame, fraction: float, random: object) -> None:
    rows = manifest.set_index(pd.Index(range(100, 100 + len(manifest))))  # any index will do
    held_out = inner_split(rows, fraction, 5)
    assert held_out.shape == (len(rows),)
    assert held_out.dtype == bool
    assert rows.assign(side=held_out).groupby("group_id")["side"].nunique().eq(1).all()
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined] # a random.Random
    assert inner_split(rows.iloc[order], fraction, 5).tolist() == held_out[order].tolist()


def test_inner_split_holds_out_its_share() -> None:
    rows = table(["a"] * 60 + ["b"] * 40, [1] * 100)
    held_out = inner_split(rows, 0.1, 0)
    assert rows["label"][held_out].value_counts().to_dict() == {"a": 6, "b": 4}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 2.0])
def test_inner_split_refuses(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"Received: {fraction}"):
        inner_split(table(["a"], [1]), fraction, 0)


# The file

MANIFEST = table(["a"] * 50 + ["b"] * 50 + [None], [1] * 101)


@SOME_IN_A_FOLDER
@given(manifests(), SCHEMES)
def test_a_split_is_read_again_whatever_the_seed(
    tmp_path: Path, manifest: pd.DataFrame, scheme: str
) -> None:
    (tmp_path / "it.csv").unlink(missing_ok=True)
    made = load_or_make_split(tmp_path, "it", manifest, scheme, 0)
    pd.testing.assert_frame_equal(made, make_split(manifest, scheme, 0))
    before = (tmp_path / "it.csv").read_bytes()
    again = load_or_make_split(tmp_path, "it", manifest[::-1], scheme, 1)
    pd.testing.assert_frame_equal(again, made)
    assert (tmp_path / "it.csv").read_bytes() == before


def test_the_file(tmp_path: Path) -> None:
    load_or_make_split(tmp_path / "deep" / "splits", "it", MANIFEST, "80/20", 0)
    lines = (tmp_path / "deep" / "splits" / "it.csv").read_bytes().decode().split("\n")
    assert lines[0] == "image_id,split"
    assert lines[-1] == ""
    assert len(lines) == 102
    assert lines[1].startswith("id00000,")


def test_any_id_comes_through_the_file(tmp_path: Path) -> None:
    ids = ["a,b", 'c"d', "e\nf", "'g'", "NA", "007", "é"]
    manifest = table(["x"] * 7, [1] * 7).assign(image_id=ids, group_id=ids)
    made = load_or_make_split(tmp_path, "it", manifest, "2 folds", 0)
    assert set(made["image_id"]) == set(ids)
    pd.testing.assert_frame_equal(made, make_split(manifest, "2 folds", 0))


def test_of_two_at_once_both_get_the_split_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_drawn = threading.Barrier(2)

    def make(manifest: pd.DataFrame, scheme: str, seed: int) -> pd.DataFrame:
        split = make_split(manifest, scheme, seed)
        both_have_drawn.wait(timeout=30)
        return split

    monkeypatch.setattr(splits, "make_split", make)
    got: dict[int, pd.DataFrame] = {}

    def run(seed: int) -> None:
        got[seed] = load_or_make_split(tmp_path, "it", MANIFEST, "80/20", seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pd.testing.assert_frame_equal(got[0], got[1])
    assert [path.name for path in tmp_path.iterdir()] == ["it.csv"]


def test_a_kill_while_writing_leaves_no_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_or_make_split(tmp_path, "it", MANIFEST, "80/20", 0)
    assert list(tmp_path.iterdir()) == []


def refused(folder: Path, manifest: pd.DataFrame = MANIFEST, scheme: str = "80/20") -> str:
    before = (folder / "it.csv").read_bytes()
    with pytest.raises(UserError) as caught:
        load_or_make_split(folder, "it", manifest, scheme, 0)
    assert (folder / "it.csv").read_bytes() == before
    assert "Set another split.name" in str(caught.value)
    assert f"{folder}/it.csv" in str(caught.value)
    return str(caught.value)


def test_a_file_of_other_photos_is_refused(tmp_path: Path) -> None:
    load_or_make_split(tmp_path, "it", MANIFEST, "80/20", 0)
    path = tmp_path / "it.csv"
    text = path.read_text().replace("id00003", "other")
    text = re.sub("id00004,.*", "id00004,trian", text)
    path.write_text(text + "id00000,train\n")
    said = refused(tmp_path)
    assert f"{path} row 5: image_id 'other' is no labelled photo of the data" in said
    assert f"{path} row 6: split is 'trian'. Expected one of train, validation." in said
    assert f"{path} row 102: image_id 'id00000' stands there twice" in said
    assert f"{path} has no row for image_id 'id00003'" in said


@pytest.mark.parametrize(
    ("made", "asked", "said"),
    [
        ("80/20", "80/10/10", "train: 80, validation: 20, test: 0 photos"),
        ("80/10/10", "80/20", "split is 'test'. Expected one of train, validation."),
        ("80/20", "50/50", "validation: 20 photos, which is not"),
        ("80/20", "5 folds", '"5 folds" needs image_id, fold. Received: image_id, split'),
        ("5 folds", "80/20", '"80/20" needs image_id, split. Received: image_id, fold'),
        ("5 folds", "3 folds", "Expected one of 0, 1, 2."),
        ("3 folds", "5 folds", "3: 0, 4: 0 photos"),
        ("29 folds", "30 folds", "29: 0 photos"),
    ],
)
def test_a_file_of_another_scheme_is_refused(
    tmp_path: Path, made: str, asked: str, said: str
) -> None:
    load_or_make_split(tmp_path, "it", MANIFEST, made, 0)
    assert said in refused(tmp_path, scheme=asked)


def test_a_split_with_a_group_on_two_sides_is_read_as_it_is(tmp_path: Path) -> None:
    split = load_or_make_split(tmp_path, "it", MANIFEST, "80/20", 0)
    one = split.loc[split["split"] == "train", "image_id"].iloc[0]
    two = split.loc[split["split"] == "validation", "image_id"].iloc[0]
    near = MANIFEST.assign(
        group_id=MANIFEST["group_id"].where(~MANIFEST["image_id"].isin([one, two]), min(one, two))
    )
    pd.testing.assert_frame_equal(load_or_make_split(tmp_path, "it", near, "80/20", 0), split)
    assert set(find_leaks(near, split)["image_id"]) >= {one, two}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"image_id,split\n", b"a,b\n1,2\n"])
def test_a_file_that_is_no_split_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "it.csv").write_bytes(content)
    refused(tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"split\.name '.*' is no plain file name"):
        load_or_make_split(tmp_path, name, MANIFEST, "80/20", 0)


def test_the_real_data(real_set: Path) -> None:
    manifest = read_manifest([str(real_set)])
    for k in (3, 5):
        both = joined(manifest, make_split(manifest, f"{k} folds", 0))
        for keys, bound in ((["label"], 1), (["label", "skin_tone"], 2), (["skin_tone"], 4)):
            counts = both.groupby([*keys, "part"]).size().unstack(fill_value=0)
            assert (counts.max(axis=1) - counts.min(axis=1)).max() <= bound
