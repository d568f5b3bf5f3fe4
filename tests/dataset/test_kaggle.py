"""The competition's data in every layout, and what is refused of it."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.errors import UserError

TRAIN = """\
md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,qc
t1,4,3,eczema,
t2,-1,2,eczema,1 Diagnostic
t3,,1,keloid,
"""
TEST = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,qc\ns1,6,5,\ns2,1,1,\n"
LABELS = {"t1": "eczema", "t2": "eczema", "t3": "keloid"}
LAYOUTS = {
    "doubled": ("train/train/{label}", "test/test"),
    "single": ("train/{label}", "test"),
    "doubled, flat": ("train/train", "test/test"),
    "single, flat": ("train", "test"),
    "beside the CSV": (".", "."),
    "labels beside the CSV": ("{label}", "."),
}


def competition(folder: Path, layout: str = "doubled") -> Path:
    """A competition of three training and two test photos, all of different content."""
    train, test = LAYOUTS[layout]
    for shade, image_id in enumerate(["t1", "t2", "t3", "s1", "s2"]):
        place = train if image_id in LABELS else test
        path = folder / place.format(label=LABELS.get(image_id)) / f"{image_id}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 40 * shade).save(path)
    (folder / "train.csv").write_text(TRAIN, encoding="utf-8")
    (folder / "test.csv").write_text(TEST, encoding="utf-8")
    (folder / "sample_submission.csv").write_text("md5hash,label\ns1,eczema\n", encoding="utf-8")
    return folder


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(folder.rglob("*")):
            target.write(path, Path(prefix) / path.relative_to(folder))
    return archive


def message(*sources: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_manifest(sources)
    return str(caught.value)


def shade(path: str) -> int:
    with Image.open(path) as image:
        return round(image.getpixel((0, 0)) / 40)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_manifest(tmp_path: Path, layout: str) -> None:
    manifest = read_manifest([competition(tmp_path, layout)])
    assert manifest["image_id"].tolist() == ["t1", "t2", "t3", "s1", "s2"]
    assert manifest["label"].fillna("none").tolist() == ["eczema", "eczema", "keloid"] + 2 * [
        "none"
    ]
    assert manifest["skin_tone"].tolist() == [4, -1, -1, 6, 1]
    assert manifest["fitzpatrick_centaur"].tolist() == ["3", "2", "1", "5", "1"]
    assert manifest["qc"].fillna("").tolist() == ["", "1 Diagnostic", "", "", ""]
    assert [shade(path) for path in manifest["path"]] == [0, 1, 2, 3, 4]
    assert all(Path(path).is_absolute() for path in manifest["path"])
    assert not {"md5hash", "fitzpatrick_scale"} & set(manifest)
    assert labelled(manifest)["image_id"].tolist() == ["t1", "t2", "t3"]


def test_the_csvs_alone_under_any_name(tmp_path: Path) -> None:
    competition(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "subset.csv")
    assert read_manifest([tmp_path / "subset.csv"])["label"].notna().tolist() == [True] * 3
    assert read_manifest([tmp_path / "test.csv"])["label"].isna().tolist() == [True] * 2
    both = read_manifest([tmp_path / "test.csv", tmp_path / "subset.csv"])
    assert both["image_id"].tolist() == ["s1", "s2", "t1", "t2", "t3"]


def test_a_relative_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    competition(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert read_manifest(["data"])["path"][0] == f"{tmp_path}/data/train/train/eczema/t1.jpg"


# The zip


@pytest.mark.parametrize("prefix", ["", "bttai-ajl-2025"])
def test_zip_and_folder_that_holds_it(tmp_path: Path, prefix: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "README.md").touch()
    archive = zipped(competition(tmp_path / "made"), data / "bttai-ajl-2025.zip", prefix)
    expected = read_manifest([tmp_path / "made"]).drop(columns="path")
    for source in (archive, data):
        manifest = read_manifest([source])
        assert manifest.drop(columns="path").equals(expected)
        assert [shade(path) for path in manifest["path"]] == [0, 1, 2, 3, 4]
    assert len(list(data.iterdir())) == 3  # README, zip, one folder: no leftovers


def test_a_zip_is_unpacked_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    made = competition(tmp_path / "made")
    archive = zipped(made, tmp_path / "it.zip")
    first = read_manifest([archive])["path"][0]
    Path(first).write_bytes(b"\xff\xd8 mine")
    assert read_manifest([archive])["path"][0] == first
    assert Path(first).read_bytes() == b"\xff\xd8 mine"
    (made / "train.csv").write_text(TRAIN.replace("keloid", "eczema"), encoding="utf-8")
    (made / "train/train/keloid/t3.jpg").rename(made / "train/train/eczema/t3.jpg")
    again = read_manifest([zipped(made, archive)])
    assert again["label"].dropna().unique().tolist() == ["eczema"]
    assert again["path"][0] != first
    assert Path(first).read_bytes() == b"\xff\xd8 mine"


def test_a_kill_while_unpacking_leaves_nothing_to_be_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")

    def interrupted(zipped: zipfile.ZipFile, folder: Path) -> None:
        zipped.extract("train.csv", folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_manifest([archive])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.zip", "made"]
    assert len(read_manifest([archive])) == 5


def test_two_processes_may_unpack_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")
    rename = Path.rename

    def overtaken(temporary: Path, folder: Path) -> Path:
        shutil.copytree(temporary, folder)
        return rename(temporary, folder)

    monkeypatch.setattr(Path, "rename", overtaken)
    assert len(read_manifest([archive])) == 5
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt"])
def test_zip_slip_is_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(zipfile.ZipInfo(name), "evil")
    text = message(archive)
    assert "refused, nothing was unpacked" in text
    assert repr(name) in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.zip", "made"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")
    link = zipfile.ZipInfo("train/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(link, "/etc")
    assert "or are links. Received: 'train/link'" in message(archive)


def test_damaged_zips(tmp_path: Path) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    assert "cannot be unpacked" in message(archive)
    at = content.index(b"md5hash,fitz")  # stored, not compressed: break the CSV, not its checksum
    archive.write_bytes(content[:at] + b"M" + content[at + 1 :])
    assert "cannot be unpacked: Bad CRC-32" in message(archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.zip", "made"]


def test_other_zips(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "a.txt").touch()
    archive = zipped(made, tmp_path / "it.zip")
    assert f"{archive} holds no train.csv or test.csv" in message(archive)
    shutil.copy(archive, tmp_path / "b.zip")
    assert "several zips. Name one of them with --data: b.zip, it.zip" in message(tmp_path)


def test_a_zip_larger_than_the_disk_is_told_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(competition(tmp_path / "made"), tmp_path / "it.zip")
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert f"{archive} needs 0.0 GB unpacked; {tmp_path} has 0.0 GB free" in message(archive)


# What is refused


def test_a_folder_that_holds_the_data_one_level_down(tmp_path: Path) -> None:
    competition(tmp_path / "deep")
    assert f"Did you mean {tmp_path}/deep?" in message(tmp_path)


def test_photos_that_are_missing(tmp_path: Path) -> None:
    competition(tmp_path)
    (tmp_path / "train/train/eczema/t2.jpg").unlink()
    (tmp_path / "test/test/s1.jpg").unlink()
    (tmp_path / "test/test/s1.jpg").mkdir()
    text = message(tmp_path)
    assert f"{tmp_path}/train.csv row 3: md5hash 't2' has no photo train/train/<label>/" in text
    assert f"{tmp_path}/test.csv row 2: md5hash 's1' has no photo test/test/" in text
    assert "2 problems" in text


def test_no_photo_at_all_is_one_problem(tmp_path: Path) -> None:
    competition(tmp_path)
    shutil.rmtree(tmp_path / "train")
    text = message(tmp_path)
    assert f"train.csv has 3 rows, and no photo of theirs is below {tmp_path}" in text
    assert "a problem" in text


@pytest.mark.parametrize("image_id", ["../t1", "/etc/t1", "eczema/t1", "..\\t1"])
def test_an_md5hash_that_leads_elsewhere(tmp_path: Path, image_id: str) -> None:
    competition(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "train/train/t1.jpg")
    (tmp_path / "train.csv").write_text(TRAIN.replace("t1", image_id), encoding="utf-8")
    assert f"train.csv row 2: md5hash {image_id!r} is no plain file name" in message(tmp_path)


def test_a_label_leads_nowhere_else(tmp_path: Path) -> None:
    competition(tmp_path / "data")
    (tmp_path / "data/train/train/keloid/t3.jpg").rename(tmp_path / "t3.jpg")
    text = TRAIN.replace("keloid", "../../..")
    (tmp_path / "data/train.csv").write_text(text, encoding="utf-8")
    assert "train.csv row 4: md5hash 't3' has no photo" in message(tmp_path / "data")


def test_links_out_of_the_folder_are_refused_and_links_inside_are_not(tmp_path: Path) -> None:
    data = competition(tmp_path / "data")
    (data / "train/train/eczema/t1.jpg").rename(tmp_path / "t1.jpg")
    (data / "train/train/eczema/t1.jpg").symlink_to(tmp_path / "t1.jpg")
    (data / "train/train/keloid").rename(tmp_path / "keloid")
    (data / "train/train/keloid").symlink_to(tmp_path / "keloid")
    (data / "test/test").rename(data / "photos")
    (data / "test/test").symlink_to(data / "photos")
    text = message(data)
    for line, image_id in ((2, "t1"), (4, "t3")):
        said = f"train.csv row {line}: md5hash {image_id!r} has a photo that is a link leading out"
        assert said in text
    assert "2 problems" in text
    (tmp_path / "linked").symlink_to(data)
    assert len(read_manifest([tmp_path / "linked/test.csv"])) == 2


def test_columns(tmp_path: Path) -> None:
    competition(tmp_path)
    train = tmp_path / "train.csv"
    train.write_text(TRAIN.replace("label", "lable"), encoding="utf-8")
    assert f"{train} has no column label. Expected" in message(tmp_path)
    train.write_text(TRAIN.replace("fitzpatrick_centaur", "skin_tone"), encoding="utf-8")
    assert f"{train} has md5hash and also skin_tone" in message(tmp_path)
    train.write_text(TRAIN.replace("fitzpatrick_centaur", "path"), encoding="utf-8")
    assert f"{train} has md5hash and also path" in message(tmp_path)
    submission = tmp_path / "sample_submission.csv"
    assert f"{submission} has no column fitzpatrick_scale" in message(submission)


def test_cells_are_told_by_the_names_that_the_csv_has(tmp_path: Path) -> None:
    competition(tmp_path)
    text = (
        TRAIN.replace("t1,4", "t1,7").replace("eczema,1", ",1") + ",3,3,keloid,\nt1,1,1,eczema,\n"
    )
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    said = message(tmp_path)
    assert "train.csv row 2: fitzpatrick_scale '7' is no Fitzpatrick type" in said
    assert "train.csv row 3: label '' is empty" in said
    assert "train.csv row 5: md5hash '' is empty" in said
    assert f"train.csv row 6: image_id 't1' is also {tmp_path}/train.csv row 2" in said


def test_a_photo_in_train_and_test_is_told(tmp_path: Path) -> None:
    competition(tmp_path)
    (tmp_path / "test.csv").write_text(TEST.replace("s2", "t2"), encoding="utf-8")
    assert f"test.csv row 3: image_id 't2' is also {tmp_path}/train.csv row 3" in message(tmp_path)


def test_the_real_data(real_set: Path) -> None:
    manifest = read_manifest([str(real_set)])
    assert len(manifest) == 2_860 + 1_227
    known = labelled(manifest)
    assert len(known) == 2_860
    assert known["label"].nunique() == 21
    assert known["label"].value_counts().agg(["min", "max"]).tolist() == [43, 407]
    tones = known["skin_tone"].value_counts().to_dict()
    assert tones == {-1: 108, 1: 528, 2: 964, 3: 562, 4: 393, 5: 216, 6: 89}
