"""Runs the trials of a study, each the train command, until nothing is left to try."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ajl_tf.errors import UserError
from ajl_tf.tuning.study import (
    BEGUN,
    KILLED,
    POINT,
    REASON,
    alone,
    is_left,
    others_left,
    points_of,
    trial_folder,
)
from ajl_tf.tuning.sweep import Span, Sweep
from ajl_tf.tuning.trial import (
    KilledError,
    StoppedError,
    Training,
    TrainingError,
    data_of,
    train,
)

if TYPE_CHECKING:
    import optuna

_DATA = "data"
_OF_DATA = ("split.", "data.")  # what varies of these is another table by intention
_FAILURES = 3  # one after the other: what is wrong is not the setting


def run_trials(
    study: optuna.Study,
    sweep: Sweep,
    command: Callable[[Sequence[str]], Sequence[str]],
    folder: Path,
    told: Callable[[optuna.trial.FrozenTrial], None],
) -> None:
    """Runs what is left of the sweep's trials; other processes may run some of them.

    What died before it was done is gone on with, from its last checkpoint.

    Args:
        study: From `open_study`.
        sweep: The same.
        command: `--set` of a trial -> the words after `python -m ajl_tf.train`.
        folder: That of the study; trials get a folder each below it.
        told: Called with each trial of this process that has ended.
    """
    import optuna

    points = points_of(sweep)
    claim = ExitStack()  # from the look at what is left until the trial runs, which others count

    def objective(trial: optuna.Trial) -> float:
        claim.close()
        if points and trial.user_attrs.get(POINT) not in points:
            # The file has lost the row since it was queued.
            trial.set_user_attr(POINT, None)
            raise optuna.TrialPruned
        study.sampler = _sampler(study, sweep, trial.number)
        words = command(sweep.changes(_varied(trial, sweep)))
        goes_on = BEGUN in trial.user_attrs
        training = Training(words, trial_folder(folder, trial), sweep.score, goes_on)

        def watch(epoch: int, score: float) -> bool:
            trial.report(score, epoch)
            return bool(trial.should_prune())

        try:
            score = train(training, watch)
        except StoppedError:
            raise optuna.TrialPruned from None
        except TrainingError as error:
            if isinstance(error, KilledError):
                trial.set_user_attr(KILLED, True)
            trial.set_user_attr(REASON, str(error))
            raise
        _check_data(study, trial, data_of(training.runs))
        return score

    ended: list[optuna.trial.FrozenTrial] = []
    failures = 0
    with claim:
        while failures < _FAILURES:
            claim.enter_context(alone(folder))
            if not is_left(study, sweep):
                claim.close()
                if others_left(study, sweep, folder):
                    continue
                break
            study.optimize(
                objective, n_trials=1, catch=TrainingError, callbacks=[lambda _, t: ended.append(t)]
            )
            told(ended[-1])
            failures = failures + 1 if ended[-1].state.name == "FAIL" else 0


def _check_data(study: optuna.Study, trial: optuna.Trial, data: str) -> None:
    """Remembers what the study's trials are trained on, and refuses the trial of other data."""
    varied = {*trial.params, *json.loads(trial.user_attrs.get(POINT) or "{}")}
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


def _sampler(study: optuna.Study, sweep: Sweep, number: int) -> optuna.samplers.BaseSampler:
    """Its own for each trial: another process, or the next day's, must not draw the same again.

    Trials that go on with another do not count: the others draw as if none had died.
    """
    import optuna

    drawn = number - sum(
        BEGUN in trial.user_attrs for trial in study.get_trials(deepcopy=False)[:number]
    )
    (seed,) = np.random.SeedSequence((sweep.seed, drawn)).generate_state(1)
    return optuna.samplers.TPESampler(seed=int(seed))


def _varied(trial: optuna.Trial, sweep: Sweep) -> dict[str, Any]:
    """A trial's values: queued, or drawn. A choice is kept as text: Optuna knows no lists."""
    if point := trial.user_attrs.get(POINT):
        return dict(json.loads(point))
    varied: dict[str, Any] = {}
    for key, span in sweep.space.items():
        if not isinstance(span, Span):
            texts = [json.dumps(choice) for choice in span.choices]
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
