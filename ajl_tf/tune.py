"""Trains an experiment many times with other settings, and says which did best.

A sweep file names an experiment and a grid, every combination of which is tried, or a space that
Optuna searches, or rows: changes that are tried one at a time, for a table of what each is worth.
The study is a SQLite file: the same command again goes on with it, and the same command in several
terminals, or on several machines that share the folder, shares the work.

With --learning-rates it takes an experiment instead, trains it up to a phase, and then tries the
rates from low to high there, one an update: a curve of the loss and the rate that it suggests.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ajl_tf.errors import UserError, run_verb
from ajl_tf.process import import_tensorflow
from ajl_tf.train_options import add_data, add_folders

if TYPE_CHECKING:
    import optuna
    import pandas as pd

BETWEEN, UPDATES, LEAST_UPDATES = (1e-6, 1.0), 100, 20  # of a range test


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    arguments = _parser().parse_args(argv)
    if arguments.learning_rates is not None:
        return _try_rates(arguments)
    if arguments.set or arguments.between or arguments.updates is not None:
        raise UserError("--set, --between and --updates go with --learning-rates.")
    from ajl_tf.tuning.ablation import ABLATION, write_ablation
    from ajl_tf.tuning.ablation import FIGURE as ABLATION_FIGURE
    from ajl_tf.tuning.database import database_told
    from ajl_tf.tuning.outcome import BEST, TABLE, write_outcome
    from ajl_tf.tuning.running import run_trials
    from ajl_tf.tuning.study import DATABASE, open_study, values_of
    from ajl_tf.tuning.sweep import read_sweep

    sweep, experiment = read_sweep(arguments.sweep)
    if arguments.trials is not None:
        sweep = sweep.model_copy(update={"trials": arguments.trials})
    out = arguments.out or Path("experiments/runs") / f"sweep-{sweep.name}"

    def command(changes: Sequence[str]) -> list[str]:
        words = [str(experiment), "--no-export"]
        words += [] if sweep.fold is None else ["--fold", str(sweep.fold)]
        for change in changes:
            words += ["--set", change]
        for path in arguments.data or []:
            words += ["--data", str(path)]
        return [*words, "--splits", str(arguments.splits), "--cache", str(arguments.cache)]

    text: str | None = None
    with database_told(out / DATABASE):
        study = open_study(sweep, experiment, out)
        print(f"study: {out}")
        try:
            run_trials(study, sweep, command, out, lambda t: _tell(t, values_of(t, sweep)))
        finally:
            if sweep.rows:
                text = write_ablation(study, sweep, experiment, out)
            else:
                text = _outcome(write_outcome(study, sweep, experiment, out), sweep.score, out)
    if text is None:
        print(f"no trial has a score to show; {out / TABLE} says why")
        return 1
    print(f"\n{text}\ntrials  {out / TABLE}")
    if sweep.rows:
        print(f"table   {out / ABLATION}\nfigure  {out / ABLATION_FIGURE}\nbest    {out / BEST}")
    return 0


def _try_rates(arguments: argparse.Namespace) -> int:
    if arguments.trials is not None:
        raise UserError("--trials goes with a sweep, not with --learning-rates.")
    low, high = arguments.between or BETWEEN
    if not 0 < low < high < math.inf:
        raise UserError(f"--between takes two rates, 0 < LOW < HIGH. Received: {low:g} {high:g}")
    updates = UPDATES if arguments.updates is None else arguments.updates
    if updates < LEAST_UPDATES:
        raise UserError(f"--updates must be at least {LEAST_UPDATES}. Received: {updates}")
    from ajl_tf.config_file import load_experiment, to_toml

    experiment = load_experiment(arguments.sweep, arguments.set)
    import_tensorflow()
    from ajl_tf.files import write_text
    from ajl_tf.pages.folder import check_folder, result_folder
    from ajl_tf.runs import CONFIG, ENVIRONMENT, environment, write_json
    from ajl_tf.training.preparing import prepare_job
    from ajl_tf.training.resuming import memory_told
    from ajl_tf.tuning.rates import FIGURE, TABLE, find_phase, told, try_rates

    phase = find_phase(experiment, arguments.learning_rates or None)
    name = f"rates-{experiment.name}-{phase.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    out = arguments.out or Path("experiments/runs") / name
    check_folder(out)
    job = prepare_job(experiment, arguments.data, arguments.splits, arguments.cache)
    words = ["python", "-m", "ajl_tf.tune", str(arguments.sweep), "--learning-rates", phase.name]
    words += ["--between", str(low), str(high), "--updates", str(updates)]
    for change in arguments.set:
        words += ["--set", change]
    with result_folder(out) as folder, memory_told(experiment.training.batch_size):
        write_text(folder / CONFIG, to_toml(experiment))
        write_json(folder / ENVIRONMENT, environment(words))
        found, table = try_rates(job, phase, low, high, updates, folder)
    print(f"{told(found, table)}\nrates   {out / TABLE}\nfigure  {out / FIGURE}")
    return 0


def _outcome(settings: pd.DataFrame, score: str, out: Path) -> str | None:
    from ajl_tf.tuning.outcome import BEST, FIGURE

    if settings.empty:
        return None
    shown = settings.head(20).to_string(float_format=lambda x: f"{x:.4f}", na_rep="–")
    return (
        f"{score}, best first; sd is over seeds:\n{shown}\n\n"
        "The best was chosen by this score, which therefore flatters it: train it on other folds.\n"
        f"figure  {out / FIGURE}\nbest    {out / BEST}"
    )


def _tell(trial: optuna.trial.FrozenTrial, values: Mapping[str, Any]) -> None:
    score = f"{trial.value:.4f}" if trial.state.name == "COMPLETE" else trial.state.name.lower()
    shown = ", ".join(f"{key} = {value}" for key, value in values.items())
    print(f"trial {trial.number}: {score}  {shown}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ajl_tf.tune", description=__doc__)
    parser.add_argument(
        "sweep",
        type=Path,
        help="a sweep file, such as experiments/sweeps/*.toml; with --learning-rates an experiment",
    )
    add_data(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="instead of the file's number")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="default: experiments/runs/sweep-<name>, or rates-<name>-<phase>-<time> there",
    )
    rates = parser.add_argument_group("a range test of the learning rate")
    rates.add_argument(
        "--learning-rates",
        nargs="?",
        const="",
        metavar="PHASE",
        help="try the rates of this phase (default: the last); of folds, the first is left out",
    )
    rates.add_argument(
        "--between",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help=f"the first rate and the last (default: {BETWEEN[0]:g} {BETWEEN[1]:g})",
    )
    rates.add_argument(
        "--updates", type=int, metavar="N", help=f"so many rates (default: {UPDATES})"
    )
    rates.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="changes one value of the experiment, as for train",
    )
    add_folders(parser, "--splits", "--cache")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
