"""Trains a classifier from an experiment file, scores it by skin tone and exports a SavedModel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError, run_verb
from ajl_tf.process import import_tensorflow
from ajl_tf.train_options import check_alone, check_options, command, parser

if TYPE_CHECKING:
    from ajl_tf.config import Experiment
    from ajl_tf.training.members import Job
    from ajl_tf.training.resuming import Task


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    arguments = parser(__doc__).parse_args(argv)
    if arguments.list_backbones:
        from ajl_tf.models.backbones import backbone_table

        print(backbone_table())
        return 0
    if arguments.resume:
        return _resume(arguments)
    if arguments.merge:
        return _merge(arguments)
    if arguments.experiment is None:
        raise UserError(
            "no experiment was named. There are experiments/*.toml; for example: "
            "python -m ajl_tf.train experiments/efficientnet_lite0.toml --data data/"
        )
    experiment = _experiment(arguments)
    check_options(arguments, experiment)
    import_tensorflow()
    from ajl_tf.runs import DROPPED, create_run, record_manifest
    from ajl_tf.training.preparing import prepare_job, tell_leaks, tell_metadata
    from ajl_tf.training.resuming import held, record_job

    job = prepare_job(experiment, arguments.data, arguments.splits, arguments.cache)
    run = create_run(experiment, arguments.runs, command(arguments))
    with held(run, experiment.training.batch_size):
        gone = record_manifest(run, job.manifest)
        print(f"run: {run}")
        if gone:
            print(f"{gone:,} photos are dropped: they train nothing, see {run / DROPPED}")
        tell_leaks(run, job.manifest)
        tell_metadata(experiment.model, job.manifest)
        task = _task(arguments)
        record_job(run, job, task)
        return _go_on(run, job, task)


def _go_on(run: Path, job: Job, task: Task) -> int:
    """Trains the members that are not finished, then finishes the run."""
    from ajl_tf.training import members

    folds = sorted(job.manifest["fold"].unique()) if "fold" in job.manifest else []
    if not folds:
        members.train_holdout(job, run)
        return _finish(run, [run], task, job)
    for fold in folds if task.fold is None else [task.fold]:
        print(f"fold {fold} of {len(folds)}:")
        members.train_fold(job, run / members.fold_name(fold), fold)
    if task.fold is not None:
        return _fold_done(run, task.fold)
    parts = [run / members.fold_name(fold) for fold in folds]
    if task.refit:
        print("refit on all rows:")
        members.train_refit(job, run / members.REFIT, parts)
    return _finish(run, parts, task, job)


def _resume(arguments: argparse.Namespace) -> int:
    check_alone(arguments)
    from ajl_tf.runs import open_run

    run, experiment = open_run(arguments.resume)
    import_tensorflow()
    from ajl_tf.training.resuming import held, open_job, read_task, trained

    with held(run, experiment.training.batch_size):
        task = read_task(run)
        if (made := _made(run, experiment, task)) is not None:
            print(f"{run} is finished: {made}")
            return 0
        if task.fold is not None and trained(run, task):
            return _fold_done(run, task.fold)
        job = open_job(run, experiment, task)
        print(f"run: {run}")
        return _go_on(run, job, task)


def _task(arguments: argparse.Namespace) -> Task:
    from ajl_tf.training.resuming import Task

    saved_models = None if arguments.no_export else str(arguments.saved_models.resolve())
    return Task(arguments.fold, arguments.refit, saved_models, str(arguments.cache.resolve()))


def _fold_done(run: Path, fold: int) -> int:
    from ajl_tf.training.members import fold_name

    print(
        f"fold {fold} is done: {run / fold_name(fold)}\n"
        "When every fold is: python -m ajl_tf.train --merge RUN RUN …"
    )
    return 0


def _made(run: Path, experiment: Experiment, task: Task) -> str | None:
    """What a run that got to its end has made last."""
    from ajl_tf.runs import REPORT, read_json
    from ajl_tf.serving.export import FACTS

    if not (run / REPORT).is_file():
        return None
    if task.saved_models is None:
        return f"its report is {run / REPORT}"
    facts = sorted((Path(task.saved_models) / experiment.name).glob(f"[0-9]*/{FACTS}"))
    own = [path.parent for path in facts if read_json(path)["run"] == run.name]
    return f"its SavedModel is {own[0]}" if own else None


def _experiment(arguments: argparse.Namespace) -> Experiment:
    from ajl_tf.config_file import load_experiment

    changes = list(arguments.set)
    if arguments.folds is not None:
        changes.append(f'split.scheme="{arguments.folds} folds"')
    if arguments.name is not None:
        changes.append(f'name="{arguments.name}"')
    experiment = load_experiment(arguments.experiment, changes)
    if experiment.balance.ways > 1:
        print(
            "warning: class weights and a class sampler weigh rare classes twice", file=sys.stderr
        )
    return experiment


def _merge(arguments: argparse.Namespace) -> int:
    fold_flags = (arguments.folds, arguments.fold)
    if arguments.experiment or arguments.set or arguments.name or fold_flags != (None, None):
        raise UserError(
            "--merge takes the experiment from the runs, so it goes with no experiment file and "
            "with none of --set, --name, --folds and --fold."
        )
    if not arguments.refit and arguments.data:
        raise UserError("--merge takes the photos from the runs; --data goes with --merge --refit.")
    from ajl_tf.runs import open_run, record_manifest

    experiment = open_run(arguments.merge[0])[1]
    check_options(arguments, experiment)
    import_tensorflow()
    from ajl_tf.training.merging import merge_runs
    from ajl_tf.training.preparing import prepare_job
    from ajl_tf.training.resuming import held, record_job

    job = None
    if arguments.refit:
        job = prepare_job(experiment, arguments.data, arguments.splits, arguments.cache)
    run, experiment, folders = merge_runs(
        arguments.merge, arguments.runs, job.data_hash if job else None
    )
    print(f"run: {run}")
    with held(run, experiment.training.batch_size):
        task = _task(arguments)
        if job is None:
            return _finish(run, folders, task)
        record_manifest(run, job.manifest)  # with the places of the photos here
        record_job(run, job, task)
        return _go_on(run, job, task)


def _finish(run: Path, folders: list[Path], task: Task, job: Job | None = None) -> int:
    """Scores the run's predictions, exports its SavedModel and says where everything is."""
    from ajl_tf.assessment.predictions import read_manifest_columns, write_predictions
    from ajl_tf.assessment.report import format_table, make_report
    from ajl_tf.reporting.publish import Place, publish
    from ajl_tf.runs import MANIFEST, PHOTO_ONLY, PREDICTIONS, REPORT, write_json
    from ajl_tf.serving.export import after_training, export_run
    from ajl_tf.training.members import merged_predictions

    files = [file for file in (PREDICTIONS, PHOTO_ONLY) if (folders[0] / file).is_file()]
    tables = {file: merged_predictions(folders, file) for file in files}
    if folders != [run]:
        for file, table in tables.items():
            write_predictions(run / file, table)
    predictions = tables[PREDICTIONS]
    report = make_report(predictions, read_manifest_columns(run / MANIFEST))
    write_json(run / REPORT, report)
    publish(Place(run), run.name, report, predictions)
    version = None  # made last: by it a run is known to be finished
    if task.saved_models:
        options = after_training(run, Path(task.cache), job.photo_states if job else None)
        version = export_run(run, Path(task.saved_models), run.parent, options).version
    print(f"\n{format_table(report)}\n")
    print(f"predictions  {run / PREDICTIONS}")
    if PHOTO_ONLY in tables:
        alone = run / PHOTO_ONLY
        print(f"photo only   {alone}")
        print(f"to compare   python -m ajl_tf.evaluate {run} --against {alone}")
    print(f"report       {run / REPORT}, {Place(run).page}")
    print(f"TensorBoard  tensorboard --logdir {run}")
    if version:
        print(f"SavedModel   {version}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
