"""A sweep from file to outcome, with a stand-in for the train command that takes no time."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import f1_score

from ajl_tf.config_file import load_experiment
from ajl_tf.errors import UserError
from ajl_tf.files import locked
from ajl_tf.tune import main
from ajl_tf.tuning import study
from ajl_tf.tuning.database import database_told
from ajl_tf.tuning.sweep import read_sweep
from ajl_tf.tuning.trial import StoppedError, Training, TrainingError, score_of, train

PYTHON = sys.executable  # which a stand-in replaces
EXPERIMENT = """
name = "small"
[split]
scheme = "80/10/10"
[model]
backbone = "mobilenet_v2"
[[phases]]
name = "only"
epochs = 4
"""
GRID = """
name = "lr"
experiment = "small.toml"
[set]
"model.dropout" = 0.1
[grid]
"phases.only.learning_rate" = [0.001, 0.01]
"seed" = [1, 2]
"""
FOLDS = (
    GRID
    + """
"split.scheme" = ["3 folds"]
"training.keep" = ["last"]
"""
)
SPACE = """
name = "space"
experiment = "small.toml"
trials = 5
[space]
"phases.only.learning_rate" = { low = 1e-4, high = 1e-1, log = true }
"augment.zoom" = { choices = [[0.5, 1.0], [1.0, 1.0]] }
"training.batch_size" = { low = 8, high = 32, step = 8 }
"""
# Right as often as learning rate and seed say; fails, or ends itself, where a file tells it to, and
# goes on with what it was called with first.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
words = sys.argv[3:]
here = Path(__file__).parent
if (here / "fail").exists():
    print("error: something is wrong"); sys.exit(2)
if words[0] == "--resume":
    run = Path(words[1])
    words = json.loads((run / "job.json").read_text())
    (run / "resumed").touch()
else:
    run = Path(words[words.index("--runs") + 1]) / "small-1"
    run.mkdir(parents=True)
    (run / "job.json").write_text(json.dumps(words))
given = dict(w.split("=", 1) for w in words if "=" in w)
rate, seed = float(given["phases.only.learning_rate"]), int(given.get("seed", 0))
for name in ("SIGTERM", "SIGKILL"):
    if (here / name).exists():
        (here / name).unlink()
        os.kill(os.getpid(), getattr(signal, name))
if (here / "delete").exists():
    (here / "out/study.sqlite").unlink()
right = round(10 * rate**0.25) + seed
with (run / "history.jsonl").open("w") as history:
    for epoch in range(4):
        history.write(json.dumps({"epoch": epoch, "val_weighted_f1": right / 20}) + "\\n")
        history.flush()
        if (here / "slow").exists():
            time.sleep(0.3)
        if (here / "stuck").exists() and epoch == 1:
            time.sleep(600)
rows = ["image_id,label,predicted,split"]
rows += [f"v{i},{'ab'[i % 2]},{'ab'[i % 2] if i < right else 'c'},validation" for i in range(20)]
rows += [f"t{i},a,c,test" for i in range(20)]
(run / "predictions.csv").write_text("\\n".join(rows) + "\\n")
data = (here / "photos").read_text() if (here / "photos").exists() else "as they were"
(run / "result.json").write_text(json.dumps({"data_hash": data}))
"""


@pytest.fixture
def folder(sweep_folder: Callable[[str, str, str], Path]) -> Path:
    return sweep_folder(EXPERIMENT, GRID, textwrap.dedent(STAND_IN))


def tune(folder: Path, *options: str) -> int:
    return main([str(folder / "sweep.toml"), "--out", str(folder / "out"), *options])


