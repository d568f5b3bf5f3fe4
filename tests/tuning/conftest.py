"""What the tests of a sweep share."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ajl_tf.tuning import trial


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in is done in no time: the sweep looks at its files more often than it would."""
    monkeypatch.setattr(trial, "_EVERY", 0.05)


@pytest.fixture
def sweep_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, str], Path]:
    """Makes the working directory of a sweep, whose trials run a stand-in for Python."""

    def make(experiment: str, sweep: str, stand_in: str) -> Path:
        (tmp_path / "small.toml").write_text(experiment)
        (tmp_path / "sweep.toml").write_text(sweep)
        script = tmp_path / "stand_in.py"
        script.write_text(f"#!{sys.executable}\n{stand_in}")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(script))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make
