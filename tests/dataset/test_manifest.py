"""Manifests from plain CSVs, from several sources, and every way in which one can be wrong."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ajl_tf.dataset.formulas import is_formula
from ajl_tf.dataset.groups import assign_groups, merge_groups
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.errors import UserError
from ajl_tf.runs import record_manifest


def photo(path: Path, shade: int = 0) -> Path:
    """Writes a tiny JPEG; another `shade` (0 to 255) is another content of the same size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), shade).save(path, "JPEG")
    return path


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def message(*sources: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        read_manifest(sources)
    return str(caught.value)


def one(image_id: str = "a", path: str = "a.jpg", label: str = "x", **more: str) -> dict[str, str]:
    return {"image_id": image_id, "path": path, "label": label, **more}


def test_plain_csv(tmp_path: Path) -> None:
    photo(tmp_path / "deep" / "a.jpg")
    elsewhere = photo(tmp_path / "other" / "b.png", shade=9)
    rows = [
        one("a", "deep/a.jpg", "Naïve label", note="001", skin_tone="6"),
        one("b", str(elsewhere), "y", note="", skin_tone=""),
    ]
    manifest = read_manifest([write_csv(tmp_path / "mine.csv", rows)])
    columns = ["image_id", "path", "label", "skin_tone", "group_id", "note"]
    assert manifest.columns.tolist() == columns
    assert isinstance(manifest.index, pd.RangeIndex)
    assert manifest["path"].tolist() == [str(tmp_path / "deep" / "a.jpg"), str(elsewhere)]
    assert manifest["label"].tolist() == ["Naïve label", "y"]
    assert manifest["skin_tone"].tolist() == [6, -1]
    assert manifest["skin_tone"].dtype.kind == "i"
    assert manifest["note"][0] == "001"
    assert pd.isna(manifest["note"][1])
    assert manifest["group_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "tone"), [("1", 1), ("6", 6), ("2.0", 2), ("-1", -1), ("-1.0", -1), ("", -1)]
)
def test_tones(tmp_path: Path, text: str, tone: int) -> None:
    photo(tmp_path / "a.jpg")
    table = write_csv(tmp_path / "m.csv", [one(skin_tone=text)])
    assert read_manifest([table])["skin_tone"].tolist() == [tone]


def test_a_csv_without_tones_has_unknown_ones(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    assert read_manifest([write_csv(tmp_path / "m.csv", [one()])])["skin_tone"].tolist() == [-1]


def test_sources_are_put_one_after_another(tmp_path: Path) -> None:
    for name in "ab":
        photo(tmp_path / f"{name}.jpg", shade=ord(name))
    first = write_csv(tmp_path / "1.csv", [one("b", "b.jpg", file="f")])
    second = write_csv(tmp_path / "2.csv", [one("a", "a.jpg", line="l")])
    manifest = read_manifest([first, str(second)])
    assert manifest["image_id"].tolist() == ["b", "a"]
    assert manifest["file"].fillna("").tolist() == ["f", ""]
    assert manifest["line"].fillna("").tolist() == ["", "l"]
    assert manifest.index.tolist() == [0, 1]


def test_a_manifest_reads_its_own_csv(tmp_path: Path) -> None:
    for name, shade in {"a": 1, "b": 1, "c": 2, 'comma, "quote"\nline': 3}.items():
        photo(tmp_path / f"{name[:5]}.jpg", shade)
    ids = ["c", "b", "a", 'comma, "quote"\nline']
    rows = [one(i, f"{i[:5]}.jpg", "x,\ny", skin_tone="3") for i in ids]
    manifest = read_manifest([write_csv(tmp_path / "m.csv", rows)])
    assert manifest["image_id"].tolist() == ids
    assert manifest["group_id"].tolist() == ["c", "a", "a", ids[3]]
    manifest.to_csv(tmp_path / "again.csv", index=False)
    pd.testing.assert_frame_equal(read_manifest([tmp_path / "again.csv"]), manifest)


def test_labelled() -> None:
    manifest = pd.DataFrame({"image_id": ["a", "b", "c"], "label": [None, "x", "y"]})
    assert labelled(manifest)["image_id"].tolist() == ["b", "c"]
    assert labelled(manifest).index.tolist() == [0, 1]


def test_bom_and_crlf_and_blank_lines_are_read(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    table = tmp_path / "m.csv"
    table.write_bytes("\ufeffimage_id,path,label\r\n\r\na,a.jpg,é\r\n".encode())
    assert read_manifest([table])["label"].tolist() == ["é"]


def test_line_breaks_of_any_kind_in_a_cell_are_kept_as_one_kind(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    table = tmp_path / "m.csv"
    table.write_bytes(b'image_id,path,label,"my\rnote"\na,a.jpg,x,"one\rtwo\r\nthree\nfour"\n')
    manifest = read_manifest([table])
    assert manifest["my note"].tolist() == ["one\ntwo\nthree\nfour"]
    record_manifest(tmp_path, manifest)
    pd.testing.assert_frame_equal(read_manifest([tmp_path / "manifest.csv"]), manifest)


def test_a_photo_whose_name_no_csv_keeps_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "a\r.jpg")
    table = tmp_path / "m.csv"
    table.write_bytes(b'image_id,path,label\na,"a\r.jpg",x\n')
    assert "holds a carriage return" in message(table)


# What is wrong is told, all of it at once


def test_every_problem_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg", 9)
    rows = [
        one("a", "a.jpg", "x", skin_tone="7"),  # row 2
        one("two\nlines", "gone.jpg", "x", skin_tone="1"),  # rows 3 and 4
        one("", "b.jpg", "", skin_tone="dark"),  # row 5
        one("a", "", " x", skin_tone="0"),  # row 6
    ]
    first = write_csv(tmp_path / "1.csv", rows)
    second = write_csv(tmp_path / "2.csv", [one("a", "b.jpg", "x")])
    third = write_csv(tmp_path / "3.csv", [{"image_id": "z", "label": "x"}])
    text = message(first, tmp_path / "nowhere", second, third)
    for said in [
        f"{first} row 2: skin_tone '7' is no Fitzpatrick type. Expected 1 to 6, or -1 or an empty",
        f"{first} row 3: there is no photo at path 'gone.jpg' ({tmp_path}/gone.jpg).",
        f"{first} row 5: image_id '' is empty.",
        f"{first} row 5: label '' is empty.",
        f"{first} row 5: skin_tone 'dark'",
        f"{first} row 6: path is empty.",
        f"{first} row 6: label ' x' has spaces around it.",
        f"{first} row 6: skin_tone '0'",
        f"{first} row 6: image_id 'a' is also {first} row 2.",
        f"{second} row 2: image_id 'a' is also {first} row 2.",
        f"{tmp_path}/nowhere does not exist.",
        f"{third} has no column path. Expected image_id, path, label",
        "Received: image_id, label.",
        "The data has 12 problems",
    ]:
        assert said in text
    assert len(text.splitlines()) == 13


def test_many_like_problems_are_counted_and_hide_no_other(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "1.csv", [one(f"{i}", "no.jpg") for i in range(3_000)])
    second = write_csv(tmp_path / "2.csv", [one("q", "no.jpg")])
    text = message(first, second)
    assert "2,990 more rows with no photo" in text
    assert f"{second} row 2" in text
    assert len(text.splitlines()) < 20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"image_id,path,label\n", "has a header but no row"),
        (b"\xff\xd8\xff\xe0 JFIF", "line 1 is not UTF-8 (byte 0xff)"),
        (b"image_id,path,label\na,a.jpg,caf\xe9\n", "line 2 is not UTF-8 (byte 0xe9)"),
        (b"image_id,path,label\na,\0,x\n", "it holds binary data"),
        (b"image_id;path;label\na;a.jpg;x\n", "Separate the columns by commas"),
        (b"image_id,path,label,path\na,a.jpg,x,\n", "has the column 'path' more than once"),
        (b"image_id,path,label\na,a.jpg\n", "row 2 has 2 fields, its header 3"),
        (b'image_id,path,label\na,a.jpg,"x\n', "is not a CSV that can be read: unexpected end"),
        (b"image_id,path,label\na\tb,a.jpg,x\n", "row 2: image_id 'a\\tb' holds a control char"),
        (b"image_id,path,label\na,.,x\n", "row 2: there is no photo at path '.'"),
        (b"image_id,path,label\na," + b"n" * 5000 + b"/a,x\n", "row 2: there is no photo at path"),
    ],
)
def test_files_that_are_no_manifest(tmp_path: Path, content: bytes, said: str) -> None:
    photo(tmp_path / "a.jpg")
    table = tmp_path / "m.csv"
    table.write_bytes(content)
    text = message(table)
    assert said in text
    assert str(table) in text
    assert "The data has a problem" in text


