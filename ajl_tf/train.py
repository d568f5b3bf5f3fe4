"""Trains a classifier from an experiment file, scores it by skin tone and exports a SavedModel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError, run_verb
from ajl_tf.process import import_tensorflow

if TYPE_CHECKING:
    from ajl_tf.config import Experiment
    from ajl_tf.training.members import Job

FOLDERS = (
    ("--runs", "experiments/runs", "where runs are put"),
    ("--splits", "experiments/splits", "where splits are drawn to, and read from"),
    ("--saved-models", "saved_models", "where SavedModels are put"),
    ("--cache", "data/.cache", "for decoded photos beyond data.memory_limit_mb"),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ajl_tf.train", description=__doc__)
    parser.add_argument("experiment", nargs="?", type=Path, help="an experiments/<name>.toml")
    parser.add_argument(
        "--data",
        action="append",
        type=Path,
        metavar="PATH",
        help="the competition's folder or zip, or a CSV with image_id, path, label and perhaps "
        "skin_tone; may be given several times (default: data/)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="changes one value of the experiment, e.g. phases.fine_tuning.epochs=3",
    )
    parser.add_argument(
        "--folds", type=int, metavar="K", help="train K folds and score every row out of fold"
    )
    parser.add_argument(
        "--fold", type=int, metavar="I", help="train only this fold, counted from 0; see --merge"
    )
    parser.add_argument(
        "--merge",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="put runs that hold single folds of one experiment together into one",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="after the folds, train on all rows for as many epochs; that model is exported",
    )
    parser.add_argument("--name", help="name of the run and the SavedModel (default: the file's)")
    for option, folder, holds in FOLDERS:
        holds += " (default: %(default)s)"
        parser.add_argument(option, type=Path, default=Path(folder), metavar="DIR", help=holds)
    parser.add_argument(
        "--list-backbones", action="store_true", help="show the backbones and where weights are"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    arguments = _parser().parse_args(argv)
    if arguments.list_backbones:
        from ajl_tf.models.backbones import backbone_table

        print(backbone_table())
        return 0
    if arguments.merge:
        return _merge(arguments)
    if arguments.experiment is None:
        raise UserError(
            "no experiment was named. There are experiments/*.toml; for example: "
            "python -m ajl_tf.train experiments/efficientnet_lite0.toml --data data/"
        )
    experiment = _experiment(arguments)
    _check_flags(arguments, experiment)
    import_tensorflow()
    from ajl_tf.runs import create_run, record_manifest
    from ajl_tf.training import members

    job = _prepare(experiment, arguments)
    folds = sorted(job.manifest["fold"].unique()) if "fold" in job.manifest else []
    run = create_run(experiment, arguments.runs, _command(arguments))
    record_manifest(run, job.manifest)
    print(f"run: {run}")
    if not folds:
        members.train_holdout(job, run)
        return _finish(run, experiment, [run], arguments.saved_models)
    chosen = folds if arguments.fold is None else [arguments.fold]
    for fold in chosen:
        print(f"fold {fold} of {len(folds)}:")
        members.train_fold(job, run / members.fold_name(fold), fold)
    if arguments.fold is not None:
        print(
            f"fold {arguments.fold} is done: {run / members.fold_name(arguments.fold)}\n"
            "When every fold is: python -m ajl_tf.train --merge RUN RUN …"
        )
        return 0
    if arguments.refit:
        print("refit on all rows:")
        parts = [run / members.fold_name(fold) for fold in folds]
        members.train_refit(job, run / members.REFIT, parts)
    return _finish(
        run, experiment, [run / members.fold_name(f) for f in folds], arguments.saved_models
    )


def _experiment(arguments: argparse.Namespace) -> Experiment:
    from ajl_tf.config_file import load_experiment

    changes = list(arguments.set)
    if arguments.folds is not None:
        changes.append(f'split.scheme="{arguments.folds} folds"')
    if arguments.name is not None:
        changes.append(f'name="{arguments.name}"')
    experiment = load_experiment(arguments.experiment, changes)
    if experiment.balance.weighs_twice:
        print(
            "warning: class weights and a class sampler weigh rare classes twice", file=sys.stderr
        )
    return experiment


def _command(arguments: argparse.Namespace) -> list[str]:
    """What decides the result, without the folders of one machine."""
    command = ["python", "-m", "ajl_tf.train", str(arguments.experiment)]
    for change in arguments.set:
        command += ["--set", change]
    for flag in ("folds", "fold", "name"):
        value = getattr(arguments, flag)
        command += [] if value is None else [f"--{flag}", str(value)]
    return [*command, "--refit"] if arguments.refit else command


def _prepare(experiment: Experiment, arguments: argparse.Namespace) -> Job:
    """Reads everything that can be wrong before anything is trained or written but the split."""
    from ajl_tf.dataset.canvases import load_canvases
    from ajl_tf.dataset.manifest import labelled, read_manifest
    from ajl_tf.dataset.splits import load_or_make_split
    from ajl_tf.runs import manifest_hash
    from ajl_tf.training.members import Job, check_split

    manifest = labelled(read_manifest(arguments.data or [Path("data")]))
    scheme = experiment.split.scheme
    name = f"{experiment.split.name}_{scheme.replace('/', '-').replace(' ', '-')}"
    split = load_or_make_split(arguments.splits, name, manifest, scheme, experiment.split.seed)
    manifest = manifest.drop(columns=["split", "fold"], errors="ignore").merge(split, on="image_id")
    check_split(manifest)
    canvases = load_canvases(
        manifest["path"].tolist(),
        experiment.canvas,
        experiment.data.fit,
        cache=arguments.cache,
        memory_limit_mb=experiment.data.memory_limit_mb,
    )
    return Job(experiment, manifest, canvases, manifest_hash(manifest))


def _check_flags(arguments: argparse.Namespace, experiment: Experiment) -> None:
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


def _merge(arguments: argparse.Namespace) -> int:
    fold_flags = (arguments.folds, arguments.fold)
    if arguments.experiment or arguments.set or arguments.name or fold_flags != (None, None):
        raise UserError(
            "--merge takes the experiment from the runs, so it goes with no experiment file and "
            "with none of --set, --name, --folds and --fold."
        )
    from ajl_tf.runs import open_run

    experiment = open_run(arguments.merge[0])[1]
    _check_flags(arguments, experiment)
    import_tensorflow()
    from ajl_tf.training import members
    from ajl_tf.training.merging import merge_runs

    job = _prepare(experiment, arguments) if arguments.refit else None
    run, experiment, folders = merge_runs(
        arguments.merge, arguments.runs, job.data_hash if job else None
    )
    print(f"run: {run}")
    if job:
        print("refit on all rows:")
        members.train_refit(job, run / members.REFIT, folders)
    return _finish(run, experiment, folders, arguments.saved_models)


def _finish(run: Path, experiment: Experiment, folders: list[Path], saved_models: Path) -> int:
    """Scores the run's predictions, exports its SavedModel and says where everything is."""
    from ajl_tf.assessment.predictions import write_predictions
    from ajl_tf.assessment.report import format_table, make_report
    from ajl_tf.runs import PREDICTIONS, REPORT, write_json
    from ajl_tf.serving.export import export_run
    from ajl_tf.training.members import merged_predictions

    predictions = merged_predictions(folders)
    if folders != [run]:
        write_predictions(run / PREDICTIONS, predictions)
    report = make_report(predictions)
    write_json(run / REPORT, report)
    version = export_run(run, saved_models)
    print(f"\n{format_table(report)}\n")
    print(f"predictions  {run / PREDICTIONS}")
    print(f"report       {run / REPORT}")
    print(f"TensorBoard  tensorboard --logdir {run}")
    print(f"SavedModel   {version}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
