"""`train --resume`: a run that is ended in its second fold goes on; other data are refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ajl_tf import train
from ajl_tf.errors import EXIT_BAD_INPUT, UserError, run_verb
from ajl_tf.files import locked
from ajl_tf.runs import environment, read_json, write_json
from ajl_tf.training import keeping, predicting, resuming

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
EXPERIMENT = """
name = "it"
seed = 3
[split]
scheme = "2 folds"
[model]
backbone = "tiny"
weights = "none"
[training]
batch_size = 16
checkpoint_minutes = 0.0
[[phases]]
name = "only"
epochs = 2
"""
LIMIT = 32 << 30  # bytes of addresses, of which little is ever used
# A network of few weights whose first tensor of a batch has 16 × 16,384² × 3 numbers, 48 GiB. What
# is asked for at once and refused is never touched, so that the machine does not suffer.
HUGE = """
import resource, sys
sys.path.insert(0, {tests!r})
import conftest
from keras import layers
from ajl_tf.models.zoo import BACKBONES
usual = conftest._two_convolutions
conftest._two_convolutions = lambda x: usual(layers.UpSampling2D(512)(x))
conftest.add_tiny_backbone(BACKBONES.__setitem__)
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
from ajl_tf import train
from ajl_tf.errors import run_verb
raise SystemExit(run_verb(train.main, {words!r}))
"""


class Killed(BaseException):
    """Not caught by anything, as a kill is not."""


@pytest.fixture(scope="module")
def data(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that a test may change, if it puts back what was there."""
    return shutil.copytree(drawn_set, tmp_path_factory.mktemp("resume") / "photos")


def arguments(data: Path, root: Path) -> list[str]:
    (root / "it.toml").write_text(EXPERIMENT)
    places = [f"--{name}={root / name}" for name in ("runs", "splits", "saved-models", "cache")]
    return [str(root / "it.toml"), "--refit", "--data", str(data), *places]


def only_run(root: Path) -> Path:
    (run,) = (root / "runs").iterdir()
    return run


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    assert train.main(arguments(data, root)) == 0
    return only_run(root)


