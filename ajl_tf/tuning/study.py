"""The study: an Optuna database that several processes may fill, and go on with another day."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ajl_tf.config_file import load_experiment
from ajl_tf.errors import UserError
from ajl_tf.tuning.sweep import Span, Sweep, as_toml
from ajl_tf.tuning.trial import StoppedError, Training, TrainingError, data_of, train

if TYPE_CHECKING:
    import optuna

DATABASE = "study.sqlite"
REASON = "reason"
_SWEEP, _EXPERIMENT, _DATA, _POINT = "sweep", "experiment", "data", "point"
_OF_DATA = ("split.", "data.")  # what varies of these is another table by intention
_FAILURES = 3  # one after the other: what is wrong is not the setting
_LOOK = 1.0  # seconds between looks at what other processes do
_BEAT, _GRACE = 20, 90  # seconds: a process that says nothing for so long is taken for dead


def open_study(sweep: Sweep, experiment: Path, folder: Path) -> optuna.Study:
    """Opens the database in a folder, or makes it.

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
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # That a dead process's trial is tried again is new in Optuna; setup.cfg bounds its version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{(folder / DATABASE).resolve()}",
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=_BEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )
    study = optuna.create_study(
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
    return study


def run_trials(
    study: optuna.Study,
    sweep: Sweep,
    command: Callable[[Sequence[str]], Sequence[str]],
    folder: Path,
    told: Callable[[optuna.trial.FrozenTrial], None],
) -> None:
    """Runs what is left of the sweep's trials; other processes may run some of them.

    Args:
        study: From `open_study`.
        sweep: The same.
        command: `--set` of a trial -> the words after `python -m ajl_tf.train`.
        folder: Trials get a folder each below it.
        told: Called with each trial of this process that has ended.
    """
    import optuna

    points = _points(sweep)

    def objective(trial: optuna.Trial) -> float:
        if points and trial.user_attrs.get(_POINT) not in points:
            # Another process took the last one, or the file has lost the row since it was queued.
            trial.set_user_attr(_POINT, None)
            raise optuna.TrialPruned
        # Its own for each trial: another process, or the next day's, must not draw the same again.
        study.sampler = _sampler(sweep, trial.number)
        words = command(sweep.changes(_varied(trial, sweep)))
        training = Training(words, trial_folder(folder, trial.number), sweep.score)

        def watch(epoch: int, score: float) -> bool:
            trial.report(score, epoch)
            return bool(trial.should_prune())

        try:
            score = train(training, watch)
        except StoppedError:
            raise optuna.TrialPruned from None
        except TrainingError as error:
            trial.set_user_attr(REASON, str(error))
            raise
        _check_data(study, trial, data_of(training.runs))
        return score

    ended: list[optuna.trial.FrozenTrial] = []
    failures = 0
    _queue(study, points)
    while failures < _FAILURES and (
        _is_left(study, sweep, bool(points))
        or (points and _revived(study) and _is_left(study, sweep, True))
    ):
        study.optimize(
            objective, n_trials=1, catch=TrainingError, callbacks=[lambda _, t: ended.append(t)]
        )
        told(ended[-1])
        failures = failures + 1 if ended[-1].state.name == "FAIL" else 0


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial's log and run are."""
    return folder / f"trial-{number:04d}"


def values_of(trial: optuna.trial.FrozenTrial, sweep: Sweep) -> dict[str, Any]:
    """What varied, as the experiment takes it; empty for what is no trial of the sweep."""
    if points := _points(sweep):
        point = trial.user_attrs.get(_POINT)
        return dict(json.loads(point)) if point in points else {}
    return {
        key: value if isinstance(sweep.space.get(key), Span) else json.loads(value)
        for key, value in trial.params.items()
    }


def _points(sweep: Sweep) -> list[str]:
    """Each trial of a grid or of rows, as text: Optuna compares no lists."""
    return [] if sweep.space else [as_toml(point) for point in sweep.combinations()]


def _queue(study: optuna.Study, points: Sequence[str]) -> None:
    """Queues each point that has not ended well, is not running and does not wait."""
    there = {
        trial.user_attrs.get(_POINT)
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name != "FAIL"
    }
    for point in points:
        if point not in there:
            study.enqueue_trial({}, user_attrs={_POINT: point})


def _check_data(study: optuna.Study, trial: optuna.Trial, data: str) -> None:
    """Remembers what the study's trials are trained on, and refuses the trial of other data."""
    varied = {*trial.params, *json.loads(trial.user_attrs.get(_POINT) or "{}")}
    if any(key.startswith(_OF_DATA) for key in varied):
        return
    known = study.user_attrs.get(_DATA)
    if known is None:
        study.set_user_attr(_DATA, data)
    elif known != data:
        trial.set_user_attr(REASON, "trained on other data, or another split, than the others")
        raise UserError(
            f"trial {trial.number} was trained on other data, or another split, than the trials "
            "before it, so they cannot be compared. Put back what they had, or name another folder "
            "with --out."
        )


def _is_left(study: optuna.Study, sweep: Sweep, queued: bool) -> bool:
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    done = sum(state in ("COMPLETE", "PRUNED") for state in states)
    if sweep.trials is not None and done >= sweep.trials:
        return False
    return not queued or "WAITING" in states


def _revived(study: optuna.Study) -> bool:
    """Waits for trials of other processes; whether one has died, so that its trial waits again."""
    import optuna

    end = time.monotonic() + _BEAT + _GRACE
    while running := study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        if study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.WAITING]):
            return True
        if time.monotonic() > end:
            numbers = ", ".join(str(trial.number) for trial in running)
            print(f"other processes still train: trial {numbers}", file=sys.stderr)
            return False
        time.sleep(_LOOK)
    return False


def _sampler(sweep: Sweep, number: int) -> optuna.samplers.BaseSampler:
    import optuna

    (seed,) = np.random.SeedSequence((sweep.seed, number)).generate_state(1)
    return optuna.samplers.TPESampler(seed=int(seed))


def _varied(trial: optuna.Trial, sweep: Sweep) -> dict[str, Any]:
    """A trial's values: queued, or drawn. A choice is kept as text: Optuna knows no lists."""
    if point := trial.user_attrs.get(_POINT):
        return dict(json.loads(point))
    varied: dict[str, Any] = {}
    for key, span in sweep.space.items():
        if not isinstance(span, Span):
            texts = [as_toml(choice) for choice in span.choices]
            varied[key] = json.loads(trial.suggest_categorical(key, texts))
        elif span.is_whole:
            step = 1 if span.step is None else int(span.step)
            varied[key] = trial.suggest_int(
                key, int(span.low), int(span.high), step=step, log=span.log
            )
        else:
            varied[key] = trial.suggest_float(
                key, span.low, span.high, step=span.step, log=span.log
            )
    return varied