def outcome(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out/outcome.csv")


def f1_of(right: int) -> float:
    label = [i % 2 for i in range(20)]
    predicted = [i % 2 if i < right else 2 for i in range(20)]
    return float(f1_score(label, predicted, average="weighted", labels=[0, 1], zero_division=0))


def test_a_grid_tries_every_combination_and_averages_over_seeds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(folder) == 0
    table = outcome(folder)
    assert (table["state"] == "complete").all()
    expected = {(0.001, 1): 3, (0.001, 2): 4, (0.01, 1): 4, (0.01, 2): 5}
    got = {
        (row["phases.only.learning_rate"], row["seed"]): row["score"] for _, row in table.iterrows()
    }
    assert got == pytest.approx({key: f1_of(right) for key, right in expected.items()})
    best = load_experiment(folder / "out/best.toml")
    assert best.name == "lr_best"
    assert best.phases[0].learning_rate == 0.01
    assert best.model.dropout == 0.1
    assert best.seed == load_experiment(folder / "small.toml").seed  # a repetition, no setting
    assert "<svg" in (folder / "out/outcome.svg").read_text()
    first = capsys.readouterr().out.split("best first")[1].splitlines()[2]
    assert f"{(f1_of(4) + f1_of(5)) / 2:.4f}" in first


def test_the_same_command_goes_on_and_does_nothing_twice(folder: Path) -> None:
    assert tune(folder, "--trials", "1") == 0
    assert len(outcome(folder)) == 1
    assert tune(folder) == 0
    assert tune(folder) == 0
    assert len(outcome(folder)) == 4
    assert len(list((folder / "out/trials").iterdir())) == 4


def test_an_interrupted_trial_is_gone_on_with(folder: Path) -> None:
    (folder / "SIGTERM").touch()
    with pytest.raises(KeyboardInterrupt):
        tune(folder)
    assert (folder / "out/outcome.csv").exists()
    assert tune(folder) == 0
    table = outcome(folder).set_index("trial")
    assert (table["state"] == "complete").sum() == 4
    assert table["folder"].tolist() == [
        *(f"trial-000{number}" for number in range(4)),
        "trial-0000",
    ]
    assert table["minutes"].isna().tolist() == [False] * 4 + [True]  # of its last part alone
    resumed = [path.parents[2].name for path in (folder / "out").rglob("resumed")]
    assert resumed == ["trial-0000"]


def test_a_killed_training_is_gone_on_with_but_not_one_that_failed(folder: Path) -> None:
    """Nor one that failed as it went on: what is wrong with its run would be so for ever."""
    one = GRID.replace("[0.001, 0.01]", "[0.01]").replace("[1, 2]", "[1]")
    (folder / "sweep.toml").write_text(one)
    (folder / "SIGKILL").touch()
    assert tune(folder) == 1
    reason = outcome(folder)["reason"].item()
    assert "(exit code -9: killed, as the system does where the memory is used up; all" in reason
    (folder / "fail").touch()
    assert tune(folder) == 1
    (folder / "fail").unlink()
    assert tune(folder) == 0
    table = outcome(folder)
    assert table["state"].tolist() == ["fail", "fail", "complete"]
    assert table["folder"].tolist() == ["trial-0000", "trial-0000", "trial-0002"]


def test_a_search_draws_what_it_would_have_drawn_without_an_interruption(folder: Path) -> None:
    (folder / "sweep.toml").write_text(SPACE)
    assert tune(folder) == 0
    whole = outcome(folder)
    (folder / "out").rename(folder / "whole")
    assert tune(folder, "--trials", "1") == 0
    (folder / "SIGTERM").touch()
    with pytest.raises(KeyboardInterrupt):
        tune(folder)
    assert tune(folder) == 0
    table = outcome(folder).query("state == 'complete'")
    kept = ["score", *whole.columns[4:-2]]
    assert table["trial"].tolist() == [0, 2, 3, 4, 5]
    pd.testing.assert_frame_equal(table[kept].reset_index(drop=True), whole[kept])


def test_a_run_that_another_process_trains_is_waited_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["small.toml", "--set", "phases.only.learning_rate=0.01"]
    train(Training(words, folder / "t", "weighted_f1"), lambda *_: False)
    run = folder / "t/runs/small-1"
    seen: list[bool] = []

    def train_on() -> None:
        score = train(Training(words, folder / "t", "weighted_f1", True), lambda *_: False)
        seen.append(score == f1_of(3))

    with locked(run / "lock", "it"):
        other = threading.Thread(target=train_on)
        other.start()
        time.sleep(1)
        assert not (run / "resumed").exists()
    other.join()
    assert seen == [True]
    assert f"{run} is in use by process {os.getpid()}" in capsys.readouterr().err


def test_failures_are_kept_with_their_reason_and_end_the_sweep(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "fail").touch()
    assert tune(folder) == 1
    table = outcome(folder)
    assert table["state"].tolist() == ["fail"] * 3
    assert table["reason"].str.contains("error: something is wrong").all()
    assert "no trial has a score" in capsys.readouterr().out
    (folder / "fail").unlink()
    assert tune(folder) == 0
    assert (outcome(folder)["state"] == "complete").sum() == 4


def test_a_space_is_searched_within_its_bounds_and_the_best_is_written(folder: Path) -> None:
    (folder / "sweep.toml").write_text(SPACE)
    assert tune(folder) == 0
    table = outcome(folder)
    assert table["phases.only.learning_rate"].between(1e-4, 1e-1).all()
    assert set(table["training.batch_size"]) <= {8, 16, 24, 32}
    best = load_experiment(folder / "out/best.toml")
    top = table.loc[table["score"].idxmax()]
    assert best.phases[0].learning_rate == pytest.approx(top["phases.only.learning_rate"])
    assert list(best.augment.zoom) == json.loads(top["augment.zoom"])


@pytest.mark.parametrize("seed", [0, 1, 2])  # of which some begin with the second choice
def test_choices_are_drawn_in_the_files_order(folder: Path, seed: int) -> None:
    (folder / "sweep.toml").write_text(SPACE.replace("[space]", f"seed = {seed}\n[space]"))
    assert tune(folder) == 0
    figure = (folder / "out/outcome.svg").read_text()
    assert figure.index(">[0.5, 1.0]<") < figure.index(">[1.0, 1.0]<")


def test_a_search_that_goes_on_draws_what_it_would_have_drawn(folder: Path) -> None:
    """Not the same settings again, whose trainings would end as they did."""
    key = "phases.only.learning_rate"
    (folder / "sweep.toml").write_text(SPACE)
    drawn = []
    for trials in ("2", "4"):
        assert tune(folder, "--trials", trials) == 0
        drawn.append(outcome(folder)[key].tolist())
    assert drawn[1][:2] == drawn[0]
    assert len(set(drawn[1])) == 4
    (folder / "out").rename(folder / "before")
    assert tune(folder, "--trials", "4") == 0
    assert outcome(folder)[key].tolist() == drawn[1]


# A process of its own, whose trials run the stand-in. It begins when as many others are ready, and
# is slow to act on what it first sees, so that others see it too if they can.
PROCESS = """
import sys, time
from pathlib import Path
from ajl_tf.errors import run_verb
from ajl_tf.tune import main
from ajl_tf.tuning import running
import optuna
look = running.is_left
def look_and_wait(*rest):
    running.is_left, seen = look, look(*rest)
    time.sleep(2)
    return seen
running.is_left = look_and_wait
sys.executable = {stand_in!r}
here, number = Path({here!r}), {number}
(here / f"ready-{{number}}").touch()
while len(list(here.glob("ready-*"))) < {processes}:
    time.sleep(0.001)
raise SystemExit(run_verb(main, ["sweep.toml", "--out", "out"]))
"""


def tune_at_once(folder: Path, processes: int) -> None:
    """Several processes, begun together in a folder."""
    begun = []
    for number in range(processes):
        words = {"stand_in": sys.executable, "here": str(folder), "number": number}
        code = PROCESS.format(processes=processes, **words)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        begun.append(subprocess.Popen([PYTHON, "-c", code], cwd=folder, env=environment))
    assert [process.wait(300) for process in begun] == [0] * processes


def test_processes_begun_together_try_each_point_once(folder: Path) -> None:
    """And queue it once: so many that each process still does while the next one looks."""
    many = GRID.replace("[1, 2]", str(list(range(40)))).replace("[set]", "trials = 4\n[set]")
    (folder / "sweep.toml").write_text(many)
    tune_at_once(folder, 2)
    assert outcome(folder)["state"].tolist() == ["complete"] * 4
    with sqlite3.connect(folder / "out/study.sqlite") as database:
        points = database.execute(
            "SELECT value_json FROM trial_user_attributes WHERE key = 'point'"
        )
        queued = points.fetchall()
    assert len(queued) == len(set(queued)) == 80


def test_processes_begun_together_run_no_more_trials_than_were_asked_for(folder: Path) -> None:
    (folder / "slow").touch()
    (folder / "sweep.toml").write_text(SPACE.replace("trials = 5", "trials = 2"))
    assert tune(folder, "--trials", "1") == 0
    tune_at_once(folder, 2)
    assert outcome(folder)["state"].tolist() == ["complete"] * 2
    assert len(list((folder / "out/trials").iterdir())) == 2


def _running(folder: Path, beat: str) -> None:
    """Makes the grid's last trial one that a process trains whose last sign was at `beat`."""
    with sqlite3.connect(folder / "out/study.sqlite") as database:
        ((last,),) = database.execute("SELECT max(trial_id) FROM trials")
        database.execute("UPDATE trials SET state = 'RUNNING' WHERE trial_id = ?", [last])
        database.execute("DELETE FROM trial_values WHERE trial_id = ?", [last])
        database.execute("DELETE FROM trial_heartbeats WHERE trial_id = ?", [last])
        database.execute(
            "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, datetime('now', ?))",
            [last, beat],
        )


@pytest.mark.parametrize(("sweep", "trials"), [(GRID, 4), (SPACE, 5)])
def test_the_trial_of_a_process_that_died_is_tried_again(
    folder: Path, sweep: str, trials: int
) -> None:
    (folder / "sweep.toml").write_text(sweep)
    assert tune(folder) == 0
    _running(folder, "-1 hours")
    assert tune(folder) == 0
    table = outcome(folder)
    assert (table["state"] == "complete").sum() == trials
    assert (table["state"] == "fail").sum() == 1


def test_the_trial_of_a_process_that_lives_is_waited_for_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "_BEAT", 1)
    monkeypatch.setattr(study, "_LOOK", 0.1)
    assert tune(folder) == 0
    _running(folder, "+1 hours")
    monkeypatch.setattr(study, "_GRACE", 1)
    assert tune(folder) == 0
    assert (outcome(folder)["state"] == "complete").sum() == 3
    assert "other processes still train: trial 3" in capsys.readouterr().err


