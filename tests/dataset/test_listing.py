"""What a folder, a CSV or the competition's folder holds to predict."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf.dataset import listing
from ajl_tf.dataset.formulas import is_formula
from ajl_tf.dataset.listing import photos_to_predict
from ajl_tf.errors import UserError


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def message(source: Path) -> str:
    with pytest.raises(UserError) as caught:
        photos_to_predict(source)
    return str(caught.value)


def test_a_folder_is_searched_at_every_depth_for_photos_alone(tmp_path: Path) -> None:
    names = ("b.jpg", "a/c.PNG", "a/d.e.jpeg", "a/b/f.webp", "g.HEIC", "h.tif")
    others = ("notes.txt", "list.csv", ".hidden.jpg", "a/._b.jpg", "jpg", "b.jpg.part")
    rows = photos_to_predict(touched(tmp_path, *names, *others))
    expected = {"b", "a/c", "a/d.e", "a/b/f", "g", "h"}
    assert set(rows["image_id"]) == expected
    assert rows["path"].tolist() == sorted(str(tmp_path / name) for name in names)
    for image_id, path in zip(rows["image_id"], rows["path"], strict=True):
        assert str(Path(path).with_suffix("")) == str(tmp_path / image_id)


def test_two_photos_of_one_name_are_refused(tmp_path: Path) -> None:
    touched(tmp_path, "a/b.jpg", "a/b.png", "b.jpg", "c.jpeg", "c.JPG")
    said = message(tmp_path)
    for name in ("a/b.jpg", "a/b.png", "c.jpeg", "c.JPG"):
        assert str(tmp_path / name) in said
    assert str(tmp_path / "b.jpg") not in said


def test_names_that_no_csv_can_hold_are_refused(tmp_path: Path) -> None:
    touched(tmp_path, "fine é\u202f.jpg", "tab\there.jpg", "line\nfeed.jpg", "return\r.jpg")
    Path(os.fsdecode(bytes(tmp_path) + b"/latin\xe9.jpg")).write_bytes(b"x")
    said = message(tmp_path)
    assert "tab\\there.jpg" in said
    assert "return\\r.jpg" in said
    assert "latin\\udce9.jpg" in said
    assert "fine" not in said
    assert "feed" not in said


def test_a_folder_without_photos_says_what_was_looked_for(tmp_path: Path) -> None:
    assert ".jpg .jpeg" in message(touched(tmp_path, "notes.txt"))


def test_a_folder_that_cannot_be_listed_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuses(path: str) -> object:  # root may read everything, so permissions would not do
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    with pytest.raises(PermissionError):
        photos_to_predict(tmp_path)


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc"]),
    min_size=1,
    max_size=20,
).filter(lambda name: not name.startswith(".") and not is_formula(name))


@given(st.sets(names, min_size=1, max_size=5))
@settings(max_examples=25)
def test_any_name_is_listed_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, many: set[str]
) -> None:
    folder = touched(tmp_path_factory.mktemp("any"), *(f"{name}.jpg" for name in many))
    assert set(photos_to_predict(folder)["image_id"]) == many


def test_a_csv_keeps_its_order_and_its_columns(tmp_path: Path) -> None:
    touched(tmp_path, "b.jpg", "a.png")
    csv = tmp_path / "mine.csv"
    csv.write_text("image_id,path,skin_tone,ward\nz,b.jpg,4,7\na,a.png,,NA\n", encoding="utf-8")
    rows = photos_to_predict(csv)
    assert rows["image_id"].tolist() == ["z", "a"]
    assert rows["path"].tolist() == [str(tmp_path / "b.jpg"), str(tmp_path / "a.png")]
    assert rows["skin_tone"].tolist() == [4, -1]
    assert rows["ward"].tolist() == ["7", "NA"]


def test_of_the_competition_the_test_rows_count(drawn_set: Path) -> None:
    rows = photos_to_predict(drawn_set)
    header, *lines = (drawn_set / "test.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("md5hash,")
    assert rows["image_id"].tolist() == [line.split(",")[0] for line in lines]
    assert rows["image_id"].tolist() == listing.test_ids(drawn_set)
    assert rows["path"].str.contains("/test/test/").all()


@pytest.mark.parametrize(
    "columns", ["image_id,path\nz,b.jpg\n", "md5hash,fitzpatrick_scale\nb,1\n"], ids=["own", "none"]
)
def test_only_the_competitions_test_csv_has_ids_for_a_submission(
    tmp_path: Path, columns: str
) -> None:
    touched(tmp_path, "b.jpg")
    csv = tmp_path / ("test.csv" if columns.startswith("image_id") else "mine.csv")
    csv.write_text(columns, encoding="utf-8")
    with pytest.raises(UserError, match=r"no test\.csv with a column md5hash"):
        listing.test_ids(csv)


def test_ids_that_look_like_nothing_are_ids(tmp_path: Path) -> None:
    touched(tmp_path, "test/test/NA.jpg", "test/test/null.jpg", "test/test/1e5.jpg")
    lines = "md5hash,fitzpatrick_scale\nNA,1\nnull,2\n1e5,3\n"
    (tmp_path / "test.csv").write_text(lines, encoding="utf-8")
    assert listing.test_ids(tmp_path) == ["NA", "null", "1e5"]
    assert photos_to_predict(tmp_path)["image_id"].tolist() == ["NA", "null", "1e5"]


def test_the_zip_as_kaggle_gives_it_is_the_competition(drawn_set: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.make_archive(str(data / "bttai-ajl-2025"), "zip", drawn_set)
    rows = photos_to_predict(data)
    assert rows["image_id"].tolist() == listing.test_ids(drawn_set)
    again = photos_to_predict(data)  # beside what was unpacked
    assert again["image_id"].tolist() == listing.test_ids(data)


def test_another_zip_among_photos_changes_nothing(tmp_path: Path) -> None:
    touched(tmp_path, "a.jpg")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as zipped:
        zipped.writestr("train.txt", "none of ours")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    assert photos_to_predict(tmp_path)["image_id"].tolist() == ["a"]
