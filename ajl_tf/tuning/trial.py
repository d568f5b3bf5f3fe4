"""One trial: the train command in a process of its own, watched through the files that it writes.

A process of its own gives back all of its memory, may die without the study dying with it, and is
exactly the command that a user can run again by hand. It does not outlive the process of the study.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.assessment import metrics
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.errors import UserError
from ajl_tf.files import locked
from ajl_tf.process import ENDS_WITH_STDIN
from ajl_tf.runs import HISTORY, JOB, LOCK, PREDICTIONS, RESULT

LOG = "train.log"
_EVERY = 0.5  # seconds between looks at the files
_KILLED = -9  # the exit code of SIGKILL, which Windows does not name
_PATIENCE = 60  # seconds that a stopped training gets to write its checkpoint


class TrainingError(Exception):
    """The training ended without a score; the message is its last word."""


class KilledError(TrainingError):
    """A signal ended the training, such as the system's where memory is short."""


class StoppedError(Exception):
    """The training was stopped because `watch` said so."""


@dataclass(frozen=True)
class Training:
    """What a trial runs.

    Attributes:
        command: After `python -m ajl_tf.train`, but for the folder of its runs.
        folder: The trial's own; the run is made below it.
        score: `"weighted_f1"`, `"macro_f1"` or `"accuracy"`.
        goes_on: Go on with the run that is in the folder, if its training had begun.
    """

    command: Sequence[str]
    folder: Path
    score: str
    goes_on: bool = False

    @property
    def runs(self) -> Path:
        """Where its run is."""
        return self.folder / "runs"


def train(training: Training, watch: Callable[[int, float], bool]) -> float:
    """Runs a training to its end.

    Args:
        training: Which.
        watch: Called with each epoch that validates, counted from 0 over all members, and its
            score; True stops the training.

    Returns:
        The score on the rows that did not train the network which predicts them.

    Raises:
        TrainingError: The training ended with an error; `KilledError`: without one.
        StoppedError: `watch` said so.
        KeyboardInterrupt: It was ended from outside, as Ctrl-C does.
    """
    training.folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "ajl_tf.train", *_words(training)]
    with (
        (training.folder / LOG).open("ab") as log,
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,  # nothing goes through it: it ends when this process does
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {ENDS_WITH_STDIN: "1"},
        ) as process,
    ):
        try:
            _follow(process, training.runs, watch)
        finally:
            if process.poll() is None:
                _end(process)
    if process.returncode in (130, 143, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if process.returncode:
        error = KilledError if process.returncode < 0 else TrainingError
        raise error(_last_words(training.folder / LOG, process.returncode))
    return score_of(training.runs, training.score)


def score_of(runs: Path, name: str) -> float:
    """The score of the run in a trial's folder, in [0, 1]."""
    table = predictions_of(runs)
    names = sorted({*table["label"], *table["predicted"]})
    label, predicted = (np.searchsorted(names, table[column]) for column in ("label", "predicted"))
    matrix = metrics.confusion(label, predicted, len(names))
    return float(getattr(metrics, name)(matrix))


def predictions_of(runs: Path) -> pd.DataFrame:
    """What the run in a trial's folder of runs predicts, for rows that may choose a setting.

    Raises:
        UserError: They are not there any more.
    """
    found = [*runs.glob(f"*/{PREDICTIONS}"), *runs.glob(f"*/*/{PREDICTIONS}")]
    if not found:
        raise UserError(f"{runs} has no {PREDICTIONS} any more; put it back, or use another --out")
    table = read_predictions(found[0])
    return table[table["split"] == "validation"] if "split" in table else table


def data_of(runs: Path) -> str:
    """The hash of the data and split that the run in a trial's folder was trained on."""
    found = [*runs.glob(f"*/{RESULT}"), *runs.glob(f"*/*/{RESULT}")]
    return str(json.loads(found[0].read_text(encoding="utf-8"))["data_hash"])


def _words(training: Training) -> list[str]:
    """After `python -m ajl_tf.train`."""
    begun = sorted(training.runs.glob(f"*/{JOB}")) if training.goes_on else []
    if not begun:
        return [*training.command, "--runs", str(training.runs)]
    run = begun[-1].parent
    _wait_for(run)
    return ["--resume", str(run)]


def _wait_for(run: Path) -> None:
    """Waits until nobody trains the run: a process that only slept may be taken for dead."""
    what = f"the run {run}"
    try:
        with locked(run / LOCK, what):
            return
    except UserError as error:
        print(f"{error} This trial waits for it.", file=sys.stderr)
    with locked(run / LOCK, what, wait=True):
        return


def _follow(
    process: subprocess.Popen[bytes], runs: Path, watch: Callable[[int, float], bool]
) -> None:
    seen = 0
    while True:
        ended = process.poll() is not None  # before the look, so that nothing written is missed
        scores = list(_scores(runs))
        for epoch, score in enumerate(scores[seen:], start=seen):
            if watch(epoch, score):
                raise StoppedError
        seen = max(seen, len(scores))  # one that goes on takes back what is after its checkpoint
        if ended:
            return
        time.sleep(_EVERY)


def _scores(runs: Path) -> Iterator[float]:
    """Validation scores of all members so far, in order."""
    for path in sorted(runs.rglob(HISTORY)):
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if (
                line.endswith("\n")
                and (score := json.loads(line).get("val_weighted_f1")) is not None
            ):
                yield score


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(log: Path, code: int) -> str:
    lines = [
        line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line
    ]
    errors = [place for place, line in enumerate(lines) if line.startswith("error:")]
    told = lines[errors[-1] :] if errors else lines[-1:]
    killed = ": killed, as the system does where the memory is used up" if code == _KILLED else ""
    return " ".join([*told, f"(exit code {code}{killed}; all of it is in {log})"])
