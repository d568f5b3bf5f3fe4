"""The verb tune with the real train command, once."""

from __future__ import annotations

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
backbone = "mobilenet_v2"
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


def test_a_trial_is_the_train_command(
    drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    (tmp_path / "sweep.toml").write_text(SWEEP)
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
