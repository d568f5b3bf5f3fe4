"""The study: an Optuna database that several processes may fill, and go on with another day."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ajl_tf.config_file import load_experiment
from ajl_tf.errors import UserError
from ajl_tf.files import locked
from ajl_tf.tuning.sweep import Span, Sweep

if TYPE_CHECKING:
    import optuna

DATABASE, LOCK, TRIALS = "study.sqlite", "lock", "trials"
REASON, POINT = "reason", "point"  # what a trial remembers: why it failed, what it tries
KILLED = "killed"  # the failed training was, so that nothing is wrong with it
BEGUN = "begun"  # number of the trial that died with what this one goes on with
_SWEEP, _EXPERIMENT = "sweep", "experiment"
_LOOK = 1.0  # seconds between looks at what other processes do
_BEAT, _GRACE = 20, 90  # seconds: a process that says nothing for so long is taken for dead


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process looks at a folder's study to see what it is to do, and does."""
    with locked(folder / LOCK, f"the study in {folder}", wait=True):
        yield


def open_study(sweep: Sweep, experiment: Path, folder: Path) -> optuna.Study:
    """Opens the database in a folder, or makes it, and queues what is still to be tried.

    Raises:
        UserError: Optuna is not installed, or the folder holds the study of another sweep, or of
            the experiment as it was before.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise UserError(
            'tuning needs Optuna, which is not installed: pip install "ajl_tf[tune]"'
        ) from None
    optuna.logging.set_verbosity(logging.WARNING)
    with alone(folder):
        study = _open(sweep, folder)
        _check_same(study, sweep, experiment, folder)
        _queue(study, sweep)
    return study


def _open(sweep: Sweep, folder: Path) -> optuna.Study:
    import optuna

    with warnings.catch_warnings():
        # That a dead process's trial is told of is new in Optuna; setup.cfg bounds its version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{(folder / DATABASE).resolve()}",
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=_BEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=_try_again,
        )
    return optuna.create_study(
        storage=storage,
        study_name=sweep.name,
        load_if_exists=True,
        direction="maximize",
        pruner=(
            optuna.pruners.MedianPruner(n_warmup_steps=sweep.patience)
            if sweep.prune
            else optuna.pruners.NopPruner()
        ),
    )


def _check_same(study: optuna.Study, sweep: Sweep, experiment: Path, folder: Path) -> None:
    """Remembers what a new study is of, and refuses one of something else."""
    settings = load_experiment(experiment).hash
    for what, now, told in (
        (_SWEEP, sweep.hash, "the study of another sweep of this name"),
        (_EXPERIMENT, settings, f"trials of {experiment} as it was before it was changed"),
    ):
        known = study.user_attrs.get(what)
        if known is None:
            study.set_user_attr(what, now)
        elif known != now:
            raise UserError(
                f"{folder} holds {told}, and they cannot be compared. Give the sweep another name, "
                "or another folder with --out."
            )


def trial_folder(folder: Path, trial: optuna.trial.BaseTrial) -> Path:
    """Where a trial's log and run are; of one that goes on with another, that one's folder."""
    return folder / TRIALS / f"trial-{_first(trial):04d}"


def values_of(trial: optuna.trial.FrozenTrial, sweep: Sweep) -> dict[str, Any]:
    """What varied, as the experiment takes it; empty for what is no trial of the sweep."""
    if points := points_of(sweep):
        point = trial.user_attrs.get(POINT)
        return dict(json.loads(point)) if point in points else {}
    return {
        key: value if isinstance(sweep.space.get(key), Span) else json.loads(value)
        for key, value in trial.params.items()
    }


def minutes_of(trial: optuna.trial.FrozenTrial) -> float | None:
    """How long a trial took; None while it runs, and where it went on with another's run."""
    if trial.duration is None or BEGUN in trial.user_attrs:
        return None
    return float(trial.duration.total_seconds() / 60)


def points_of(sweep: Sweep) -> list[str]:
    """Each trial of a grid or of rows, as text: Optuna compares no lists."""
    return [] if sweep.space else [json.dumps(point) for point in sweep.combinations()]


def _queue(study: optuna.Study, sweep: Sweep) -> None:
    """Queues what died or was interrupted, then each other point that is still to be tried."""
    points = points_of(sweep)
    trials = study.get_trials(deepcopy=False)
    # Of a grid, what has ended well, is running or waits.
    there = {t.user_attrs.get(POINT) for t in trials if points and t.state.name != "FAIL"}
    for trial in {_first(trial): trial for trial in trials}.values():  # the last that went on
        point = trial.user_attrs.get(POINT)
        if _has_died(trial) and point not in there and (not points or point in points):
            _try_again(study, trial)
            there |= {point} if points else set()
    for point in points:
        if point not in there:
            study.enqueue_trial({}, user_attrs={POINT: point})


def is_left(study: optuna.Study, sweep: Sweep) -> bool:
    """Whether a trial is to be begun; of a grid, or of rows, one that waits."""
    points, trials = points_of(sweep), study.get_trials(deepcopy=False)
    begun = sum(
        trial.state.name in ("COMPLETE", "PRUNED", "RUNNING")
        # Nor what is no trial of the file (any more).
        and (not points or trial.user_attrs.get(POINT) in points)
        for trial in trials
    )
    if sweep.trials is not None and begun >= sweep.trials:
        return False
    return not points or any(trial.state.name == "WAITING" for trial in trials)


def others_left(study: optuna.Study, sweep: Sweep, folder: Path) -> bool:
    """Waits for trials of other processes; whether one has died or failed, so that some is left."""
    import optuna

    end = time.monotonic() + _BEAT + _GRACE
    while running := study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        with alone(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        if is_left(study, sweep):
            return True
        if time.monotonic() > end:
            numbers = ", ".join(str(trial.number) for trial in running)
            print(f"other processes still train: trial {numbers}", file=sys.stderr)
            return False
        time.sleep(_LOOK)
    return is_left(study, sweep)


def _first(trial: optuna.trial.BaseTrial) -> int:
    """Number of the trial that began what this one goes on with; its own, if it began it."""
    number: int = trial.user_attrs.get(BEGUN, trial.number)
    return number


def _has_died(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether it ended with nothing wrong: then another goes on with it, and else begins anew."""
    attributes = trial.user_attrs
    return trial.state.name == "FAIL" and (KILLED in attributes or REASON not in attributes)


def _try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queues what a trial that died was trying, to go on in its folder."""
    point = {POINT: trial.user_attrs[POINT]} if POINT in trial.user_attrs else {}
    study.enqueue_trial(trial.params, user_attrs={**point, BEGUN: _first(trial)})
