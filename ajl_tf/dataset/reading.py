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

from ajl_tf.dataset.images import NOT_A_PHOTO, REFUSALS

Preprocess = Callable[[tf.Tensor], tf.Tensor]


def read_photos(
    paths: Iterable[str | Path],
    preprocess: Preprocess,
    *,
    ahead: int = 64,
    workers: int | None = None,
) -> Iterator[np.ndarray | str]:
    """Yields for each path, in order, its canvas, or a sentence that says why there is none.

    Args:
        paths: Photo files.
        preprocess: Scalar string (a file's bytes) -> uint8 `(C, C, 3)`; a `tf.function`, which
            leaves Python's lock while it works.
        ahead: Photos that may be under way or wait to be taken: what bounds the memory.
        workers: Threads; by default one a core.
    """
    workers = workers or os.cpu_count() or 1
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
    except (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError) as error:
        return _reason(data, error)
    array: np.ndarray = canvas.numpy()
    return array


_FORMATS = (
    (b"GIF8", 0, "a GIF"),
    (b"BM", 0, "a BMP"),
    (b"WEBP", 8, "a WebP"),
    (b"ftyphei", 4, "a HEIC"),
    (b"ftyphev", 4, "a HEIC"),
    (b"ftypmif", 4, "a HEIC"),
    (b"ftypavif", 4, "an AVIF"),
    (b"II*\0", 0, "a TIFF"),
    (b"MM\0*", 0, "a TIFF"),
    (b"%PDF", 0, "a PDF"),
)


def _reason(data: bytes, error: tf.errors.OpError) -> str:
    for magic, at, name in _FORMATS:
        if data[at : at + len(magic)] == magic:
            return f"{name} file; convert it to JPEG or PNG"
    for refusal in REFUSALS:
        if refusal in error.message:
            shown = f" (it begins with {data[:8]!r})" if refusal == NOT_A_PHOTO else ""
            return refusal + shown
    return "damaged, cut short or of a rare kind; open it and save it again as JPEG or PNG"
