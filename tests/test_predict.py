"""The predict verb: every photo once, bad ones aside, nothing overwritten, submissions exact."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ajl_tf import predict
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.dataset.formulas import is_formula
from ajl_tf.errors import run_verb
from ajl_tf.serving import batch, savedmodel

CLASS_NAMES = ["tinea", "acne, mild", 'the "other"']
PROBABILITIES = [f"prob_{name}" for name in CLASS_NAMES]
Predict = Callable[..., int]


@pytest.fixture(scope="module")
def run(saved_model: Path) -> Iterator[Predict]:
    """The verb with the tiny SavedModel, loaded once; returns the exit code."""

    def call(photos: Path, out: Path, *options: str, model: Path = saved_model) -> int:
        return run_verb(predict.main, [str(model), str(photos), "--out", str(out), *options])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(savedmodel, "load", functools.cache(savedmodel.load))
        yield call


@pytest.fixture
def folder(drawn_set: Path, tmp_path: Path) -> Path:
    """Nine photos in nested folders, among other files."""
    folder = tmp_path / "photos"
    for number, path in enumerate(sorted((drawn_set / "test" / "test").glob("*.jpg"))[:9]):
        target = folder / f"{number % 3}" / f"{path.stem}.JPG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "notes.txt").write_text("not a photo, and not meant as one")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


def expected(saved_model: Path, paths: list[Path]) -> np.ndarray:
    """Probabilities by the other signature, from the whole files at once."""
    model = tf.saved_model.load(str(saved_model))
    files = tf.constant([path.read_bytes() for path in paths])
    probabilities: np.ndarray = model.signatures["serve_bytes"](files)["probabilities"].numpy()
    return probabilities


def test_a_folder_gives_each_photo_its_row(
    run: Predict,
    folder: Path,
    saved_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "new" / "folder" / "predictions.csv"
    assert run(folder, out, "--batch-size", "4") == 0
    table = read_predictions(out)
    paths = sorted(folder.rglob("*.JPG"))
    assert table["image_id"].tolist() == [f"{p.parent.name}/{p.stem}" for p in paths]
    probabilities = expected(saved_model, paths)
    np.testing.assert_allclose(table[PROBABILITIES], probabilities, atol=1e-5)
    assert table["predicted"].tolist() == [CLASS_NAMES[i] for i in probabilities.argmax(axis=1)]
    assert table["predicted"].nunique() > 1
    assert list(table) == ["image_id", "predicted", *PROBABILITIES]
    assert list(out.parent.iterdir()) == [out]
    said = capsys.readouterr()
    assert f"predictions  {out} (9 of 9 photos)" in said.out
    assert "predicting" in said.err


def test_a_csv_takes_along_what_it_says_of_its_photos(
    run: Predict, folder: Path, tmp_path: Path
) -> None:
    paths = sorted(folder.rglob("*.JPG"))[:6]
    source = tmp_path / "list.csv"
    labels = ["", "", "tinea", "", "acne, mild", ""]  # of the first two batches, the first has none
    rows = zip("fedcba", paths, labels, [1, 2, "", 4, 5, 6], strict=True)
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "path", "label", "skin_tone"), *rows])
    out = tmp_path / "predictions.csv"
    assert run(source, out, "--batch-size", "2") == 0
    table = read_predictions(out)
    assert table["image_id"].tolist() == list("fedcba")
    assert table["label"].fillna("").tolist() == labels
    assert table["skin_tone"].tolist() == [1, 2, -1, 4, 5, 6]


def test_a_csv_without_labels_has_none_in_its_predictions(
    run: Predict, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "list.csv"
    source.write_text(f"image_id,path\na,{next(folder.rglob('*.JPG'))}\n")
    assert run(source, tmp_path / "predictions.csv") == 0
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert not {"label", "split", "fold"} & set(table)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("label", "warts", "'warts'"), ("split", "trial", "trial"), ("fold", "two", "fold must be")],
)
def test_what_does_not_go_with_the_model_is_told_before_a_photo_is_read(
    run: Predict,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    column: str,
    value: str,
    said: str,
) -> None:
    source = tmp_path / "list.csv"
    path = next(folder.rglob("*.JPG"))
    source.write_text(f"image_id,path,{column}\na,{path},\nb,{path},{value}\n")
    assert run(source, tmp_path / "predictions.csv", "--batch-size", "1") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {source} does not go with the model. Mend these columns")
    assert said in error
    assert list(tmp_path.glob("predictions*")) == []


def test_the_competition_gets_a_submission_of_just_its_ids_in_their_order(
    run: Predict, drawn_set: Path, tmp_path: Path
) -> None:
    out, submission = tmp_path / "predictions.csv", tmp_path / "submission.csv"
    assert run(drawn_set, out, "--submission", str(submission)) == 0
    with (drawn_set / "test.csv").open(newline="") as file:
        ids = [row["md5hash"] for row in csv.DictReader(file)]
    assert len(ids) > 20
    table = read_predictions(out)
    assert table["image_id"].tolist() == ids
    with submission.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["md5hash", "label"]
    assert rows == [list(row) for row in zip(ids, table["predicted"], strict=True)]


@pytest.fixture
def broken_set(drawn_set: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """The competition's folder with two test photos broken, and their ids."""
    folder = tmp_path / "set"
    shutil.copytree(drawn_set, folder)
    paths = sorted((folder / "test" / "test").glob("*.jpg"))
    paths[0].write_bytes(b"")
    paths[5].write_bytes(paths[5].read_bytes()[:300])
    return folder, [paths[0].stem, paths[5].stem]