def test_a_study_is_of_one_experiment(folder: Path) -> None:
    assert tune(folder, "--trials", "1") == 0
    (folder / "small.toml").write_text(EXPERIMENT.replace("epochs = 4", "epochs = 5"))
    with pytest.raises(UserError, match=r"trials of .*small\.toml as it was before it was changed"):
        tune(folder)
    (folder / "small.toml").write_text("# a remark changes nothing\n" + EXPERIMENT)
    assert tune(folder, "--trials", "2") == 0


def test_a_study_is_of_one_data_set(folder: Path) -> None:
    assert tune(folder, "--trials", "1") == 0
    (folder / "photos").write_text("one more")
    with pytest.raises(UserError, match="trial 1 was trained on other data, or another split"):
        tune(folder)
    refused = outcome(folder).iloc[1]
    assert refused["state"] == "fail"
    assert "other data" in refused["reason"]
    (folder / "photos").unlink()
    assert tune(folder) == 0
    assert (outcome(folder)["state"] == "complete").sum() == 4


def test_another_split_may_be_what_varies(folder: Path) -> None:
    (folder / "sweep.toml").write_text(GRID.replace('"seed" = [1, 2]', '"split.seed" = [1, 2]'))
    assert tune(folder, "--trials", "1") == 0
    (folder / "photos").write_text("split in another way")
    assert tune(folder) == 0
    assert (outcome(folder)["state"] == "complete").all()


