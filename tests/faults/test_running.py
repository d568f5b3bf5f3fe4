"""What comes between while a training runs: photos deleted or changed, a cluster's SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf import train
from ajl_tf.dataset.phantom import draw_set
from ajl_tf.runs import read_json
from ajl_tf.training import keeping

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
EXPERIMENT = """
name = "it"
seed = 3
[data]
memory_limit_mb = {limit}
[split]
scheme = "50/50"
[model]
backbone = "tiny"
weights = "none"
[training]
batch_size = 16
keep = "last"
checkpoint_minutes = 0.0
[[phases]]
name = "only"
epochs = {epochs}
unfreeze = 1.0
"""
# What Python runs as it starts.
STARTUP = """
import sys
sys.path.insert(0, {tests!r})
from conftest import add_tiny_backbone
from ajl_tf.models.zoo import BACKBONES
add_tiny_backbone(BACKBONES.__setitem__)
"""


def arguments(data: Path, root: Path, limit: int = 4096, epochs: int = 2) -> list[str]:
    root.mkdir(exist_ok=True)
    (root / "it.toml").write_text(EXPERIMENT.format(limit=limit, epochs=epochs))
    places = [f"--{name}={root / name}" for name in ("runs", "splits", "saved-models", "cache")]
    return [str(root / "it.toml"), "--data", str(data), *places]


def only_run(root: Path) -> Path:
    (run,) = (root / "runs").iterdir()
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many photos that a SavedModel learns from them how unlike anything known one is."""
    return draw_set(tmp_path_factory.mktemp("drawn") / "set", 160, 48, 0)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    assert train.main(arguments(data, root)) == 0
    return root


def facts(root: Path) -> Any:
    return read_json(root / "saved-models/it/1/ajl_tf.json")


@pytest.mark.parametrize(
    ("kind", "limit"), [("deleted", 0), ("changed", 0), ("changed", 4096), ("broken", 4096)]
)
def test_a_photo_that_is_not_what_it_was_changes_no_score_and_is_named(
    data: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    limit: int,
) -> None:
    data = shutil.copytree(data, tmp_path / "photos")
    photo, other = sorted((data / "train").rglob("*.jpg"))[:2]
    real = keeping.write_checkpoint

    def write(*rest: Any) -> None:
        real(*rest)
        if kind == "deleted":
            photo.unlink(missing_ok=True)
        else:
            photo.write_bytes(other.read_bytes() if kind == "changed" else b"no photo")

    monkeypatch.setattr(keeping, "write_checkpoint", write)
    assert train.main(arguments(data, tmp_path, limit)) == 0
    said = capsys.readouterr().err
    assert "warning: 1 of " in said
    assert f"not here, or were changed while it trained (first: {photo}), so its Sav" in said
    assert facts(undisturbed)["unlike"] is not None
    assert facts(tmp_path)["unlike"] is None
    for name in ("predictions.csv", "report.json"):
        paths = only_run(tmp_path) / name, only_run(undisturbed) / name
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert facts(tmp_path)["temperature"] == pytest.approx(facts(undisturbed)["temperature"])


def test_sigterm_ends_the_command_with_a_checkpoint_that_it_goes_on_from_to_the_same_bits(
    drawn_set: Path, tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    startup = STARTUP.format(tests=str(Path(__file__).parents[1]))
    (tmp_path / "lib/sitecustomize.py").write_text(startup)
    ours = [str(tmp_path / "lib"), str(Path(train.__file__).parents[1])]
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*ours, *inherited])}

    def begin(*options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ajl_tf.train", *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=tmp_path,
        )

    whole, ended = tmp_path / "whole", tmp_path / "ended"
    first = begin(*arguments(drawn_set, whole, epochs=40), "--no-export")
    process = begin(*arguments(drawn_set, ended, epochs=40), "--no-export")
    deadline = time.monotonic() + 300
    while not any(ended.glob("runs/*/checkpoint")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    run = only_run(ended)
    assert process.returncode == 143
    assert "\nstopping: saving where the training stands; once more to stop without" in said
    assert said.splitlines()[-2:] == [
        "terminated: everything already written has been kept.",
        f"To go on from there: python -m ajl_tf.train --resume {run}",
    ]
    assert not (run / "model.keras").exists()
    process = begin("--resume", str(run))
    _, said = process.communicate(timeout=300)
    assert (process.returncode, first.wait(timeout=300)) == (0, 0)
    assert "going on from a checkpoint after " in said
    first.communicate()
    one, two = (
        keras.saving.load_model(made / "model.keras", compile=False).get_weights()
        for made in (run, only_run(whole))
    )
    for weight, expected in zip(one, two, strict=True):
        np.testing.assert_array_equal(weight, expected)
