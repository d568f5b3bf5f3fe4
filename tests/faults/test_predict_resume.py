"""`predict --resume`: whatever a kill leaves, the predictions are those of a command left alone."""

from __future__ import annotations

import csv
import functools
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf import files, predict
from ajl_tf.errors import run_verb
from ajl_tf.serving import batch, savedmodel
from tests.serving.test_spread import with_ray

Predict = Callable[..., int]
ENDS = (".unfinished", ".state.unfinished")


@pytest.fixture(scope="module")
def run(saved_model: Path) -> Iterator[Predict]:
    """The verb in batches of four, with the tiny SavedModel, loaded once; returns the exit code."""

    def call(source: Path, out: Path, *options: str, model: Path = saved_model) -> int:
        given = [str(model), str(source), "--out", str(out), "--batch-size", "4", *options]
        return run_verb(predict.main, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(savedmodel, "load", functools.cache(savedmodel.load))
        yield call


def listing(folder: Path, photos: list[Path], count: int) -> Path:
    """A CSV that names the same photos again and again; some names must be quoted."""
    source = folder / "list.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "label", "skin_tone"])
        for number in range(count):
            name = f'{number},\n"é"' if number % 3 == 0 else str(number)
            writer.writerow([name, photos[number % len(photos)], "tinea" if number > 9 else "", 2])
    return source


@pytest.fixture(scope="module")
def source(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 photos, of which the 3rd, and all of a batch, cannot be read."""
    folder = tmp_path_factory.mktemp("list")
    photos = sorted((drawn_set / "test").rglob("*.jpg"))[:30]
    for number in (2, 12, 13, 14, 15):
        photos[number] = folder / f"{number}.jpg"
        photos[number].write_text("no photo")
    return listing(folder, photos, 30)


def stopped(run: Predict, source: Path, out: Path, *options: str, after: int = 100) -> None:
    """Ends the command after some batches, by default after the last, and keeps what it leaves."""
    answer, calls = batch._answer, iter(range(after))

    def counted(*given: object) -> object:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return answer(*given)

    def never(*_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "_answer", counted)
        patch.setattr(files, "put_new", never)
        patch.setattr(files, "write_rows", never)
        assert run(source, out, *options) == 130
    assert {path.name for path in out.parent.iterdir()} == {out.name + end for end in ENDS}


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(run: Predict, source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the command makes that nobody ends."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(source, folder / "out.csv") == 1
    assert set(made(folder)) == {"out.csv", "out.csv.errors.csv"}
    return made(folder)


@pytest.fixture(scope="module")
def left(run: Predict, source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What it leaves that is ended behind the last photo."""
    folder = tmp_path_factory.mktemp("left")
    stopped(run, source, folder / "out.csv")
    return made(folder)


@given(data=st.data())
@settings(max_examples=40)
def test_wherever_it_was_killed_the_predictions_are_the_same_bytes(
    data: st.DataObject,
    run: Predict,
    source: Path,
    whole: dict[str, bytes],
    left: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    rows, state = (left["out.csv" + end] for end in ENDS)
    size = data.draw(st.integers(0, len(rows)), "bytes of rows")
    told = data.draw(st.integers(state.index(b"\n") + 1, len(state)), "bytes of state")
    zeros = data.draw(st.sampled_from([0, 0, 5, 5_000]), "zeros behind them, after a power cut")
    (folder / "out.csv.unfinished").write_bytes((rows[:size] + bytes(zeros))[: len(rows)])
    (folder / "out.csv.state.unfinished").write_bytes(state[:told] + bytes(zeros))
    assert run(source, folder / "out.csv", "--resume") == 1
    assert made(folder) == whole


def test_what_is_whole_is_not_answered_again(
    run: Predict, source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """Ended, gone on with, and ended again: five of eight batches, then two, then the last."""
    stopped(run, source, tmp_path / "out.csv", after=5)
    before = (tmp_path / "out.csv.unfinished").read_bytes()
    stopped(run, source, tmp_path / "out.csv", "--resume", after=2)
    after = (tmp_path / "out.csv.unfinished").read_bytes()
    assert after.startswith(before)
    assert len(before) < len(after) < len(whole["out.csv"])
    answered = []
    with pytest.MonkeyPatch.context() as patch:
        answer = batch._answer
        patch.setattr(batch, "_answer", lambda *given: answered.append(1) or answer(*given))
        assert run(source, tmp_path / "out.csv", "--resume") == 1
    assert len(answered) == 1
    assert made(tmp_path) == whole


def test_a_command_that_was_killed_is_gone_on_with(
    run: Predict, saved_model: Path, drawn_set: Path, tmp_path: Path
) -> None:
    # So many that it takes seconds: rows are written once a second.
    source = listing(tmp_path, sorted((drawn_set / "test").rglob("*.jpg")), 3_000)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    assert run(source, tmp_path / "whole" / "out.csv") == 0
    out = tmp_path / "killed" / "out.csv"
    command = [sys.executable, "-m", "ajl_tf.predict", str(saved_model), str(source)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--batch-size", "4"], stderr=subprocess.DEVNULL
    )
    unfinished = Path(f"{out}.unfinished")
    deadline = time.monotonic() + 120
    while not (unfinished.exists() and unfinished.stat().st_size > 1_000):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert unfinished.exists()
    assert not out.exists()
    assert run(source, out, "--resume") == 0
    assert made(out.parent) == made(tmp_path / "whole")


def test_a_shard_is_gone_on_with(run: Predict, source: Path, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    assert run(source, tmp_path / "whole" / "out.csv", "--shard", "1/2") == 1
    out = tmp_path / "killed" / "out.csv"
    stopped(run, source, out, "--shard", "1/2", after=2)
    assert run(source, out, "--shard", "0/2", "--resume") == 2  # the other one
    assert run(source, out, "--shard", "1/2", "--resume") == 1
    assert made(out.parent) == made(tmp_path / "whole")


def test_a_submission_has_all_that_was_kept(run: Predict, drawn_set: Path, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()

    def options(folder: Path) -> list[str]:
        return ["--submission", str(folder / "submission.csv")]

    assert run(drawn_set, tmp_path / "whole" / "out.csv", *options(tmp_path / "whole")) == 0
    out = tmp_path / "killed" / "out.csv"
    stopped(run, drawn_set, out, *options(out.parent), after=3)
    assert run(drawn_set, out, "--resume", *options(out.parent)) == 0
    assert made(out.parent) == made(tmp_path / "whole")


@with_ray
def test_workers_go_on_with_what_one_process_began(
    run: Predict, saved_model: Path, source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    stopped(run, source, tmp_path / "out.csv", after=3)
    command = [sys.executable, "-m", "ajl_tf.predict", str(saved_model), str(source)]
    options = ["--out", str(tmp_path / "out.csv"), "--batch-size", "4", "--workers", "2"]
    done = subprocess.run([*command, *options, "--resume"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1, done.stderr
    assert set(made(tmp_path)) == set(whole)
    assert made(tmp_path)["out.csv.errors.csv"] == whole["out.csv.errors.csv"]
    one, two = (pd.read_csv(io.BytesIO(files["out.csv"])) for files in (whole, made(tmp_path)))
    words = one.select_dtypes(exclude="number").columns
    pd.testing.assert_frame_equal(one[words], two[words])
    pd.testing.assert_frame_equal(one, two, atol=1e-6)  # other threads, other rounding


def changed(text: bytes, at: int) -> bytes:
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]


def test_what_does_not_fit_is_refused_and_left_as_it_is(
    run: Predict,
    source: Path,
    saved_model: Path,
    left: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out" / "out.csv"
    out.parent.mkdir()
    model = tmp_path / "model"
    shutil.copytree(saved_model, model)
    (model / "variables" / "other").write_text("weights")
    lines = source.read_text().splitlines(keepends=True)
    table = source.read_text().replace("\n10,", "\nten,")
    assert table != source.read_text()
    other_id, fewer, plain = (tmp_path / f"{number}.csv" for number in range(3))
    other_id.write_text(table)
    fewer.write_text("".join(lines[:-1]))
    plain.write_text(source.read_text().replace("label,", "note,").replace("tinea", "x"))
    state = left["out.csv.state.unfinished"]
    in_bfloat16 = state.replace(b'"float32"', b'"bfloat16"')
    assert in_bfloat16 != state
    photos = "they are of other photos"
    cases = {
        "another SavedModel's": (source, model, left),
        photos: (other_id, saved_model, left),
        f"{photos}, or of the same otherwise": (fewer, saved_model, left),
        "they have other columns": (plain, saved_model, left),
        "one of the two is with --bfloat16": (
            source,
            saved_model,
            left | {"out.csv.state.unfinished": in_bfloat16},
        ),
        "was changed since it was written": (
            source,
            saved_model,
            left | {"out.csv.unfinished": changed(left["out.csv.unfinished"], 300)},
        ),
    }
    for said, (asked, by, files_left) in cases.items():
        for name, content in files_left.items():
            (out.parent / name).write_bytes(content)
        assert run(asked, out, "--resume", model=by) == 2
        assert said in capsys.readouterr().err
        assert made(out.parent) == files_left


def test_two_at_once_are_kept_apart(
    run: Predict, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    stopped(run, source, out, after=3)
    with files.locked(tmp_path / "out.csv.lock", "it"):
        assert run(source, out, "--resume") == 2
    assert f"{out} is in use by process {os.getpid()}" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {out.name + end for end in ENDS}
