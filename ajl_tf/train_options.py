"""The options of the train verb, and which of them go together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError

if TYPE_CHECKING:
    from ajl_tf.config import Experiment

FOLDERS = (
    ("--runs", "experiments/runs", "where runs are put"),
    ("--splits", "experiments/splits", "where splits are drawn to, and read from"),
    ("--saved-models", "saved_models", "where SavedModels are put"),
    ("--cache", "data/.cache", "for decoded photos beyond data.memory_limit_mb"),
)


def add_data(made: argparse.ArgumentParser) -> None:
    """The option that names the photos."""
    made.add_argument(
        "--data",
        action="append",
        type=Path,
        metavar="PATH",
        help="the competition's folder or zip, or a CSV with image_id, path, label and perhaps "
        "skin_tone; may be given several times (default: data/)",
    )


def add_folders(made: argparse.ArgumentParser, *only: str) -> None:
    """The options that name where things are put; all of them, or only some."""
    for option, folder, holds in FOLDERS:
        if not only or option in only:
            holds += " (default: %(default)s)"
            made.add_argument(option, type=Path, default=Path(folder), metavar="DIR", help=holds)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options; `description` opens the help."""
    made = argparse.ArgumentParser(prog="python -m ajl_tf.train", description=description)
    made.add_argument("experiment", nargs="?", type=Path, help="an experiments/<name>.toml")
    add_data(made)
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="changes one value of the experiment, e.g. phases.fine_tuning.epochs=3",
    )
    made.add_argument(
        "--folds", type=int, metavar="K", help="train K folds and score every row out of fold"
    )
    made.add_argument(
        "--fold", type=int, metavar="I", help="train only this fold, counted from 0; see --merge"
    )
    made.add_argument(
        "--merge",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="put runs that hold single folds of one experiment together into one",
    )
    made.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run that was ended before it was done, from where it stands; "
        "experiment, data and options are the run's",
    )
    made.add_argument(
        "--refit",
        action="store_true",
        help="after the folds, train on all rows for as many epochs; that model is exported",
    )
    made.add_argument("--name", help="name of the run and the SavedModel (default: the file's)")
    add_folders(made)
    made.add_argument("--no-export", action="store_true", help="train and score only")
    made.add_argument(
        "--list-backbones", action="store_true", help="show the backbones and where weights are"
    )
    return made


def command(arguments: argparse.Namespace) -> list[str]:
    """What decides the result, without the folders of one machine."""
    words = ["python", "-m", "ajl_tf.train", str(arguments.experiment)]
    for change in arguments.set:
        words += ["--set", change]
    for flag in ("folds", "fold", "name"):
        value = getattr(arguments, flag)
        words += [] if value is None else [f"--{flag}", str(value)]
    return [*words, "--refit"] if arguments.refit else words


def check_alone(arguments: argparse.Namespace) -> None:
    """Refuses any option beside `--resume`.

    Raises:
        UserError: Which.
    """
    none = vars(parser(None).parse_args([]))
    given = [name for name, value in vars(arguments).items() if value != none[name]]
    others = [name.replace("_", "-") for name in given if name != "resume"]
    if others:
        raise UserError(
            "--resume takes experiment, data and options from the run, so it goes with nothing "
            f"else. Received also: {', '.join(others)}"
        )


def check_options(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Refuses options that do not go together, or not with the experiment.

    Raises:
        UserError: Which, and what to do.
    """
    from ajl_tf.dataset.splits import parse_scheme

    column, shares = parse_scheme(experiment.split.scheme)
    folds = len(shares) if column == "fold" else 0
    if (arguments.fold is not None or arguments.refit) and not folds:
        raise UserError(
            "--fold and --refit go with folds; this experiment's split is "
            f"{experiment.split.scheme!r}. Add --folds 5, or set split.scheme."
        )
    if arguments.fold is not None and not 0 <= arguments.fold < folds:
        raise UserError(f"--fold must be 0 to {folds - 1}. Received: {arguments.fold}")
    if arguments.fold is not None and arguments.refit:
        raise UserError(
            "--refit needs all folds. Train them, then: python -m ajl_tf.train --merge RUN RUN … "
            "--refit"
        )
    watching = [phase.name for phase in experiment.phases if phase.schedule == "plateau"]
    if arguments.refit and watching:
        raise UserError(
            "--refit trains on all rows, which leaves schedule = 'plateau' nothing to watch "
            f"(phases: {', '.join(watching)}). Choose constant, cosine or step."
        )
