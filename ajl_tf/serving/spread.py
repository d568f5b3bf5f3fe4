"""Batch inference in several processes, on one machine or many: Ray Data around `batch`.

Every worker loads the SavedModel once and answers one block of photos after the other. Ray starts a
worker that died anew, and has its block answered again: a photo's answer depends on nothing else.
Apache Beam 2.77 shares out the work as well, but without a cluster (its DirectRunner) it ends, with
nothing written, when one of its workers is killed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf import process
from ajl_tf.errors import UserError
from ajl_tf.serving.batch import Answers, predict_photos

_BATCHES = 8  # a block: what is done again where a worker dies
_TOLD = "told "  # before the names of metadata columns, so that none of ours is among them


def check_ray() -> None:
    """Raises UserError where Ray is not installed: before the first photo, not with it."""
    try:
        import ray.data  # noqa: F401 - whether it is there
    except ModuleNotFoundError:
        raise UserError('--workers needs Ray: pip install "ajl_tf[ray]".') from None


def predict_spread(
    folder: Path,
    paths: Sequence[str | Path],
    batch_size: int,
    texts: Mapping[str, np.ndarray] | None,
    workers: int,
    *,
    bfloat16: bool = False,
) -> Iterator[Answers]:
    """As `batch.predict_photos`, in order too, by workers that Ray runs.

    Ray starts on this machine, or goes to the cluster that `RAY_ADDRESS` names; model and photos
    must have the same paths there.

    Args:
        folder: The SavedModel.
        paths: JPEG or PNG files.
        batch_size: Photos the network takes at once.
        texts: Of each column that the model takes beside the photos, cells `(len(paths),)`.
        workers: Processes that answer.
        bfloat16: See `precision`; every worker's processor must have it.
    """
    import ray
    import ray.data

    table = pd.DataFrame(
        {"row": range(len(paths)), "path": [str(Path(p).absolute()) for p in paths]}
    )
    for name, cells in (texts or {}).items():
        table[_TOLD + name] = cells
    if table.empty:  # of which Ray makes no dataset
        return
    size = batch_size * _BATCHES
    blocks = [table[start : start + size] for start in range(0, len(table), size)]
    workers = min(workers, len(blocks))
    begun_here = not ray.is_initialized()
    if begun_here:
        _start(workers)
    try:
        settings = ray.data.DataContext.get_current()
        settings.execution_options.preserve_order = True
        settings.enable_progress_bars = False
        threads = max(1, _most_cores(ray.nodes()) // workers)
        answered = ray.data.from_pandas(blocks).map_batches(
            Worker,
            batch_size=batch_size,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=workers),
            fn_constructor_args=(str(folder.absolute()), threads, bfloat16),
            num_cpus=1,
        )
        for batch in answered.iter_batches(batch_size=batch_size, batch_format="numpy"):
            yield _answers(batch)
    finally:
        if begun_here:
            ray.shutdown()


class Worker:
    """What runs in a process of its own."""

    def __init__(self, folder: str, threads: int, bfloat16: bool):
        """Loads the SavedModel.

        Args:
            folder: Of the SavedModel.
            threads: That its network may use.
            bfloat16: See `precision`.
        """
        process.prepare()
        process.import_tensorflow()
        import tensorflow as tf

        from ajl_tf.serving.precision import answer_in_bfloat16
        from ajl_tf.serving.savedmodel import load

        if bfloat16:
            answer_in_bfloat16()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.model = load(Path(folder))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows `row`, `path` and metadata -> rows of answers, zeros where `error` is not empty."""
        paths = batch["path"].tolist()
        texts = {
            name.removeprefix(_TOLD): cells.astype(object)
            for name, cells in batch.items()
            if name.startswith(_TOLD)
        }
        (answers,) = predict_photos(self.model, paths, len(paths), texts or None)
        seen = np.zeros((len(paths), answers.probabilities.shape[1]), np.float32)
        seen[answers.rows] = answers.probabilities
        errors = np.full(len(paths), "", object)
        for row, reason in answers.errors:
            errors[row] = reason
        told = {"row": batch["row"], "probabilities": seen, "error": errors}
        if answers.unlike is not None:
            unlike = np.zeros(len(paths), np.float32)
            unlike[answers.rows] = answers.unlike
            told["unlike"] = unlike
        return told


def _answers(batch: dict[str, np.ndarray]) -> Answers:
    good = batch["error"] == ""
    bad = zip(batch["row"][~good].tolist(), batch["error"][~good].tolist(), strict=True)
    unlike = batch["unlike"][good] if "unlike" in batch else None
    return Answers(batch["row"][good].tolist(), batch["probabilities"][good], unlike, list(bad))


def _start(workers: int) -> None:
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray would tell its makers how it is used, from a hospital's machine as well.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A worker waits for a core, so that there must be as many as workers. A cluster has its own.
    here = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": max(workers, os.cpu_count() or 1)}
    try:
        ray.init(**here, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={os.environ.get('RAY_ADDRESS')}. Start one "
            "there, or unset RAY_ADDRESS to work on this machine alone."
        ) from None


def _most_cores(nodes: Sequence[dict[str, Any]]) -> int:
    return max(int(node["Resources"].get("CPU", 1)) for node in nodes if node["Alive"])
