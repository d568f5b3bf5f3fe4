"""Batch inference with nothing but a SavedModel: a stream of photos in, batches of answers out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ajl_tf.dataset.reading import read_photos


@dataclass(frozen=True, eq=False)
class Answers:
    """What became of a stretch of photos.

    Attributes:
        rows: Positions of the readable photos in the paths given.
        probabilities: float32 `(len(rows), C)`.
        unlike: float32 `(len(rows),)`; None from a SavedModel that does not say.
        errors: Position and reason of each unreadable one.
    """

    rows: list[int]
    probabilities: np.ndarray
    unlike: np.ndarray | None
    errors: list[tuple[int, str]] = field(default_factory=list)


def predict_photos(
    model: Any,
    paths: Sequence[str | Path],
    batch_size: int,
    texts: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Answers]:
    """Decodes photos on all cores while the network works on the batch before.

    Memory holds a few batches, however many the photos are.

    Args:
        model: From `savedmodel.load`, or `tf.saved_model.load`.
        paths: JPEG or PNG files.
        batch_size: Photos the network takes at once.
        texts: Of each column that the model takes beside the photos, cells `(len(paths),)`; None:
            the photos alone.
    """
    serve = model.signatures["serving_default" if texts is None else "serve_metadata"]
    canvases: list[np.ndarray] = []
    rows: list[int] = []
    errors: list[tuple[int, str]] = []
    photos = read_photos(paths, model.preprocess)
    asked: deque[Future[Answers]] = deque()
    # A thread of its own, so that the network works on while an answer is being written down.
    with ThreadPoolExecutor(1) as network:
        try:
            for row, photo in enumerate(photos):
                if isinstance(photo, str):
                    errors.append((row, photo))
                else:
                    rows.append(row)
                    canvases.append(photo)
                if len(rows) + len(errors) == batch_size or row == len(paths) - 1:
                    told = {name: tf.constant(cells[rows]) for name, cells in (texts or {}).items()}
                    asked.append(network.submit(_answer, serve, canvases, told, rows, errors))
                    canvases, rows, errors = [], [], []
                if len(asked) > 1:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
        finally:  # who interrupts a slow network waits for no batch that has not begun
            for answer in asked:
                answer.cancel()


def _answer(
    serve: Any,
    canvases: list[np.ndarray],
    texts: Mapping[str, tf.Tensor],
    rows: list[int],
    errors: list[tuple[int, str]],
) -> Answers:
    said = serve.structured_outputs
    if not canvases:
        nothing = np.empty((0, said["probabilities"].shape[1]), np.float32)
        unlike = np.empty(0, np.float32) if "unlike" in said else None
        return Answers(rows, nothing, unlike, errors)
    answer = serve(images=tf.constant(np.stack(canvases)), **texts)
    unlike = answer["unlike"].numpy() if "unlike" in answer else None
    return Answers(rows, answer["probabilities"].numpy(), unlike, errors)
