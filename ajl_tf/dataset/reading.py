"""Reads many photos at once: a bounded number in memory, in order, the bad ones as errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ajl_tf.dataset.images import REFUSALS
from ajl_tf.dataset.refusals import DAMAGED, NOT_A_PHOTO, unlike_a_photo
from ajl_tf.dataset.untuned import untuned

Preprocess = Callable[[tf.Tensor], tf.Tensor]
_TOGETHER = 16  # photos that are handed over at once
_FEW = 256  # up to here the graph takes longer to make than it saves


def read_photos(paths: Sequence[str | Path], preprocess: Preprocess) -> Iterator[np.ndarray | str]:
    """Yields for each path, in order, its canvas, or a sentence that says why there is none.

    Photos are read on all cores, some 50 and one a core ahead of the one that is taken (a few
    hundred: all of them), which bounds the memory. Where it is used up, that is raised: it says
    nothing of the photo.

    Args:
        paths: Photo files.
        preprocess: Scalar string (a file's bytes) -> uint8 `(C, C, 3)`, in TensorFlow's operations.
    """
    threads = 1 + (os.cpu_count() or 1)
    if len(paths) <= _FEW:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda path: _read(Path(path), preprocess), paths)
        return

    @tf.autograph.experimental.do_not_convert  # which would put a name of its own on errors
    def canvas(row: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return row, preprocess(tf.io.read_file(path))

    files = tf.data.Dataset.from_tensor_slices([os.fsencode(path) for path in paths]).enumerate()
    # No line of Python for a photo that is well, which a network beside it would feel.
    read = files.map(canvas, threads).ignore_errors().batch(_TOGETHER).prefetch(1)
    told = 0
    for rows, canvases in untuned(read, alone=True).as_numpy_iterator():
        for row, photo in zip(rows.tolist(), canvases, strict=True):
            for missing in paths[told:row]:  # left out: it is read again, for the reason
                yield _read(Path(missing), preprocess)
            yield photo
            told = row + 1
    for missing in paths[told:]:
        yield _read(Path(missing), preprocess)


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
