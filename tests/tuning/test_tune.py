"""The verb tune with the real train command, once."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from ajl_tf.tune import main

EXPERIMENT = """
name = "small"
[split]
name = "drawn"
scheme = "60/20/20"
[model]
backbone = "tiny"
weights = "none"
input_size = 32
[[phases]]
name = "only"
epochs = 1
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


@pytest.mark.usefixtures("tiny_backbone")
def test_a_trial_is_the_train_command(
    drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    (tmp_path / "lib").mkdir()
    tests = str(Path(__file__).parents[1])
    (tmp_path / "lib/sitecustomize.py").write_text(STARTUP.format(tests=tests))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    assert main(["sweep.toml", "--data", str(drawn_set)]) == 0
    out = tmp_path / "experiments/runs/sweep-once"
    (trial,) = pd.read_csv(out / "outcome.csv").itertuples()
    assert trial.state == "complete"
    (run,) = (out / "trials/trial-0000/runs").iterdir()
    validation = pd.read_csv(run / "predictions.csv").query("split == 'validation'")
    assert len(validation) > 5
    assert 0 <= trial.score <= 1
    assert "learning_rate = 0.01" in (run / "config.toml").read_text()
    assert not (tmp_path / "saved_models").exists()
