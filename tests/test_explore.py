"""The explore verb: what it writes, what it says, and what it does with awkward data."""

from __future__ import annotations

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ajl_tf import explore
from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.errors import run_verb

HTML = '<img src=x onerror="alert(1)"> & "b", \'c\' $x_1$'


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def told(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory, cache: str) -> tuple[Path, str]:
    """A folder that the verb made, and what it printed."""
    out = tmp_path_factory.mktemp("explored") / "new" / "out"
    with redirect_stdout(io.StringIO()) as printed:
        assert run_verb(explore.main, [str(drawn_set), "--out", str(out), "--cache", cache]) == 0
    return out, printed.getvalue()


@pytest.fixture(scope="module")
def explored(told: tuple[Path, str]) -> Path:
    return told[0]


def numbers(folder: Path) -> dict[str, Any]:
    text = (folder / "explore.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    return found


def test_the_folder_holds_what_the_help_names(explored: Path) -> None:
    files = {path.relative_to(explored).as_posix() for path in explored.rglob("*.*")}
    tables = ("photos", "manifest", "unlabelled", "duplicates", "quality", "tone")
    figures = ("label_by_tone", "quality", "sizes", "tone")
    assert files == {
        "explore.html",
        "explore.json",
        "FILES.sha256",
        *(f"{name}.csv" for name in tables),
        *(f"figures/{name}.svg" for name in figures),
    }
    for name in figures:
        ET.parse(explored / "figures" / f"{name}.svg")


def test_the_numbers_are_those_of_the_data(explored: Path, drawn_set: Path) -> None:
    found = numbers(explored)
    train, test = (pd.read_csv(drawn_set / f"{name}.csv") for name in ("train", "test"))
    assert found["counts"]["photos"] == len(train) + len(test)
    labels = {row["label"]: row["photos"] for row in found["counts"]["labels"]}
    assert labels == dict(Counter(train["label"]))
    tones = {row["tone"]: row["labelled"] for row in found["counts"]["tones"]}
    counts = Counter(train["fitzpatrick_scale"])
    assert tones == {str(t) if t > 0 else "unknown": counts[t] for t in (1, 2, 3, 4, 5, 6, -1)}
    assert found["tree"]["is_tree"]
    assert found["files"]["readable"] == len(train) + len(test)
    assert (found["doubts"], found["leaks"]) == (None, None)
    assert found["tone"]["columns"][0]["spearman"] < -0.5


def test_copies_that_were_drawn_share_a_group(explored: Path, drawn_set: Path) -> None:
    truth = pd.read_csv(drawn_set / "drawn_truth.csv").dropna(subset="copy_of")
    rows = pd.concat([pd.read_csv(explored / f"{n}.csv") for n in ("manifest", "unlabelled")])
    group = rows.set_index("image_id")["group_id"]
    same = group[truth["md5hash"]].to_numpy() == group[truth["copy_of"]].to_numpy()
    assert same.mean() > 0.8
    pairs = pd.read_csv(explored / "duplicates.csv")
    assert (group[pairs["first"]].to_numpy() == pairs["group_id"].to_numpy()).all()


def test_the_manifest_is_one_that_other_commands_read(explored: Path, drawn_set: Path) -> None:
    from ajl_tf.assessment.predictions import read_manifest_columns

    again = read_manifest([explored / "manifest.csv"])
    original = read_manifest([drawn_set / "train.csv"])
    columns = ["image_id", "path", "label", "skin_tone", "fitzpatrick_centaur"]
    pd.testing.assert_frame_equal(again[columns], original[columns])
    written = pd.read_csv(explored / "manifest.csv", dtype=str)
    groups = [pd.factorize(table["group_id"])[0].tolist() for table in (again, written)]
    assert groups[0] == groups[1]  # under another name where its first photo is a test photo
    assert len(read_manifest_columns(explored / "manifest.csv")) == len(original)
    assert len(read_manifest([explored / "unlabelled.csv"], labels=False)) == 100 - len(original)


def test_the_summary_says_where_everything_is(told: tuple[Path, str]) -> None:
    out, said = told
    assert str(out / "explore.html") in said
    assert "100  photos" in said


def test_no_photo_is_in_the_page_unless_asked_for(
    told: tuple[Path, str],
    drawn_set: Path,
    tmp_path: Path,
    cache: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, said = told
    page = (out / "explore.html").read_text()
    assert "data:image" not in page
    assert "--with-images" in page
    assert "--with-images" in said
    monkeypatch.chdir(tmp_path)
    assert run_verb(explore.main, [str(drawn_set), "--cache", cache, "--with-images"]) == 0
    assert "keep it as you keep the photos" in capsys.readouterr().out
    default = tmp_path / "data" / "explored" / drawn_set.name / "explore.html"
    assert default.read_text().count("data:image/jpeg") > 50


def test_a_folder_of_the_users_is_refused_before_any_work(
    drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    arguments = ["--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert run_verb(explore.main, [str(drawn_set), *arguments]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A CSV with HTML, commas and line feeds in labels, without any tone, and bad photos."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    rows = []
    for number in range(12):
        name = f"photos/{number} #%.png"
        picture = rng.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(picture).resize((120, 80), Image.Resampling.BICUBIC).save(tmp_path / name)
        label = (HTML, "a\nb", "乾癬 \U0001fa7a", "+1-1")[number % 4]
        rows.append([f"<b>{number}</b>", name, label])
    (tmp_path / rows[0][1]).write_text("dear diary")
    (tmp_path / rows[1][1]).write_bytes(b"")
    cut = (tmp_path / rows[2][1]).read_bytes()
    (tmp_path / rows[2][1]).write_bytes(cut[: len(cut) // 2])
    shutil.copy(tmp_path / rows[3][1], tmp_path / rows[4][1])  # another label: a conflict
    path = tmp_path / "hostile <i>.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image_id", "path", "label"], *rows])
    return path


def test_awkward_data(hostile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(hostile), "--out", str(out), "--with-images", "--cache", str(tmp_path / "c")]
    assert run_verb(explore.main, arguments) == 0
    found = numbers(out)
    assert {row["label"] for row in found["counts"]["labels"]} >= {HTML, "a\nb"}
    assert [row["image_id"] for row in found["files"]["unreadable"]] == [
        f"<b>{number}</b>" for number in range(3)
    ]
    assert all(row["reason"] for row in found["files"]["unreadable"])
    assert found["duplicates"]["conflicting"] == 1
    assert [found[name] for name in ("tree", "tone_columns", "remarks", "sides")] == [None] * 4
    quality = pd.read_csv(out / "quality.csv")
    assert (quality["issue"] == "unreadable").sum() == 3
    page = (out / "explore.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "<b>0</b>" not in page
    assert "hostile <i>" not in page
    assert page.count("Left out: ") >= 4
    assert len(read_manifest([out / "manifest.csv"])) == 12


def test_photos_of_which_none_can_be_read_are_an_error(
    hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(hostile).head(2).to_csv(tmp_path / "it.csv", index=False)
    arguments = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    assert run_verb(explore.main, [str(tmp_path / "it.csv"), *arguments]) == 2
    said = capsys.readouterr().err
    assert "<b>0</b>: not a JPEG" in said
    assert "<b>1</b>: " in said
    assert not (tmp_path / "out").exists()


def test_photos_without_any_label(hostile: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(hostile)[["image_id", "path"]].assign(skin_tone=[1, 6] * 6)
    rows.to_csv(tmp_path / "it.csv", index=False)
    arguments = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    assert run_verb(explore.main, [str(tmp_path / "it.csv"), *arguments]) == 0
    found = numbers(tmp_path / "out")
    assert (found["counts"]["labels"], found["counts"]["unlabelled"]) == ([], 12)
    assert not (tmp_path / "out" / "unlabelled.csv").exists()
    assert len(read_manifest([tmp_path / "out" / "manifest.csv"], labels=False)) == 12


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("leaks", [False, True])
def test_a_split_that_leaks_is_exit_code_1(
    leaks: bool, named: bool, hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = {"<b>3</b>", "<b>4</b>"}
    ids = pd.read_csv(hostile)["image_id"]
    held_out = ids.isin(["<b>4</b>"] if leaks else ["<b>3</b>", "<b>4</b>", "<b>9</b>"])
    split = pd.DataFrame({"image_id": ids, "split": np.where(held_out, "validation", "train")})
    split.to_csv(tmp_path / "split.csv", index=False)
    data, arguments = hostile, ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    if named:
        arguments += ["--split", str(tmp_path / "split.csv")]
    else:  # in the manifest itself
        data = tmp_path / "it.csv"
        pd.read_csv(hostile, dtype=str).merge(split).to_csv(data, index=False)
    code = run_verb(explore.main, [str(data), *arguments])
    assert code == (1 if leaks else 0)
    found = pd.read_csv(tmp_path / "out" / "leaks.csv")
    assert set(found["image_id"]) == (copies if leaks else set())
    assert numbers(tmp_path / "out")["leaks"]["statement"] in capsys.readouterr().out


def test_predictions_that_the_model_was_trained_on_are_refused(
    drawn_set: Path, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = pd.read_csv(drawn_set / "train.csv")["md5hash"]
    table = pd.DataFrame({"image_id": ids, "label": "a", "predicted": "a", "prob_a": 1.0})
    table.to_csv(tmp_path / "predictions.csv", index=False)
    arguments = ["--predictions", str(tmp_path / "predictions.csv"), "--out", str(tmp_path / "out")]
    assert run_verb(explore.main, [str(drawn_set), "--cache", cache, *arguments]) == 2
    assert "not trained on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