@pytest.mark.parametrize("make", [None, Path.mkdir])
def test_missing_default_data_names_the_ways_to_get_some(tmp_path: Path, make: object) -> None:
    if callable(make):
        make(tmp_path / "data")
    text = message(tmp_path / "data")
    for way in ["python -m ajl_tf.download", "python -m ajl_tf.draw", "--data"]:
        assert way in text


def test_no_source() -> None:
    assert "No data was named" in message()


def test_a_folder_that_may_not_be_read_is_not_called_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: str) -> None:
        raise PermissionError(13, "no", folder)

    photo(tmp_path / "a.jpg")
    table = write_csv(tmp_path / "m.csv", [one()])
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        read_manifest([table])


# Groups


def test_identical_content_is_one_group_of_the_smallest_id(tmp_path: Path) -> None:
    alike = photo(tmp_path / "1.jpg", 50).read_bytes()
    (tmp_path / "2.jpg").write_bytes(alike)
    (tmp_path / "3.jpg").write_bytes(alike[:20] + b"\0" + alike[21:])  # same size, same end
    long = bytes(5000)
    (tmp_path / "4.jpg").write_bytes(long)
    (tmp_path / "5.jpg").write_bytes(b"\1" + long[1:])  # same size, same last 1,024 bytes
    (tmp_path / "6.jpg").write_bytes(long)
    (tmp_path / "7.jpg").write_bytes(b"")
    (tmp_path / "8.jpg").write_bytes(b"")
    ids = ["z", "y", "x", "w", "v", "u", "t", "s"]
    rows = [one(image_id, f"{i}.jpg") for i, image_id in enumerate(ids, 1)]
    manifest = read_manifest([write_csv(tmp_path / "m.csv", rows)])
    assert manifest["group_id"].tolist() == ["y", "y", "x", "u", "v", "u", "s", "s"]


