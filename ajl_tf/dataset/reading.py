"""Reads many photos at once: a bounded number in memory, in order, the bad ones as errors."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ajl_tf.dataset.images import REFUSALS
from ajl_tf.dataset.refusals import DAMAGED, NOT_A_PHOTO, unlike_a_photo

Preprocess = Callable[[tf.Tensor], tf.Tensor]


def read_photos(
    paths: Iterable[str | Path],
    preprocess: Preprocess,
    *,
    ahead: int = 64,
    workers: int | None = None,
) -> Iterator[np.ndarray | str]:
    """Yields for each path, in order, its canvas, or a sentence that says why there is none.

    Where the memory is used up, that is raised: it says nothing of the photo.

    Args:
        paths: Photo files.
        preprocess: Scalar string (a file's bytes) -> uint8 `(C, C, 3)`; a `tf.function`, which
            leaves Python's lock while it works.
        ahead: Photos that may be under way or wait to be taken: what bounds the memory.
        workers: Threads; by default one more than there are cores, because one at a time waits for
            TensorFlow to begin or to hand over.
    """
    workers = workers or 1 + (os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[np.ndarray | str]] = deque()
        try:
            for path in paths:
                waiting.append(pool.submit(_read, Path(path), preprocess))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(path: Path, preprocess: Preprocess) -> np.ndarray | str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not data:
        return "the file is empty"
    try:
        canvas: Any = preprocess(tf.constant(data))
    except tf.errors.InvalidArgumentError as error:
        return _reason(data, error)
    array: np.ndarray = canvas.numpy()
    return array


def _reason(data: bytes, error: tf.errors.OpError) -> str:
    if NOT_A_PHOTO in error.message:
        return unlike_a_photo(data)
    return next((refusal for refusal in REFUSALS if refusal in error.message), DAMAGED)
