"""What a run folder holds to be gone on with, and what must not have changed since."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ajl_tf import errors
from ajl_tf.config import Experiment
from ajl_tf.dataset.canvases import content_hash, load_canvases, photo_states
from ajl_tf.errors import UserError, listed
from ajl_tf.files import locked, sweep
from ajl_tf.runs import (
    CONFIG,
    ENVIRONMENT,
    JOB,
    LOCK,
    MANIFEST,
    RESULT,
    environment,
    manifest_hash,
    read_json,
    write_json,
)
from ajl_tf.training.members import Job, fold_name

_MACHINE = ("ajl_tf", "commit", "python", "packages", "processor", "cores", "devices")


@dataclass(frozen=True)
class Task:
    """The options that a run was begun with.

    Attributes:
        fold: The only one to train; None: all of them.
        refit: Whether a network is trained on all rows after the folds.
        saved_models: Folder, absolute; None: nothing is exported.
        cache: Folder, absolute.
    """

    fold: int | None
    refit: bool
    saved_models: str | None
    cache: str


@contextmanager
def held(run: Path, batch_size: int) -> Iterator[None]:
    """Keeps other processes from the run, and says with what ends this one how to go on.

    Raises:
        UserError: Another process is at it; or the memory is used up, with what to do.
    """
    with locked(run / LOCK, f"the run {run}"):
        try:
            with memory_told(batch_size):
                yield
        except UserError:
            raise
        except BaseException as error:
            error.add_note(f"To go on from there: python -m ajl_tf.train --resume {run}")
            raise


def memory_told(batch_size: int) -> AbstractContextManager[None]:
    """As `errors.memory_told`, of a training with such batches."""
    if batch_size == 1:
        remedy = "The batch is 1 photo already: use a smaller model.input_size or backbone."
    else:
        remedy = (
            f"training.batch_size is {batch_size}. Begin anew with --set training.batch_size="
            f"{batch_size // 2}, and with twice the phases.accumulate for updates of the same size."
        )
    return errors.memory_told(remedy)


def record_job(run: Path, job: Job, task: Task) -> None:
    """Writes what `open_job` needs; the manifest is there already."""
    hashes = {
        "config": _file_hash(run / CONFIG),
        "manifest": job.data_hash,
        "photos": content_hash(job.canvases),
    }
    write_json(run / JOB, asdict(task) | {"hashes": hashes})


def read_task(run: Path) -> Task:
    """The options that a run was begun with.

    Raises:
        UserError: It cannot be gone on with.
    """
    if not (run / JOB).is_file():
        raise UserError(
            f"{run} has no {JOB}, so it cannot be gone on with: it was merged from others, or "
            "begun by an earlier version, or it ended before anything was trained. Train or merge "
            "again."
        )
    values = read_json(run / JOB)
    return Task(**{name: values[name] for name in Task.__dataclass_fields__})


def open_job(run: Path, experiment: Experiment, task: Task) -> Job:
    """The job of a run that was begun, on the same data to the last pixel.

    Raises:
        UserError: Settings or data are not what the run was begun with.
    """
    sweep(run)
    hashes = read_json(run / JOB)["hashes"]
    manifest = _read_manifest(run / MANIFEST)
    problems = [
        f"{run / name} was changed"
        for name, known in ((CONFIG, _file_hash(run / CONFIG)), (MANIFEST, manifest_hash(manifest)))
        if known != hashes[name.partition(".")[0]]
    ]
    if problems:
        raise _changed(run, problems)
    states = photo_states(manifest["path"].tolist())
    canvases = load_canvases(
        manifest["path"].tolist(),
        experiment.canvas,
        experiment.data.fit,
        cache=Path(task.cache),
        memory_limit_mb=experiment.data.memory_limit_mb,
    )
    if content_hash(canvases) != hashes["photos"]:
        raise _changed(run, ["photos were changed since, or are decoded otherwise than then"])
    _tell_differences(run)
    return Job(experiment, manifest, canvases, hashes["manifest"], photo_states=states)


def trained(run: Path, task: Task) -> bool:
    """Whether the one fold is finished that the run is to train."""
    return task.fold is not None and (run / fold_name(task.fold) / RESULT).is_file()


def _read_manifest(path: Path) -> pd.DataFrame:
    """As `runs.record_manifest` wrote it."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    numbers = [name for name in ("skin_tone", "fold") if name in table]
    return table.astype(dict.fromkeys(numbers, int))


def _tell_differences(run: Path) -> None:
    """Says and records where versions or machine are others than those the run was begun with."""
    begun: dict[str, Any] = read_json(run / ENVIRONMENT)
    now = environment(begun["command"])
    changed = [name for name in _MACHINE if now[name] != begun.get(name)]
    if changed:
        print(
            f"warning: {', '.join(changed)}: not as when the run was begun, so that the weights "
            "will not be to the bit those of a run that was never ended",
            file=sys.stderr,
        )
        later = {name: now[name] for name in changed}
        write_json(run / ENVIRONMENT, begun | {"resumed": [*begun.get("resumed", []), later]})


def _changed(run: Path, problems: list[str]) -> UserError:
    return UserError(
        f"{run} cannot be gone on with, it is not what was begun:\n{listed(problems)}\n"
        "Put back what was changed, or train anew."
    )


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
