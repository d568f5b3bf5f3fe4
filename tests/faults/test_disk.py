"""A full or read-only disk, a real one: one message, nothing half-written, nothing lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ajl_tf import export, predict, preview, train, tune
from ajl_tf.assessment.predictions import make_predictions, write_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.config_file import load_experiment
from ajl_tf.errors import run_verb
from ajl_tf.models.classifier import load_classifier
from ajl_tf.runs import PREDICTIONS, REPORT, RESULT, create_run, write_json

pytestmark = pytest.mark.usefixtures("tiny_backbone")
FULL = "error: the disk is full. Free some space, or write elsewhere"
EXPERIMENT = """
name = "it"
[split]
scheme = "80/20"
[model]
backbone = "tiny"
weights = "none"
input_size = 32
[[phases]]
name = "all"
epochs = 1
unfreeze = 1.0
"""


@pytest.fixture
def disk() -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many KiB with a file of the user's, which must stay.

    Not in pytest's own folder: a disk that a killed suite left there, read-only, would end each
    suite after it, which cannot clear it away.
    """
    folder = Path(tempfile.mkdtemp(prefix="ajl_tf-disk-"))

    def mount(free: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={free + 4}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
        except FileNotFoundError:
            pytest.skip("no disk of its own to fill: there is no mount")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no disk of its own to fill, mount refuses: {error.stderr.strip()}")
        (folder / "mine.txt").write_bytes(b"m" * 4096)
        return folder

    yield mount
    if os.path.ismount(folder):
        try:
            assert (folder / "mine.txt").read_bytes() == b"m" * 4096
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def made_on(disk: Path) -> list[str]:
    """Files that are neither the user's nor named as unfinished."""
    return sorted(
        str(path.relative_to(disk))
        for path in disk.rglob("*")
        if path.is_file() and path.name != "mine.txt" and not path.name.endswith(".unfinished")
    )


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What stands on the terminal but progress lines, and TensorFlow's notes, which verbs hide."""
    hidden = re.compile(r"[IWE]\d{4} |\t|.*━")

    def read() -> str:
        lines = capfd.readouterr().err.splitlines()
        return "\n".join(line for line in lines if not hidden.match(line))

    return read


@pytest.mark.parametrize("free", [0, 4], ids="{} KiB free".format)
def test_predict(free: int, disk: Any, said: Any, saved_model: Path, drawn_set: Path) -> None:
    out = disk(free) / "out.csv"
    photos = drawn_set / "train"  # whose predictions take more than 4 KiB
    assert run_verb(predict.main, [str(saved_model), str(photos), "--out", str(out)]) == 2
    assert said().startswith(FULL)
    assert made_on(out.parent) == []
    assert not (out.parent / "out.csv").exists()


@pytest.fixture
def run(tmp_path: Path, tiny_classifiers: list[Any]) -> Path:
    """A finished run, made by hand."""
    (tmp_path / "it.toml").write_text(EXPERIMENT)
    folder = create_run(load_experiment(tmp_path / "it.toml"), tmp_path / "runs", ["the test"])
    names = ["acne", "eczema", "tinea"]
    rows = pd.DataFrame({"image_id": list("abc"), "label": names, "skin_tone": 2})
    predictions = make_predictions(rows.assign(split="validation"), names, np.full((3, 3), 1 / 3))
    write_predictions(folder / PREDICTIONS, predictions)
    write_json(folder / REPORT, make_report(predictions))
    tiny_classifiers[0].model.save(folder / "model.keras")
    write_json(folder / RESULT, {"class_names": names})
    return folder


@pytest.mark.parametrize("free", [8, 100], ids="{} KiB free".format)
def test_export(free: int, disk: Any, said: Any, run: Path) -> None:
    folder = disk(free)
    assert run_verb(export.main, [str(run), "--no-unlike", "--saved-models", str(folder)]) == 2
    assert said().startswith(FULL)
    assert made_on(folder) == []
    assert list((folder / "it").glob("*")) == []


@pytest.fixture
def training(tmp_path: Path, drawn_set: Path) -> list[str]:
    """Arguments of a training that keeps everything off the small disk."""
    (tmp_path / "it.toml").write_text(EXPERIMENT)
    places = [f"--{name}={tmp_path / name}" for name in ("runs", "splits", "saved-models", "cache")]
    return [str(tmp_path / "it.toml"), "--data", str(drawn_set), *places]


def test_the_cache_of_canvases(disk: Any, said: Any, training: list[str], tmp_path: Path) -> None:
    cache = disk(64) / "cache"
    on_disk = ["--set", "data.memory_limit_mb=0", "--cache", str(cache)]
    assert run_verb(train.main, [*training, *on_disk]) == 2
    message = said()
    assert message.startswith(FULL)
    assert f"({cache}/" in message
    assert not list(cache.glob("*canvases-*"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("free", [0, 16], ids="{} KiB free".format)
def test_the_study_of_a_search(
    free: int, disk: Any, said: Any, training: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    folder = disk(free) / "out"
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('name = "s"\nexperiment = "it.toml"\n[grid]\nseed = [1, 2]\n')
    assert run_verb(tune.main, [str(sweep), *training[1:3], "--out", str(folder)]) == 2
    assert said().startswith(FULL)


# From a run's first file to its last: settings, TensorBoard's, weights, checkpoint, model.
@pytest.mark.parametrize(
    ("free", "keep", "where"),
    [
        (0, "best", "config.toml"),
        (36, "best", "tensorboard"),
        (64, "best", "best.weights.h5"),
        (92, "last", "checkpoint"),
    ],
)
def test_the_run_folder(
    free: int, keep: str, where: str, disk: Any, said: Any, training: list[str]
) -> None:
    runs = disk(free) / "runs"
    arguments = [*training, "--runs", str(runs), "--set", f"training.keep={keep}"]
    assert run_verb(train.main, arguments) == 2
    message = said()
    assert message.startswith(FULL)
    assert where in message, message
    (run,) = runs.glob("*")
    told = (
        []
        if where == "config.toml"
        else [f"To go on from there: python -m ajl_tf.train --resume {run}"]
    )
    assert message.splitlines()[1:] == told, message
    names = {Path(name).name for name in made_on(runs)}
    small = {"config.toml", "environment.json", "manifest.csv", "job.json", "history.jsonl"}
    assert {name for name in names if not name.startswith("events.")} <= small


def test_a_run_that_filled_the_disk_goes_on_to_the_same_bits(
    disk: Any, training: list[str], tmp_path: Path
) -> None:
    folder = disk(92)
    last = [*training, "--set", "training.keep=last"]
    assert run_verb(train.main, [*last, "--runs", str(folder / "runs")]) == 2
    (ended,) = (folder / "runs").glob("*")
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    assert run_verb(train.main, ["--resume", str(ended)]) == 0
    assert run_verb(train.main, last) == 0
    (whole,) = (tmp_path / "runs").glob("*")
    assert (ended / PREDICTIONS).read_bytes() == (whole / PREDICTIONS).read_bytes()
    one, other = (load_classifier(place / "model.keras").get_weights() for place in (ended, whole))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def call(
    run: Path, training: list[str], saved_model: Path, drawn_set: Path, tmp_path: Path
) -> Callable[[str, Path], int]:
    """Runs a verb that is to write to a folder."""

    def verb(name: str, folder: Path) -> int:
        if name == "train":
            return run_verb(train.main, [*training, "--runs", str(folder)])
        if name == "export":
            return run_verb(export.main, [str(run), "--no-unlike", "--saved-models", str(folder)])
        if name == "predict":
            out = ["--out", str(folder / "new" / "out.csv")]
            return run_verb(predict.main, [str(saved_model), str(drawn_set), *out])
        out = ["--out", str(folder / "grid.png")]
        return run_verb(preview.main, [str(tmp_path / "it.toml"), "--data", str(drawn_set), *out])

    return verb


@pytest.mark.parametrize("verb", ["train", "predict", "export", "preview"])
def test_a_read_only_disk(verb: str, disk: Any, said: Any, call: Any) -> None:
    folder = disk(400)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert call(verb, folder) == 2
    message = said()
    assert message.startswith("error: the file system is read-only. Write elsewhere")
    assert str(folder) in message
    assert made_on(folder) == []


@pytest.mark.parametrize("verb", ["train", "predict", "export", "preview"])
def test_a_file_where_a_folder_is_needed(verb: str, tmp_path: Path, said: Any, call: Any) -> None:
    (tmp_path / "file").write_text("mine")
    assert call(verb, tmp_path / "file") == 2
    message = said()
    assert message.startswith("error: a file stands where a folder is needed. Name another folder")
    assert str(tmp_path / "file") in message
    assert (tmp_path / "file").read_text() == "mine"


def raising(error: BaseException) -> Callable[..., int]:
    def main(argv: object) -> int:
        raise error

    return main


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_tensorflows_own_words_for_it_are_understood(number: int, said: Any) -> None:
    words = f"{{{{function_node x}}}} /a/b.tempstate7; {os.strerror(number)} [Op:SaveV2]"
    assert run_verb(raising(tf.errors.UnknownError(None, None, words))) == 2
    by_tensorflow = said()
    assert run_verb(raising(OSError(number, os.strerror(number), "/a/b.tempstate7"))) == 2
    assert by_tensorflow == said()
    assert by_tensorflow.endswith("(/a/b.tempstate7)")


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        ZeroDivisionError(),
    ],
    ids=repr,
)
def test_an_error_that_is_ours_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_verb(raising(error))


def test_tensorflow_need_not_be_there(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert run_verb(raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))) == 2
    assert said().startswith(FULL)
