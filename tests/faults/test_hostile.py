"""Files made to do harm: code in a network, formulas in names, photos of broken bytes, links."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ajl_tf import predict
from ajl_tf.dataset.canvases import preprocessor
from ajl_tf.dataset.drops import mark_dropped
from ajl_tf.dataset.listing import photos_to_predict
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.dataset.reading import read_photos
from ajl_tf.errors import UserError, run_verb
from ajl_tf.inspection.photos import open_photo
from ajl_tf.models.classifier import load_classifier
from ajl_tf.runs import record_manifest
from tests.faults.breaking import broken, stored

FORMULAS = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0")
# Wide letters, by which Chinese and Japanese spreadsheets begin one as well, and marks before it.
FORMULAS += ("＝1+1", "＠SUM(A1)", "＋cmd｜' /C calc'！A0", "－ＳＵＭ（A1）", "\ufeff=1+1")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


def test_a_network_that_brings_code_is_refused_and_the_code_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = keras.Input((8, 8, 3))
    code = keras.layers.Lambda(lambda x: [__import__("pathlib").Path("harmed").touch(), x][1])
    keras.Model(photos, code(photos)).save("model.keras")
    Path("harmed").unlink()  # building it ran it
    with pytest.raises(ValueError, match="Lambda"):
        load_classifier(tmp_path / "model.keras")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("place", ["the network", "a layer"])
@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("subprocess", "Popen", {"args": ["touch", "harmed"]}),
        ("os", "system", "touch harmed"),
        ("builtins", "function", "eval"),
    ],
)
def test_a_network_that_names_code_of_others_is_refused_and_the_code_not_run(
    module: str, name: str, config: object, place: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = keras.Input((8, 8, 3))
    keras.Model(photos, keras.layers.Rescaling(2.0)(photos)).save("model.keras")
    with zipfile.ZipFile("model.keras") as file:
        parts = {part: file.read(part) for part in file.namelist()}
    said = json.loads(parts["config.json"])
    changed = said if place == "the network" else said["config"]["layers"][1]
    changed |= {"module": module, "class_name": name, "config": config, "registered_name": None}
    with zipfile.ZipFile("model.keras", "w") as file:
        for part, data in (parts | {"config.json": json.dumps(said).encode()}).items():
            file.writestr(part, data)
    with pytest.raises(ValueError, match=r"^.{20,310}$"):
        load_classifier(tmp_path / "model.keras")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("name", FORMULAS)
def test_names_that_a_spreadsheet_would_run_are_refused(name: str, photo: Path) -> None:
    csv = photo.with_name("list.csv")
    for column in ("image_id", "label"):
        row = {"image_id": "a", "path": photo.name, "label": "acne", column: name}
        pd.DataFrame([row]).to_csv(csv, index=False)
        with pytest.raises(UserError, match=f"{column} .* would be run as a formula"):
            read_manifest([csv])


@pytest.mark.parametrize("space", [" ", "\t", "\r", "\n", "\u3000", "\u00a0"])
def test_no_space_before_a_formula_hides_it(space: str, photo: Path) -> None:
    csv = photo.with_name("list.csv")
    row = {"image_id": f"{space}=1+1", "path": photo.name, "label": "acne"}
    pd.DataFrame([row]).to_csv(csv, index=False, quoting=1)
    with pytest.raises(UserError, match="has spaces around it"):
        read_manifest([csv])
    if space not in "\t\r\n":  # which no name of a photo may hold
        photo.rename(photo.with_name(f"{space}=1+1.png"))
        with pytest.raises(UserError, match="run as formulas"):
            photos_to_predict(photo.parent)


def test_other_texts_that_a_spreadsheet_would_run_are_written_as_texts(
    photo: Path, tmp_path: Path
) -> None:
    row = {"image_id": "a", "path": photo.name, "label": "acne", "group_id": "=1", "age": "-3"}
    row |= {"note": "\t@SUM(A1)", "=2+2": "red (left)", "more": "- raised (arm)"}
    pd.DataFrame([row]).to_csv(tmp_path / "list.csv", index=False, quoting=1)
    (tmp_path / "drop.csv").write_text("image_id,reason\na,=1+1\n")
    manifest = mark_dropped(read_manifest([tmp_path / "list.csv"]), str(tmp_path / "drop.csv"), [])
    assert record_manifest(tmp_path, manifest) == 1
    told = pd.read_csv(tmp_path / "manifest.csv", dtype=str).iloc[0].to_dict()
    assert told == {
        **{"image_id": "a", "path": str(photo), "label": "acne", "skin_tone": "-1"},
        **{"group_id": "a", "age": "-3", "note": "'\t@SUM(A1)", "'=2+2": "red (left)"},
        **{"more": "'- raised (arm)", "drop_reason": "'=1+1"},
    }
    assert (tmp_path / "dropped.csv").read_text() == "image_id,reason\na,'=1+1\n"
    again = read_manifest([tmp_path / "manifest.csv"])
    assert again["note"].tolist() == ["'\t@SUM(A1)"]  # no second apostrophe


@pytest.mark.parametrize("name", ["-3", "－3", "+x", "a=b", "x@y", "1-(2)", "(=)"])
def test_names_that_none_would_run_are_taken(name: str, photo: Path) -> None:
    csv = photo.with_name("list.csv")
    row = {"image_id": name, "path": photo.name, "label": "acne"}
    pd.DataFrame([row]).to_csv(csv, index=False)
    assert read_manifest([csv])["image_id"].tolist() == [name]


def test_so_are_names_of_files(
    photo: Path, tmp_path: Path, saved_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo.rename(folder / "=1+1.png")
    out = tmp_path / "predictions.csv"
    assert run_verb(predict.main, [str(saved_model), str(folder), "--out", str(out)]) == 2
    assert "as formulas:\n  - " in (said := capsys.readouterr().err)
    assert "=1+1.png\nRename them." in said
    assert not out.exists()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_that_is_an_archive_or_a_page_as_well_is_its_pixels(
    kind: str, tmp_path: Path
) -> None:
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "plain", kind)
    photo = (tmp_path / "plain").read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../harmed", "x")
    page = b"<html><script>document.title = 'harmed'</script></html>"
    tails = {"zip": archive.getvalue(), "page": page, "both": page + archive.getvalue()}
    for name, tail in tails.items():
        (tmp_path / name).write_bytes(photo + tail)
    assert zipfile.is_zipfile(tmp_path / "zip")
    paths = [tmp_path / name for name in ("plain", *tails)]
    plain, *others = read_photos(paths, preprocessor(48, "cover"))
    assert not isinstance(plain, str)
    for other in others:
        assert np.array_equal(plain, other)
    (tmp_path / "page first").write_bytes(page + photo)
    (refused,) = read_photos([tmp_path / "page first"], preprocessor(48, "cover"))
    assert isinstance(refused, str)


def test_links_lead_to_no_other_folder(photo: Path, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "photos"
    for place in (outside, folder):
        place.mkdir()
    shutil.copy(photo, outside / "other.png")
    photo.rename(folder / "own.png")
    (folder / "deeper").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "again.png").symlink_to(folder / "own.png")
    (folder / "gone.png").symlink_to("nothing.png")
    (folder / "itself.png").symlink_to("itself.png")
    listed = photos_to_predict(folder)
    assert listed["image_id"].tolist() == ["again", "gone", "itself", "own"]
    again, gone, itself, own = read_photos(listed["path"].tolist(), preprocessor(8, "cover"))
    assert np.array_equal(own, again)
    for unread in (gone, itself):
        assert isinstance(unread, str)
        assert unread.startswith("cannot be read: ")
    photo.with_name("photos too").symlink_to(folder)  # the folder itself may be a link
    assert len(photos_to_predict(photo.with_name("photos too"))) == 4


@pytest.mark.parametrize("target", ["secret.txt", "other.png", "nothing.jpg"])
def test_a_link_that_leads_out_of_the_folder_is_refused(
    target: str,
    photo: Path,
    tmp_path: Path,
    saved_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "photos"
    for place in (outside, folder):
        place.mkdir()
    (outside / "secret.txt").write_text("password: hunter2")
    photo.rename(outside / "other.png")
    (folder / "linked.jpg").symlink_to(f"../outside/{target}")
    out = tmp_path / "predictions.csv"
    assert run_verb(predict.main, [str(saved_model), str(folder), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"links leading out of it:\n  - {folder / 'linked.jpg'}\nPut the photos there" in said
    assert "hunter2" not in said
    assert not out.exists()


def test_of_a_broken_photo_comes_a_picture_or_a_reason(tmp_path: Path) -> None:
    """A few of what `fuzz_photos.py` tries ten thousand of, in processes of their own."""
    photos, preprocess = stored(), preprocessor(48, "cover")
    paths = [tmp_path / str(number) for number in range(120)]
    for number, path in enumerate(paths):
        path.write_bytes(broken(photos, number))
    read = list(read_photos(paths, preprocess))
    pictures = [canvas for canvas in read if not isinstance(canvas, str)]
    assert {canvas.shape for canvas in pictures} == {(48, 48, 3)}
    assert 5 < len(pictures) < 60
    many = list(read_photos(paths * 3, preprocess))  # so many that tf.data reads them
    for together, alone in zip(many, read * 3, strict=True):
        np.testing.assert_array_equal(together, alone)
    seen = [_seen(path.read_bytes()) for path in paths]
    assert all(seen)
    assert 5 < seen.count("a picture") < 60


def _seen(data: bytes) -> str:
    try:
        return "a picture" if open_photo(data).image.ndim == 3 else ""
    except ValueError as error:
        return str(error)
