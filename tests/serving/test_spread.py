"""`predict --workers`: the same predictions, also where a worker dies.

Ray takes longer to install and to start than most tests take: AJL_RAY=1 asks for those that run it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ajl_tf import predict
from ajl_tf.errors import run_verb

with_ray = pytest.mark.skipif(
    "AJL_RAY" not in os.environ, reason="AJL_RAY=1 runs Ray, which the extra ray installs"
)
PHOTOS = 4_000


def test_without_ray_it_says_what_to_install(
    saved_model: Path,
    drawn_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = [str(saved_model), str(drawn_set / "test"), "--out", str(tmp_path / "out.csv")]
    assert run_verb(predict.main, [*arguments, "--workers", "2"]) == 2
    assert '--workers needs Ray: pip install "ajl_tf[ray]"' in capsys.readouterr().err
    assert run_verb(predict.main, [*arguments, "--workers", "0"]) == 2
    assert "--workers must be at least 1. Received: 0" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture(scope="module")
def source(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long list of few photos, and one that is none."""
    folder = tmp_path_factory.mktemp("spread")
    (folder / "none.jpg").write_text("no photo")
    photos = sorted((drawn_set / "test").rglob("*.jpg"))
    paths = [photos[number % len(photos)] for number in range(PHOTOS)]
    paths[1234] = folder / "none.jpg"
    rows = pd.DataFrame({"image_id": [f"id{i:05}" for i in range(PHOTOS)], "path": paths})
    rows.to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


@pytest.fixture(scope="module")
def alone(saved_model: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "out.csv"
    assert predict.main([str(saved_model), str(source), "--out", str(out)]) == 1
    return out


@with_ray
@pytest.mark.parametrize("killed", [False, True])
def test_workers_predict_what_one_process_does(
    killed: bool, saved_model: Path, source: Path, alone: Path, tmp_path: Path
) -> None:
    out, unfinished = tmp_path / "out.csv", tmp_path / "out.csv.unfinished"
    command = [sys.executable, "-m", "ajl_tf.predict", str(saved_model), str(source)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    if killed:
        deadline = time.monotonic() + 180
        while not (unfinished.exists() and unfinished.stat().st_size > 1000):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        first, *rest = workers(tmp_path)
        assert len(rest) == 1
        os.kill(first, signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said  # one photo is none
    assert "Traceback" not in said
    one, two = (pd.read_csv(path) for path in (alone, out))
    assert two["image_id"].tolist() == one["image_id"].tolist()
    assert two["predicted"].tolist() == one["predicted"].tolist()
    numbers = [name for name in one if one[name].dtype == np.float64]
    np.testing.assert_allclose(two[numbers], one[numbers], atol=1e-6)
    errors = [path.with_name("out.csv.errors.csv").read_text() for path in (alone, out)]
    assert errors[0] == errors[1]
    assert not unfinished.exists()


def workers(folder: Path) -> list[int]:
    """Process ids of Ray's workers that were started from a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            here = (process / "cwd").readlink() == folder
            name = (process / "cmdline").read_bytes()
        except (OSError, ValueError):  # gone, or no process
            continue
        if here and name.startswith(b"ray::") and b"Worker" in name:
            found.append(int(process.name))
    return found
