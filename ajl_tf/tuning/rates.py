"""A range test of the learning rate: which rates a phase of an experiment can take."""

from __future__ import annotations

import contextlib
import math
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.config import Experiment, Phase
from ajl_tf.errors import UserError
from ajl_tf.files import write_text
from ajl_tf.pages.figures import INK, MUTED, SERIES, log_scale, new_figure, save_figure
from ajl_tf.runs import write_json
from ajl_tf.training.members import Job, train_fold, train_holdout
from ajl_tf.training.probe import MEMORY, Ended, RateProbe, smoothed

TABLE, FIGURE, FOUND = "rates.csv", "rates.svg", "rates.json"
_SHARE = 0.1  # of the rate where the smoothed loss is lowest


@dataclass(frozen=True)
class Found:
    """What a range test says; a rate is None where there is none.

    Attributes:
        phase: Its name.
        own: The phase's rate in the experiment.
        suggested: A tenth of `lowest`, within the rates tried.
        lowest: Where the smoothed loss was lowest.
        steepest: Where it fell fastest over the logarithm of the rate, before that.
        diverged: Where the test was stopped because the loss diverged.
    """

    phase: str
    own: float
    suggested: float | None
    lowest: float | None
    steepest: float | None
    diverged: float | None


def find_phase(experiment: Experiment, name: str | None) -> Phase:
    """The phase of that name; None: the last one.

    Raises:
        UserError: There is none of that name.
    """
    if name is None:
        return experiment.phases[-1]
    for phase in experiment.phases:
        if phase.name == name:
            return phase
    names = ", ".join(phase.name for phase in experiment.phases)
    raise UserError(f"--learning-rates: no phase {name!r}; the experiment has {names}.")


def try_rates(
    job: Job, phase: Phase, low: float, high: float, updates: int, folder: Path
) -> tuple[Found, pd.DataFrame]:
    """Trains up to a phase, then so many updates of it while the rate grows; keeps no weights.

    Where there are folds, all train but the first. Writes a table, a figure and what it found.

    Args:
        job: As for a training.
        phase: One of its experiment's.
        low: The first rate.
        high: The last.
        updates: At least `2 * MEMORY`.
        folder: Of the results; also holds the training while it lasts.

    Returns:
        What it found, and a row an update: `update, learning_rate, loss, smoothed_loss`.
    """
    experiment = job.experiment
    before = experiment.phases[: experiment.phases.index(phase)]
    grown = phase.model_copy(update={"schedule": "constant", "warmup_epochs": 0.0})
    phases = experiment.model_copy(update={"phases": (*before, grown)})
    probe = RateProbe(low, high, updates, phase.accumulate)
    probed = replace(job, experiment=phases, probe=probe)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="training-") as training,
        contextlib.suppress(Ended),
    ):
        if "fold" in job.manifest:
            train_fold(probed, Path(training), int(job.manifest["fold"].min()))
        else:
            train_holdout(probed, Path(training))
    table = pd.DataFrame(
        {
            "update": range(1, len(probe.losses) + 1),
            "learning_rate": probe.rates[: len(probe.losses)],
            "loss": probe.losses,
            "smoothed_loss": smoothed(probe.losses),
        }
    )
    found = _found(phase, table, probe.has_diverged)
    write_text(folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
    write_json(folder / FOUND, asdict(found))
    _draw(experiment.name, table, found, folder / FIGURE)
    return found, table


def told(found: Found, table: pd.DataFrame) -> str:
    """What a range test says, in words."""
    key = f"phases.{found.phase}.learning_rate"
    lines = []
    if found.lowest:
        lines.append(
            f"smoothed loss: lowest at {found.lowest:.2g}, falls fastest at {found.steepest:.2g}"
        )
    if found.diverged:
        lines.append(f"diverged at {found.diverged:.2g}, after {len(table)} updates")
    if found.suggested:
        lines += [
            f"suggested: {key} = {found.suggested:.2g} (the experiment has {found.own:.2g})",
            '  a tenth of the rate where the smoothed loss was lowest ("minimum" in fastai); the '
            "test is of\n  Smith 2017, arXiv:1506.01186",
        ]
    else:
        lines.append(
            f"no suggestion for {key}: the loss did not fall, or was lowest at less than ten times "
            "the first rate.\n  Begin lower with --between, or take more --updates"
        )
    if found.lowest == table["learning_rate"].iloc[-1]:
        lines.append("the loss still fell at the highest rate: go on upwards with --between")
    lines.append(
        "A hint, no result: a few updates of one training. Try rates around it in a sweep."
    )
    return "\n".join(lines)


def _found(phase: Phase, table: pd.DataFrame, has_diverged: bool) -> Found:
    rates, smooth = (table[name].to_numpy() for name in ("learning_rate", "smoothed_loss"))
    diverged = float(rates[-1]) if has_diverged else None
    nothing = Found(phase.name, phase.learning_rate, None, None, None, diverged)
    settled = np.flatnonzero(np.isfinite(smooth))[MEMORY - 1 :]
    if len(settled) < 2:
        return nothing
    best = int(np.argmin(smooth[settled]))
    if not best:  # it never fell
        return nothing
    slopes = np.gradient(smooth[settled], np.log(rates[settled]))
    steepest = float(rates[settled][int(np.argmin(slopes[: best + 1]))])
    lowest = float(rates[settled][best])
    suggested = _SHARE * lowest if _SHARE * lowest >= rates[0] else None
    return replace(nothing, suggested=suggested, lowest=lowest, steepest=steepest)


def _draw(name: str, table: pd.DataFrame, found: Found, path: Path) -> None:
    shown = table[np.isfinite(table["loss"])]
    with new_figure(6.0, 3.4) as figure:
        axes = figure.subplots()
        axes.plot(shown["learning_rate"], shown["loss"], color=MUTED, linewidth=0.6, label="loss")
        axes.plot(shown["learning_rate"], shown["smoothed_loss"], color=SERIES[0], label="smoothed")
        marks = ((found.suggested, SERIES[1], "suggested"), (found.own, INK, "the experiment's"))
        for rate, colour, words in marks:
            if rate is not None:
                axes.axvline(rate, color=colour, linewidth=1, linestyle="--", label=words)
        log_scale(axes)
        top = shown["smoothed_loss"].iloc[0] if len(shown) else math.nan
        if np.isfinite(top):  # what diverged must not press all else flat
            lowest = float(shown["smoothed_loss"].min())
            axes.set_ylim(0.9 * min(lowest, float(shown["loss"].min())), 1.5 * float(top))
        axes.set(xlabel="learning rate", ylabel="training loss")
        axes.legend()
        suggested = "none" if found.suggested is None else f"{found.suggested:.2g}"
        save_figure(
            figure,
            path,
            f"Learning rates of {name}, {found.phase}",
            f"Training loss over {len(table)} updates while the learning rate grows from "
            f"{table['learning_rate'].iloc[0]:.2g} to {table['learning_rate'].iloc[-1]:.2g}; "
            f"suggested: {suggested}.",
        )