def test_given_groups_are_kept_and_joined_with_identical_content(tmp_path: Path) -> None:
    for i, shade in enumerate([10, 20, 20, 30, 40]):
        photo(tmp_path / f"{i}.jpg", shade)
    given_ids = ["patient", "patient", "", "other", ""]
    rows = [one(f"id{i}", f"{i}.jpg", group_id=name) for i, name in enumerate(given_ids)]
    first = write_csv(tmp_path / "1.csv", rows)
    photo(tmp_path / "5.jpg", 60)
    second = write_csv(tmp_path / "2.csv", [one("a", "5.jpg", group_id="other")])
    manifest = read_manifest([first, second])
    assert manifest["group_id"].tolist() == ["id0", "id0", "id0", "a", "id4", "a"]
    assert assign_groups(manifest)["group_id"].tolist() == manifest["group_id"].tolist()


IDS = [f"p{i:02}" for i in range(12)]


@settings(max_examples=40, deadline=None)
@given(st.permutations(IDS), st.lists(st.lists(st.sampled_from(IDS), min_size=1, max_size=4)))
def test_merge_groups_gives_the_connected_components(
    order: list[str], clusters: list[list[str]]
) -> None:
    # Independent way: let the smallest name flow along the links until nothing changes.
    expected = {image_id: image_id for image_id in IDS}
    for _ in IDS:
        for cluster in clusters:
            low = min(expected[image_id] for image_id in cluster)
            expected.update(dict.fromkeys(cluster, low))
    assert merge_groups(order, clusters) == [expected[image_id] for image_id in order]


def test_merge_groups_refuses_a_photo_it_does_not_know() -> None:
    with pytest.raises(KeyError):
        merge_groups(["a"], [["a", "b"]])


TEXTS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")) | st.sampled_from(",\"\n'"),
    min_size=1,
    max_size=8,
).filter(lambda text: text == text.strip() and not is_formula(text))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6, unique_by=lambda row: row[0]))
def test_any_text_comes_through(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    photo(tmp_path / "a.jpg")
    table = write_csv(tmp_path / "m.csv", [one(i, "a.jpg", label) for i, label in rows])
    manifest = read_manifest([table])
    assert list(zip(manifest["image_id"], manifest["label"], strict=True)) == rows
    assert set(manifest["group_id"]) == {min(i for i, _ in rows)}
