"""Puts folds that were trained apart, perhaps on several machines, together into one run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.config import Experiment
from ajl_tf.dataset.splits import parse_scheme
from ajl_tf.errors import UserError, listed
from ajl_tf.runs import (
    DROPPED,
    ENVIRONMENT,
    LEAKS,
    MANIFEST,
    RESULT,
    create_run,
    open_run,
    read_json,
    write_json,
)
from ajl_tf.training.members import fold_name


def merge_runs(
    paths: Sequence[Path], runs: Path, data_hash: str | None = None
) -> tuple[Path, Experiment, list[Path]]:
    """Copies the folds of several runs into a new one.

    Args:
        paths: Run folders that hold finished folds of one experiment on the same data.
        runs: Folder of all runs.
        data_hash: What the folds must have been trained on, see `runs.manifest_hash`; None: they
            need only agree.

    Returns:
        The new run, its experiment, and the folders of its folds in order.

    Raises:
        UserError: Runs of different experiments or data, a fold twice, a fold missing.
    """
    opened = [open_run(path) for path in paths]
    experiment = opened[0][1]
    column, shares = parse_scheme(experiment.split.scheme)
    if column != "fold":
        raise UserError(f"{paths[0]} has no folds: its split is {experiment.split.scheme!r}")
    problems = [
        f"{folder}: its experiment differs from that of {opened[0][0]}"
        for folder, other in opened[1:]
        if other != experiment
    ]
    found: dict[int, Path] = {}
    hashes: dict[str, Path] = {}
    for fold in range(len(shares)):
        parts = [f / fold_name(fold) for f, _ in opened if (f / fold_name(fold) / RESULT).is_file()]
        if not parts:
            problems.append(f"fold {fold} is missing: train it with --fold {fold}")
        elif len(parts) > 1:
            problems.append(f"fold {fold} is there twice: {', '.join(map(str, parts))}")
        else:
            found[fold] = parts[0]
            hashes.setdefault(read_json(parts[0] / RESULT)["data_hash"], parts[0])
    if len(hashes) > 1:
        where = ", ".join(map(str, hashes.values()))
        problems.append(f"the folds were trained on different data or splits: {where}")
    elif data_hash is not None and data_hash not in hashes:
        problems.append("the folds were trained on other data, or another split, than given now")
    if problems:
        raise UserError(f"these runs cannot be merged:\n{listed(problems)}")
    run = create_run(
        experiment, runs, ["python", "-m", "ajl_tf.train", "--merge", *(p.name for p in paths)]
    )
    for name in (MANIFEST, DROPPED, LEAKS):
        if (opened[0][0] / name).is_file():
            shutil.copyfile(opened[0][0] / name, run / name)
    for fold, part in found.items():
        copy = run / f".{fold_name(fold)}"  # under its name only when it is whole
        shutil.copytree(part, copy)
        copy.rename(run / fold_name(fold))
    # The merge may be made elsewhere and later; the scores come from where the folds were trained.
    trained = {
        fold_name(fold): read_json(part.parent / ENVIRONMENT) for fold, part in found.items()
    }
    write_json(run / ENVIRONMENT, read_json(run / ENVIRONMENT) | {"folds": trained})
    return run, experiment, [run / fold_name(fold) for fold in sorted(found)]
