"""What came of a sweep: a table, a figure, and the best experiment as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ajl_tf.config_file import as_toml, load_experiment, to_toml
from ajl_tf.files import write_text
from ajl_tf.pages.figures import MUTED, SERIES, log_scale, new_figure, save_figure
from ajl_tf.tuning.study import REASON, minutes_of, trial_folder, values_of
from ajl_tf.tuning.sweep import ROW, SEED, Span, Sweep

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes

TABLE, FIGURE, BEST = "outcome.csv", "outcome.svg", "best.toml"


def trials_table(study: optuna.Study, sweep: Sweep) -> pd.DataFrame:
    """A row a trial: `trial, state, score, minutes`, what varied, `folder`, `reason` of a failure.

    One that goes on with a trial that died has the folder of that, and no minutes.
    """
    rows: list[dict[str, Any]] = []
    for trial in study.get_trials(deepcopy=False):
        values = values_of(trial, sweep)
        if trial.state.name == "WAITING" or not values:  # or found nothing left to do
            continue
        took = minutes_of(trial)
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value if trial.state.name == "COMPLETE" else None,
                "minutes": None if took is None else round(took, 2),
                **{k: v if k == ROW else as_toml(v) for k, v in values.items()},
                "folder": trial_folder(Path(), trial).name,
                "reason": trial.user_attrs.get(REASON, ""),
            }
        )
    varied = [*sweep.grid, *sweep.space, *([ROW] if sweep.rows else [])]
    varied += [SEED] if sweep.seeds else []
    columns = ["trial", "state", "score", "minutes", *varied, "folder", "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"score": float, "minutes": float})


def settings_table(trials: pd.DataFrame, sweep: Sweep) -> pd.DataFrame:
    """A row a setting, best first: what varied but for the seed, `score`, `sd`, `n`, `minutes`.

    `score` is the mean over `n` seeds, `sd` that of single trials; missing where there is one.
    """
    keys = [key for key in (*sweep.grid, *sweep.space) if key != SEED]
    done = trials[trials["state"] == "complete"]
    if not keys:  # seeds alone vary: one setting, again and again
        done, keys = done.assign(setting="the experiment"), ["setting"]
    grouped = done.groupby(keys, sort=False)
    table = grouped.agg(
        score=("score", "mean"),
        sd=("score", "std"),
        n=("score", "size"),
        minutes=("minutes", "mean"),
    ).reset_index()
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def write_trials(study: optuna.Study, sweep: Sweep, folder: Path) -> pd.DataFrame:
    """Writes and returns the table of trials."""
    trials = trials_table(study, sweep)
    write_text(folder / TABLE, trials.to_csv(index=False))
    return trials


def write_outcome(
    study: optuna.Study, sweep: Sweep, experiment: Path, folder: Path
) -> pd.DataFrame:
    """Writes the table of trials, the figure and the best experiment; returns the settings."""
    trials = write_trials(study, sweep, folder)
    settings = settings_table(trials, sweep)
    if settings.empty:
        return settings
    _draw(trials, sweep, folder / FIGURE)
    varied = [key for key in (*sweep.grid, *sweep.space) if key != SEED]
    best = [f"{key}={settings[key].iloc[0]!s}" for key in varied]
    score, n = float(settings["score"].iloc[0]), int(settings["n"].iloc[0])
    told = (
        f"The best setting of the sweep {sweep.name}: {sweep.score} {score:.4f}, {n} of "
        f"{len(trials)} trials."
    )
    write_best(folder, sweep, experiment, [*sweep.changes({}), *best], told)
    return settings


def write_best(
    folder: Path, sweep: Sweep, experiment: Path, changes: Sequence[str], told: str
) -> None:
    """Writes the experiment that scored best, all of its settings, as a file to train from.

    Args:
        folder: Where to.
        sweep: Gives the experiment its name.
        experiment: The sweep's.
        changes: `--set` of the best.
        told: A sentence about its score, for the file's first line.
    """
    chosen = load_experiment(experiment, [*changes, f'name="{sweep.name}_best"'])
    head = f"# {told} It was chosen by this score, which therefore flatters it.\n"
    write_text(folder / BEST, head + to_toml(chosen))


def _draw(trials: pd.DataFrame, sweep: Sweep, path: Path) -> None:
    done = trials[trials["state"] == "complete"]
    keys = [*sweep.grid, *sweep.space]
    rows = (len(keys) + 2) // 2
    with new_figure(7.5, 2.6 * rows) as figure:
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        axes[0].plot(done["trial"], done["score"], "o", color=SERIES[0], markersize=4)
        axes[0].plot(done["trial"], done["score"].cummax(), color=MUTED, linewidth=1)
        axes[0].set(xlabel="trial (line: best so far)", ylabel=sweep.score)
        for place, key in zip(axes[1:], keys, strict=False):
            _draw_key(place, done[key], done["score"], _given(sweep, key))
            place.set(xlabel=key, ylabel=sweep.score)
        for unused in axes[1 + len(keys) :]:
            unused.remove()
        best = done["score"].max()
        save_figure(
            figure,
            path,
            f"Trials of {sweep.name}",
            f"{sweep.score} of {len(done)} trials, by trial and by each value; "
            f"the best is {best:.3f}.",
        )


def _given(sweep: Sweep, key: str) -> Span | list[str]:
    """The range of a key, or its values as the table has them, in the file's order."""
    span = sweep.space.get(key)
    if isinstance(span, Span):
        return span
    return [as_toml(value) for value in (span.choices if span else sweep.grid[key])]


def _draw_key(axes: Axes, values: pd.Series, scores: pd.Series, given: Span | list[str]) -> None:
    if isinstance(given, Span):
        axes.plot(values.astype(float), scores, "o", color=SERIES[0], markersize=4)
        if given.log:
            log_scale(axes)
        return
    place = values.map({name: number for number, name in enumerate(given)})
    axes.plot(place, scores, "o", color=SERIES[0], markersize=4)
    mean = scores.groupby(place).mean()
    axes.plot(mean.index, mean, "_", color=MUTED, markersize=18)
    axes.set_xticks(range(len(given)), given)
    axes.set_xlim(-0.5, len(given) - 0.5)