def test_another_sweep_does_not_mix_with_a_study(folder: Path) -> None:
    tune(folder, "--trials", "1")
    (folder / "sweep.toml").write_text(GRID.replace("0.01]", "0.02]"))
    with pytest.raises(UserError, match="another sweep"):
        tune(folder)


def test_a_trial_below_the_median_is_stopped(folder: Path) -> None:
    (folder / "stuck").touch()
    words = ["small.toml", "--set", "phases.only.learning_rate=0.01"]
    seen: list[tuple[int, float]] = []

    def watch(epoch: int, score: float) -> bool:
        seen.append((epoch, score))
        return epoch == 1

    with pytest.raises(StoppedError):
        train(Training(words, folder / "t", "weighted_f1"), watch)
    assert seen == [(0, 0.15), (1, 0.15)]
    assert not list((folder / "t").rglob("predictions.csv"))  # the process is gone


def test_the_last_words_of_a_failed_training_are_its_reason(folder: Path) -> None:
    (folder / "fail").touch()
    training = Training(["--set", "phases.only.learning_rate=0.01"], folder / "t", "accuracy")
    with pytest.raises(TrainingError, match=r"error: something is wrong \(exit code 2"):
        train(training, lambda *_: False)


def test_a_fold_is_scored_on_all_of_its_rows(tmp_path: Path) -> None:
    fold = tmp_path / "run/fold_1"
    fold.mkdir(parents=True)
    (fold / "predictions.csv").write_text("image_id,label,predicted,fold\n1,a,a,1\n2,b,a,1\n")
    assert score_of(tmp_path, "accuracy") == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "not valid TOML"),
        ('name = "a"\nexperiment = "small.toml"', r"\[grid\] or a \[space\]"),
        (GRID.replace("[0.001, 0.01]", "[0.001, -1]"), r"learning_rate = -1"),
        (GRID.replace("phases.only.learning_rate", "phases.only.rate"), "rate"),
        (GRID + '"model.dropout" = [0.2]', "model.dropout"),
        (
            GRID.replace("[set]", 'prune = true\nscore = "macro_f1"\n[set]'),
            r'prune goes by weighted F1.*score = "weighted_f1"\. Received: score = "macro_f1"',
        ),
        (GRID.replace("[set]", "fold = 0\n[set]"), "fold goes with folds.*'80/10/10'"),
        (FOLDS.replace("[set]", "fold = 3\n[set]"), "fold must be 0 to 2. Received: fold = 3"),
        (FOLDS.replace("[set]", "prune = true\n[set]"), "prune needs epochs that validate"),
        (GRID.replace("small.toml", "none.toml"), "no experiment file"),
        (SPACE.replace("step = 8", "step = 0.5"), "step must be a whole number above 0"),
        (SPACE.replace("step = 8", "step = 0"), "step must be a whole number above 0"),
        (SPACE.replace("high = 32, step = 8", "high = 32.5, step = -1"), "step must be above 0"),
        (GRID + 'oops = 1\n[space]\n"seed" = {low = 3, high = 1}', "low must be below high"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_told_before_anything_is_trained(
    folder: Path, text: str, words: str
) -> None:
    (folder / "sweep.toml").write_text(text)
    with pytest.raises(UserError, match=words):
        read_sweep(folder / "sweep.toml")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        FOLDS.replace("[set]", "fold = 2\n[set]"),
        FOLDS.replace("[set]", "prune = true\n[set]").replace('"last"', '"best"'),
        FOLDS.replace("[set]", "prune = true\n[set]").replace("3 folds", "80/20"),
    ],
)
def test_a_fold_that_is_there_and_epochs_that_validate_are_taken(folder: Path, text: str) -> None:
    (folder / "sweep.toml").write_text(text)
    assert read_sweep(folder / "sweep.toml")[0].name == "lr"