def test_an_unreadable_photo_is_listed_and_the_rest_goes_on(
    run: Predict, broken_set: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, broken = broken_set
    out = tmp_path / "predictions.csv"
    assert run(folder, out) == 1
    errors = pd.read_csv(tmp_path / "predictions.csv.errors.csv").set_index("image_id")
    assert sorted(errors.index) == sorted(broken)
    assert errors.loc[broken[0], "reason"] == "the file is empty"
    assert errors.loc[broken[1], "reason"].startswith("damaged, cut short")
    assert errors.loc[broken[0], "path"] == str(folder / "test" / "test" / f"{broken[0]}.jpg")
    with (folder / "test.csv").open(newline="") as file:
        ids = [row["md5hash"] for row in csv.DictReader(file)]
    kept = [image_id for image_id in ids if image_id not in broken]
    assert read_predictions(out)["image_id"].tolist() == kept


def test_a_submission_with_a_gap_is_refused(
    run: Predict,
    broken_set: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, broken = broken_set
    out, submission = tmp_path / "predictions.csv", tmp_path / "submission.csv"
    assert run(folder, out, "--submission", str(submission)) == 2
    assert not submission.exists()
    assert len(read_predictions(out)) > 20  # what was done is kept
    error = capsys.readouterr().err
    assert "no submission was written: 2 of" in error
    assert any(image_id in error for image_id in broken)


def test_when_no_photo_can_be_read_all_are_listed(run: Predict, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_text("not a photo")
    out = tmp_path / "predictions.csv"
    assert run(folder, out, "--batch-size", "2") == 1
    assert len(pd.read_csv(tmp_path / "predictions.csv.errors.csv")) == 5
    with out.open(newline="") as file:
        assert list(csv.reader(file)) == [["image_id", "predicted", *PROBABILITIES]]


@pytest.mark.parametrize("shards", [2, 13])
def test_shards_put_together_are_the_whole(
    run: Predict, folder: Path, tmp_path: Path, shards: int
) -> None:
    (folder / "0" / "empty.jpg").touch()
    assert run(folder, tmp_path / "whole.csv") == 1
    parts, errors = [], []
    for shard in range(shards):
        out = tmp_path / f"{shard}.csv"
        run(folder, out, "--shard", f"{shard}/{shards}")
        parts.append(pd.read_csv(out))
        listed = tmp_path / f"{shard}.csv.errors.csv"
        errors += [pd.read_csv(listed)] if listed.exists() else []
    together = pd.concat([part for part in parts if len(part)], ignore_index=True)
    whole = pd.read_csv(tmp_path / "whole.csv")
    assert together["image_id"].tolist() == whole["image_id"].tolist()
    assert together["predicted"].tolist() == whole["predicted"].tolist()
    np.testing.assert_allclose(together[PROBABILITIES], whole[PROBABILITIES], atol=1e-5)
    assert all(list(part) == list(whole) for part in parts)
    assert pd.concat(errors)["image_id"].tolist() == ["0/empty"]


@pytest.mark.parametrize(
    ("options", "existing", "said"),
    [
        ([], "out.csv", "out.csv exists already and is not overwritten"),
        ([], "out.csv.errors.csv", "errors.csv exists already"),
        ([], "out.csv.unfinished", "unfinished exists already: a predict that was ended left it"),
        (["--resume"], "", "there is no out.csv.unfinished to go on with"),
        (["--resume"], "out.csv.unfinished", "out.csv.state.unfinished, which says what it is of"),
        (["--submission", "s.csv"], "s.csv", "s.csv exists already"),
        (["--submission", "out.csv"], "", "--out and --submission must differ"),
        (["--submission", "s.csv"], "", "holds no train.csv"),
        (["--submission", "s.csv", "--shard", "0/2"], "", "a submission needs every photo"),
        (["--shard", "2/2"], "", "--shard takes I/N"),
        (["--shard", "1"], "", "--shard takes I/N"),
        (["--batch-size", "0"], "", "--batch-size must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_touched(
    run: Predict,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    existing: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if existing:
        Path(existing).write_text("mine")
    assert run(folder, Path("out.csv"), *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert {path.name for path in tmp_path.glob("*.*")} == ({existing} if existing else set())
    assert not existing or Path(existing).read_text() == "mine"


def test_a_missing_source_or_model_is_said(
    run: Predict, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run(tmp_path / "nowhere", out) == 2
    assert f"{tmp_path / 'nowhere'} does not exist" in capsys.readouterr().err
    assert run(folder, out, model=tmp_path) == 2
    assert f"{tmp_path} is no SavedModel" in capsys.readouterr().err
    assert not out.exists()


ids = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from(",\"'\n;"),
    min_size=1,
    max_size=12,
).filter(lambda text: text == text.strip() and not is_formula(text))


@given(st.lists(ids, min_size=1, max_size=4, unique=True))
@settings(max_examples=15)
def test_any_id_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, run: Predict, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    Image.new("RGB", (40, 40)).save(folder / "a.png")
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image_id", "path"), *((name, "a.png") for name in names)])
    out = folder / "out.csv"
    assert run(folder / "list.csv", out) == 0
    assert read_predictions(out)["image_id"].tolist() == names


def test_an_interrupt_leaves_no_predictions_but_what_was_done(
    run: Predict, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, calls = batch._answer, iter(range(100))

    def interrupted(*arguments: object) -> np.ndarray:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return answer(*arguments)

    monkeypatch.setattr(batch, "_answer", interrupted)
    out = tmp_path / "out.csv"
    assert run(folder, out, "--batch-size", "2") == 130
    left = ["out.csv.state.unfinished", "out.csv.unfinished"]
    assert sorted(path.name for path in tmp_path.glob("out*")) == left
    assert len(read_predictions(tmp_path / "out.csv.unfinished")) == 4


def test_a_signal_ends_the_command_with_one_message(
    saved_model: Path, drawn_set: Path, tmp_path: Path
) -> None:
    photo = next((drawn_set / "test" / "test").glob("*.jpg"))
    source = tmp_path / "list.csv"
    lines = [f"{number},{photo}" for number in range(5_000)]
    source.write_text("\n".join(["image_id,path", *lines]))
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "ajl_tf.predict", str(saved_model), str(source)]
    process = subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    unfinished = tmp_path / "out.csv.unfinished"
    deadline = time.monotonic() + 120
    while not (unfinished.exists() and unfinished.stat().st_size > 1000):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: everything already written has been kept" in said
    assert "Traceback" not in said
    assert "To go on from there: the same command with --resume." in said
    left = {"list.csv", "out.csv.unfinished", "out.csv.state.unfinished"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_ids_without_a_photo_are_told_before_a_photo_is_read(
    run: Predict,
    drawn_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ajl_tf.dataset import listing

    whole = listing.photos_to_predict(drawn_set)
    monkeypatch.setattr(listing, "photos_to_predict", lambda source: whole[2:])
    out = tmp_path / "out.csv"
    assert run(drawn_set, out, "--submission", str(tmp_path / "s.csv")) == 2
    error = capsys.readouterr().err
    assert "every id of test.csv, and 2 of" in error
    assert sorted(whole["image_id"][:2])[0] in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("late", ["out.csv", "out.csv.unfinished"])
def test_what_another_process_made_meanwhile_stays(
    run: Predict,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    late: str,
) -> None:
    """The other one is quicker while this one loads its model."""
    load = savedmodel.load

    def slow(path: Path) -> object:
        (tmp_path / late).write_text("the other's")
        return load(path)

    monkeypatch.setattr(savedmodel, "load", slow)
    assert run(folder, tmp_path / "out.csv") == 2
    assert (tmp_path / late).read_text() == "the other's"
    error = capsys.readouterr().err
    if late == "out.csv":
        assert "out.csv exists already" in error
        assert f"is in {tmp_path / 'out.csv.unfinished'}" in error
        assert len(read_predictions(tmp_path / "out.csv.unfinished")) == 9
    else:
        assert "another predict writes there" in error


@pytest.mark.parametrize(("size", "remedy"), [(8, "--batch-size 4."), (1, "a smaller model")])
def test_out_of_memory_says_which_batch_to_try(
    run: Predict,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    size: int,
    remedy: str,
) -> None:
    monkeypatch.setattr(batch, "_answer", lambda *_: tf.zeros(1 << 50))  # petabytes
    assert run(folder, tmp_path / "out.csv", "--batch-size", str(size)) == 2
    said = capsys.readouterr().err
    assert "error: out of memory (" in said
    assert remedy in said
