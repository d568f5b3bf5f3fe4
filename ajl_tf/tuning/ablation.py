"""What came of a sweep's rows: the ablation table, in Markdown, and its figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ajl_tf.assessment.ablation import NOISE, ablation
from ajl_tf.config_file import as_toml
from ajl_tf.files import write_text
from ajl_tf.pages.figures import INK, MUTED, SERIES, new_figure, save_figure
from ajl_tf.tuning.outcome import write_best, write_trials
from ajl_tf.tuning.study import minutes_of, trial_folder, values_of
from ajl_tf.tuning.sweep import BASE, ROW, SEED, Sweep
from ajl_tf.tuning.trial import predictions_of

if TYPE_CHECKING:
    import optuna

ABLATION, FIGURE = "ablation.md", "ablation.svg"
# Of the figure. A row that loses more is written there, or it would press all others flat.
_EDGE = -0.2
_HEAD = (
    "row",
    "changes",
    "weighted F1 [95 %]",
    f"difference to {BASE}",
    "with each seed",
    "worst tone band: standardised recall [95 %]",
    f"difference on the worst band of {BASE}",
    "minutes",
)


def write_ablation(study: optuna.Study, sweep: Sweep, experiment: Path, folder: Path) -> str | None:
    """Writes the tables of trials and rows, a figure and the best row's experiment.

    Rows that are not trained yet are left out.

    Args:
        study: From `study.open_study`.
        sweep: With `rows`.
        experiment: Its experiment file.
        folder: That of the study, where the tables go.

    Returns:
        The text of the table of rows; None where there is nothing to compare.

    Raises:
        UserError: Predictions of a trial are gone, or not of the same photos.
    """
    write_trials(study, sweep, folder)
    done: dict[str, dict[int, pd.DataFrame]] = {name: {} for name in (BASE, *sweep.rows)}
    minutes: dict[str, list[float]] = {name: [] for name in done}
    for trial in study.get_trials(deepcopy=False):
        values = values_of(trial, sweep)
        if trial.state.name == "COMPLETE" and values:
            name, seed = values[ROW], values.get(SEED, 0)
            done[name][seed] = predictions_of(trial_folder(folder, trial) / "runs")
            if (took := minutes_of(trial)) is not None:
                minutes[name].append(took)
    if not done[BASE]:
        return None
    found = ablation(done, BASE)
    text = _table(found, sweep, experiment, minutes)
    write_text(folder / ABLATION, text)
    _draw(sweep.name, found, folder / FIGURE)
    _write_best(found, sweep, experiment, folder)
    return text


def _write_best(found: Mapping[str, Any], sweep: Sweep, experiment: Path, folder: Path) -> None:
    rows = found["rows"]
    best = max(rows, key=lambda name: rows[name]["weighted_f1"]["value"])
    told = f"The best of {len(rows)} rows of the sweep {sweep.name} is {best}: weighted F1 "
    told += _figure(rows[best]["weighted_f1"])
    if best != BASE:
        told += f", difference to {BASE} {_difference(rows[best])}"
    write_best(folder, sweep, experiment, sweep.changes(sweep.rows.get(best, {})), f"{told}.")


def _table(
    found: Mapping[str, Any], sweep: Sweep, experiment: Path, minutes: Mapping[str, list[float]]
) -> str:
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    for name, row in found["rows"].items():
        difference = on_band = "–"
        if name != BASE:
            difference = _difference(row)
        if band := row.get("band_of_base"):
            on_band = f"{band['group']}: {_difference(band)}"
        seeds = ", ".join(f"{value:+.3f}" for value in row.get("of_seeds", []))
        worst, changes = row["worst_band"], sweep.rows.get(name, {})
        cells = (
            name,
            ", ".join(f"`{key} = {as_toml(value)}`" for key, value in changes.items()) or "–",
            _figure(row["weighted_f1"]),
            difference,
            seeds or "–",
            f"{worst['group']}: {_figure(worst['figure'])}" if worst else "–",
            on_band,
            f"{sum(minutes[name]) / len(minutes[name]):.1f}" if minutes[name] else "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _note(found, sweep, experiment)]) + "\n"


def _note(found: Mapping[str, Any], sweep: Sweep, experiment: Path) -> str:
    shared = "".join(f", `{key} = {as_toml(value)}`" for key, value in sweep.set.items())
    where = "all folds, or the validation rows" if sweep.fold is None else f"fold {sweep.fold}"
    seeds = " and ".join(map(str, sweep.seeds)) if sweep.seeds else "the experiment's"
    return (
        f"`{experiment.name}`{shared}; {where}: {found['n']:,} photos in {found['clusters']:,} "
        f"groups of copies; seed: {seeds}. Intervals are of a bootstrap over these groups, the "
        "same for every row, and of a difference paired by photo and seed; that on the worst band "
        f"is of standardised recall on the band that is worst for {BASE}. The luck of a training "
        f'is not in them. "{NOISE.capitalize()}": the interval holds 0, or the seeds disagree '
        "about the sign. Many rows are compared, each by itself: of twenty that change nothing, "
        "one interval excludes 0 all the same."
    )


def _difference(told: Mapping[str, Any]) -> str:
    return f"{_figure(told['difference'], '+')} {told['conclusion']}"


def _figure(figure: Mapping[str, float | None], sign: str = "") -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "–"
    between = "" if low is None or high is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{value:{sign}.3f}{between}"


def _draw(name: str, found: Mapping[str, Any], path: Path) -> None:
    rows = {key: row["difference"] for key, row in found["rows"].items() if key != BASE}
    if not rows:
        return
    with new_figure(7.5, 0.8 + 0.24 * len(rows)) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=0.8)
        for place, difference in enumerate(rows.values()):
            value, low, high = (difference[key] for key in ("value", "low", "high"))
            if value < _EDGE:
                left = axes.get_yaxis_transform()
                axes.text(0.01, place, f"{value:+.3f}", va="center", transform=left)
                continue
            if low is not None:
                axes.plot([max(low, _EDGE), high], [place, place], color=MUTED, linewidth=1)
            axes.plot(value, place, "o", color=SERIES[0], markersize=4)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set(xlabel=f"weighted F1, difference to {BASE} and its 95 % interval")
        told = ", ".join(f"{key} {difference['value']:+.3f}" for key, difference in rows.items())
        save_figure(figure, path, f"Ablation of {name}", f"Differences of weighted F1: {told}.")