@pytest.fixture(scope="module")
def ended(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in its second fold."""
    root = tmp_path_factory.mktemp("ended")
    real = keeping.write_checkpoint

    def write(folder: Path, *rest: Any) -> None:
        real(folder, *rest)
        if folder.name == "fold_1":
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "write_checkpoint", write)
        with pytest.raises(Killed):
            train.main(arguments(data, root))
    return only_run(root)


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """What `--resume` says when it ends with exit code 2."""

    def call(run: Path, *more: str) -> str:
        capsys.readouterr()
        assert run_verb(train.main, ["--resume", str(run), *more]) == 2
        return capsys.readouterr().err

    return call


def test_what_was_changed_is_refused(ended: Path, data: Path, refused: Refused) -> None:
    photo = sorted((data / "train").rglob("*.jpg"))[0]
    for path, content, said in (
        (photo, sorted((data / "train").rglob("*.jpg"))[1].read_bytes(), "photos were changed"),
        (photo, None, f"{photo}: cannot be read"),
        (ended / "manifest.csv", b"image_id,path,label,skin_tone\n", "manifest.csv was changed"),
        (ended / "config.toml", (ended / "config.toml").read_bytes() + b"\n", "config.toml was"),
    ):
        before = path.read_bytes()
        try:
            path.unlink() if content is None else path.write_bytes(content)
            assert said in refused(ended)
        finally:
            path.write_bytes(before)


def test_another_process_at_the_run_is_named(ended: Path, refused: Refused) -> None:
    with locked(ended / "lock", "it"):
        assert f"is in use by process {os.getpid()} on " in refused(ended)
    # What a kill leaves is no lock.
    (ended / "lock").write_text("process 1 on elsewhere\n")
    with locked(ended / "lock", "it"):
        pass
    assert not (ended / "lock").exists()


def test_what_cannot_be_gone_on_with_is_told(ended: Path, refused: Refused, tmp_path: Path) -> None:
    assert "it goes with nothing else. Received also: set" in refused(ended, "--set", "seed=4")
    assert "is no run" in refused(tmp_path)
    old = shutil.copytree(ended, tmp_path / "old")
    (old / "job.json").unlink()
    assert "has no job.json" in refused(old)


def test_it_goes_on_to_the_same_bits_whatever_the_clock_says(
    whole: Path,
    ended: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (ended / "fold_1" / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write('{"phase": "only", "ep')  # as a full disk leaves a line
    (ended / f".{os.getpid()}-0123abcd.best.weights.h5").write_bytes(b"left by a kill")
    begun = time.time()
    monkeypatch.setattr(time, "time", lambda: begun - 10_000_000)  # set back by months
    real = predicting.Predictor.__call__

    def terminated(*rest: Any) -> Any:
        if (ended / "refit").is_dir():
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*rest)

    with monkeypatch.context() as patch:
        patch.setattr(predicting.Predictor, "__call__", terminated)
        assert run_verb(train.main, ["--resume", str(ended)]) == 143
    said = capsys.readouterr()
    assert said.err.splitlines()[-2:] == [
        "terminated: everything already written has been kept.",
        f"To go on from there: python -m ajl_tf.train --resume {ended}",
    ]
    assert train.main(["--resume", str(ended)]) == 0
    for part in ("fold_0", "fold_1", "refit"):
        one, two = (
            keras.saving.load_model(run / part / "model.keras", compile=False).get_weights()
            for run in (whole, ended)
        )
        for first, second in zip(one, two, strict=True):
            np.testing.assert_array_equal(first, second)
        histories = [
            pd.DataFrame(map(json.loads, (run / part / "history.jsonl").read_text().splitlines()))
            for run in (whole, ended)
        ]
        first, second = (h.drop(columns=["seconds", "images_per_second"]) for h in histories)
        pd.testing.assert_frame_equal(first, second)
    for name in ("predictions.csv", "report.json", "fold_1/predictions.csv", "manifest.csv"):
        assert (whole / name).read_bytes() == (ended / name).read_bytes()
    files = [
        {p.relative_to(r) for p in r.rglob("*") if "events." not in p.name} for r in (whole, ended)
    ]
    assert files[0] == files[1]

    capsys.readouterr()
    assert train.main(["--resume", str(ended)]) == 0
    versions = sorted((ended.parents[1] / "saved-models" / "it").iterdir())
    assert capsys.readouterr().out == f"{ended} is finished: its SavedModel is {versions[0]}\n"
    assert len(versions) == 1


def test_another_machine_or_version_is_told_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = environment(["the test"])
    write_json(tmp_path / "environment.json", begun)
    resuming._tell_differences(tmp_path)
    assert not capsys.readouterr().err
    write_json(tmp_path / "environment.json", begun | {"cores": 512})
    resuming._tell_differences(tmp_path)
    assert capsys.readouterr().err.startswith("warning: cores: not as when the run was begun")
    assert read_json(tmp_path / "environment.json")["resumed"] == [{"cores": begun["cores"]}]


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("kind", ["TensorFlow", "NumPy"])
def test_out_of_memory_says_which_batch_to_try(batch_size: int, kind: str, tmp_path: Path) -> None:
    make = tf.zeros if kind == "TensorFlow" else np.zeros
    with (
        pytest.raises(UserError, match="out of memory") as caught,
        resuming.held(tmp_path, batch_size),
    ):
        make(1 << 50)  # petabytes
    smaller = "--set training.batch_size=16" if batch_size == 32 else "a smaller model.input_size"
    assert smaller in str(caught.value)


def test_a_step_that_memory_cannot_hold_says_so_too(drawn_set: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    words = [*arguments(drawn_set, tmp_path), "--no-export", "--set", "phases.only.unfreeze=1.0"]
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", HUGE.format(tests=tests, limit=LIMIT, words=words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == EXIT_BAD_INPUT, done.stderr
    assert re.search(
        r"error: out of memory \(OOM when allocating tensor with shape\[16,\S+\]\)\. "
        r"training\.batch_size is 16\. Begin anew with --set training\.batch_size=8,",
        done.stderr,
    ), done.stderr
    assert "Traceback" not in done.stderr
