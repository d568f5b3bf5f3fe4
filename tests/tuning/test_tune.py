"""The verb tune with the real train command: once as it is, and once killed again and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from ajl_tf.files import locked
from ajl_tf.tune import main
from ajl_tf.tuning import study

EXPERIMENT = """
name = "small"
[split]
name = "drawn"
scheme = "60/20/20"
[model]
backbone = "tiny"
weights = "none"
input_size = 32
[training]
checkpoint_minutes = 0.0
[[phases]]
name = "only"
epochs = 40
augment = false
"""
SWEEP = """
name = "once"
experiment = "small.toml"
[grid]
"phases.only.learning_rate" = [0.01]
"""


# What Python runs as it starts, in the child too.
STARTUP = """
import sys
sys.path.insert(0, {tests!r})
from conftest import add_tiny_backbone
from ajl_tf.models.zoo import BACKBONES
add_tiny_backbone(BACKBONES.__setitem__)
"""


@pytest.fixture(scope="module", autouse=True)
def _known_to_children(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: str
) -> Iterator[None]:
    """The backbone `tiny`."""
    folder = tmp_path_factory.mktemp("lib")
    tests = str(Path(__file__).parents[1])
    (folder / "sitecustomize.py").write_text(STARTUP.format(tests=tests))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


def arguments(root: Path, data: Path) -> list[str]:
    (root / "small.toml").write_text(EXPERIMENT)
    (root / "sweep.toml").write_text(SWEEP)
    places = [f"--{name}={root / name}" for name in ("out", "splits", "cache")]
    return [str(root / "sweep.toml"), "--data", str(data), *places]


def only_run(root: Path) -> Path:
    (run,) = (root / "out/trials/trial-0000/runs").iterdir()
    return run


@pytest.fixture(scope="module")
def whole(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    assert main(arguments(root, drawn_set)) == 0
    return root


def test_a_trial_is_the_train_command(whole: Path) -> None:
    (trial,) = pd.read_csv(whole / "out/outcome.csv").itertuples()
    assert trial.state == "complete"
    run = only_run(whole)
    validation = pd.read_csv(run / "predictions.csv").query("split == 'validation'")
    assert len(validation) > 5
    assert 0 <= trial.score <= 1
    assert "learning_rate = 0.01" in (run / "config.toml").read_text()
    assert not (whole / "saved_models").exists()
    assert not Path("saved_models/small").exists()


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not there():
        assert time.monotonic() < end
        time.sleep(0.005)


def lines(root: Path) -> list[str]:
    """Of the history, an epoch each."""
    found = list(root.rglob("history.jsonl"))
    return found[0].read_text().splitlines() if found else []


def test_a_sweep_that_is_killed_loses_at_most_an_epoch_and_no_bit(
    whole: Path, drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = arguments(tmp_path, drawn_set)
    with subprocess.Popen([sys.executable, "-m", "ajl_tf.tune", *words]) as process:
        until(lambda: len(lines(tmp_path)) >= 3)
        process.kill()
    run = only_run(tmp_path)
    with locked(run / "lock", "it", wait=True):  # the child has ended
        first = lines(tmp_path)
        assert len(first) < 40

    def kill_child() -> None:
        until(lambda: len(lines(tmp_path)) > len(first) + 2)
        os.kill(int((run / "lock").read_text().split()[1]), signal.SIGKILL)

    monkeypatch.setattr(study, "_BEAT", 1)
    monkeypatch.setattr(study, "_GRACE", 2)
    killer = threading.Thread(target=kill_child)
    killer.start()
    assert main(words) == 1
    killer.join()
    second = lines(tmp_path)
    assert len(second) < 40
    assert main(words) == 0

    last = [json.loads(line) for line in lines(tmp_path)]
    for before in (first, second):  # the very epochs, by the clock too
        kept = len(before) - 1
        assert last[:kept] == [json.loads(line) for line in before[:kept]]
    table, expected = (pd.read_csv(root / "out/outcome.csv") for root in (tmp_path, whole))
    assert table["state"].tolist() == ["fail", "fail", "complete"]
    assert table["score"].iloc[2] == expected["score"].item()
    assert set(table["folder"]) == {"trial-0000"}
    own, others = (
        keras.saving.load_model(only_run(root) / "model.keras", compile=False).get_weights()
        for root in (tmp_path, whole)
    )
    for one, other in zip(own, others, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (run / "predictions.csv").read_bytes() == (
        only_run(whole) / "predictions.csv"
    ).read_bytes()
