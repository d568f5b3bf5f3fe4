"""The range test of the learning rate, on a tiny network and drawn photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ajl_tf.config_file import load_experiment
from ajl_tf.errors import UserError
from ajl_tf.training.members import train_holdout
from ajl_tf.training.preparing import prepare_job
from ajl_tf.training.probe import RateProbe
from ajl_tf.tune import main
from ajl_tf.tuning import rates

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
BATCH = 21  # half of the photos that train
EXPERIMENT = f"""
name = "small"
[split]
name = "drawn"
scheme = "60/20/20"
[model]
backbone = "tiny"
weights = "none"
input_size = 32
[augment]
horizontal_flip = true
[training]
batch_size = {BATCH}
[[phases]]
name = "first"
epochs = 2
augment = false
[[phases]]
name = "second"
epochs = 20
unfreeze = 1.0
optimizer = "sgd"
learning_rate = 0.05
schedule = "constant"
accumulate = 2
"""
MADE = ["FILES.sha256", "config.toml", "environment.json", "rates.csv", "rates.json", "rates.svg"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tune(photos: Path, *options: str) -> int:
    return main(["small.toml", "--data", str(photos), "--cache", "cache", *options])


def test_at_one_rate_it_is_the_phase_as_it_trains(folder: Path, drawn_set: Path) -> None:
    """Twenty updates, two batches each, an epoch each: losses are those of the epochs."""
    options = ["--between", "0.05", "0.05000001", "--updates", "20"]
    assert tune(drawn_set, "--learning-rates", *options) == 0
    (made,) = (folder / "experiments/runs").iterdir()
    assert made.name.startswith("rates-small-second-")
    assert sorted(path.name for path in made.iterdir()) == MADE
    table = pd.read_csv(made / "rates.csv")
    experiment = load_experiment(folder / "small.toml")
    job = prepare_job(experiment, [drawn_set], folder / "experiments/splits", folder / "cache")
    assert (job.manifest["split"] == "train").sum() == 2 * BATCH
    train_holdout(job, folder / "plain")
    history = pd.read_json(folder / "plain/history.jsonl", lines=True).query("phase == 'second'")
    np.testing.assert_allclose(table["loss"], history["loss"], rtol=1e-4)
    assert table["loss"].iloc[-1] < table["loss"].iloc[0] - 0.01


def test_rates_grow_until_the_loss_diverges(
    folder: Path, drawn_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--between", "1e-3", "1e5", "--updates", "60", "--set", "phases.second.accumulate=1"]
    assert tune(drawn_set, "--learning-rates", "second", "--out", "out", *options) == 0
    table = pd.read_csv(folder / "out/rates.csv")
    found = json.loads((folder / "out/rates.json").read_text())
    assert 20 < len(table) < 60
    assert table["update"].tolist() == list(range(1, len(table) + 1))
    np.testing.assert_allclose(table["learning_rate"], 1e-3 * (1e8 ** (1 / 59)) ** table.index)
    smooth = table["loss"].ewm(alpha=0.1, adjust=True).mean()
    np.testing.assert_allclose(table["smoothed_loss"], smooth, rtol=1e-6)
    assert not smooth.iloc[-1] <= 4 * smooth.iloc[9:-1].min()
    assert (smooth.iloc[9:-1] <= 4 * smooth.iloc[9:-1].cummin()).all()
    assert found["diverged"] == table["learning_rate"].iloc[-1]
    lowest = table["learning_rate"].iloc[9 + int(smooth.iloc[9:].argmin())]
    assert found["lowest"] == lowest
    assert found["suggested"] == pytest.approx(lowest / 10)
    assert 1e-3 <= found["suggested"] < found["diverged"]
    assert table["learning_rate"].iloc[9] <= found["steepest"] <= lowest
    assert found["own"] == 0.05
    printed = capsys.readouterr().out
    assert f"phases.second.learning_rate = {found['suggested']:.2g}" in printed
    assert "A hint, no result" in printed
    assert not (folder / "experiments/runs").exists()


def test_where_no_rate_helps_none_is_suggested(
    folder: Path, drawn_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--between", "1e-9", "1e-8", "--updates", "20"]
    assert tune(drawn_set, "--learning-rates", "first", "--out", "out", *options) == 0
    assert json.loads((folder / "out/rates.json").read_text())["suggested"] is None
    assert "no suggestion for phases.first.learning_rate" in capsys.readouterr().out
    assert len(pd.read_csv(folder / "out/rates.csv")) == 20


def test_out_of_memory_says_which_batch_to_try(
    folder: Path, drawn_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "train_holdout", lambda *_: np.zeros(1 << 50))  # petabytes
    with pytest.raises(UserError, match=r"out of memory .* --set training\.batch_size=10,"):
        tune(drawn_set, "--learning-rates", "--out", "out")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("loss", [np.nan, np.inf, 9.0])
def test_what_is_not_finite_or_four_times_the_lowest_has_diverged(loss: float) -> None:
    probe = RateProbe(1e-3, 1.0, 50, 1)
    probe.losses = [1.0] * 20
    assert not probe.has_diverged
    probe.losses += [loss] * (1 if not np.isfinite(loss) else 10)
    assert probe.has_diverged


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--learning-rates", "third"], "no phase 'third'; the experiment has first, second"),
        (["--learning-rates", "--between", "1", "0.1"], r"0 < LOW < HIGH\. Received: 1 0\.1"),
        (["--learning-rates", "--between", "0.1", "nan"], "0 < LOW < HIGH"),
        (["--learning-rates", "--updates", "19"], r"at least 20\. Received: 19"),
        (["--learning-rates", "--trials", "3"], "--trials goes with a sweep"),
        (["--learning-rates", "--out", "."], "nothing was written"),
        (["--updates", "30"], "go with --learning-rates"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, drawn_set: Path, options: list[str], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        tune(drawn_set, *options)
    assert sorted(path.name for path in folder.iterdir()) == ["small.toml"]