SWEEPS = sorted((Path(__file__).parents[2] / "experiments/sweeps").glob("*.toml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_each_sweep_of_the_repository_is_one(path: Path) -> None:
    sweep, experiment = read_sweep(path)
    assert sweep.name == path.stem
    assert experiment.is_file()


def test_the_median_stops_what_lies_below_it(folder: Path) -> None:
    (folder / "slow").touch()
    (folder / "sweep.toml").write_text(
        GRID.replace("[0.001, 0.01]", "[0.1, 0.0001]")
        .replace('"seed" = [1, 2]', '"seed" = [3, 4, 5]')
        .replace("[set]", "prune = true\npatience = 0\n[set]")
    )
    assert tune(folder) == 0
    table = outcome(folder)
    weak = table["phases.only.learning_rate"] == 0.0001
    assert (table.loc[~weak, "state"] == "complete").all()
    assert "pruned" in set(table.loc[weak, "state"])


@pytest.mark.parametrize("cut", [None, 0.5], ids=["none at all", "cut in half"])
def test_a_damaged_database_is_told_and_left(folder: Path, cut: float | None) -> None:
    file = folder / "out/study.sqlite"
    if cut is None:
        file.parent.mkdir()
        file.write_bytes(b"mine, and no database " * 100)
    else:
        assert tune(folder) == 0
        file.write_bytes(file.read_bytes()[: int(cut * file.stat().st_size)])
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"study\.sqlite is damaged, or no study of Optuna's \("):
        tune(folder)
    assert file.read_bytes() == before


def test_a_database_that_is_deleted_under_a_search_is_told(folder: Path) -> None:
    (folder / "delete").touch()
    with pytest.raises(UserError, match=r"study\.sqlite is gone, the study's database"):
        tune(folder)


def test_an_error_of_something_else_is_not_taken_for_the_databases() -> None:
    with pytest.raises(ZeroDivisionError), database_told(Path("study.sqlite")):
        raise ZeroDivisionError
    with pytest.raises(UserError, match="mine"), database_told(Path("study.sqlite")):
        raise UserError("mine") from sqlite3.OperationalError("locked")
