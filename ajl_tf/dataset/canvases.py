"""All photos of a manifest as one array of canvases, decoded once.

Small sets live in memory. Large ones live in a file whose name is a hash of everything that decides
its content (settings, code, each photo's path, size and time of change), so that a cache from other
settings or changed photos is never found, let alone used.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import tensorflow as tf

from ajl_tf.dataset import exif, headers, images
from ajl_tf.dataset.reading import Preprocess, read_photos
from ajl_tf.errors import UserError, listed
from ajl_tf.files import atomic_path


@lru_cache  # traced once
def preprocessor(size: int, mode: images.Fit) -> Preprocess:
    """A `tf.function` from one file's bytes to its uint8 canvas `(size, size, 3)`."""

    def preprocess(data: tf.Tensor) -> tf.Tensor:
        return images.fit(images.decode(data), size, mode)

    spec = tf.TensorSpec((), tf.string, name="bytes")
    function: Preprocess = tf.function(preprocess, input_signature=[spec], autograph=False)
    return function


def load_canvases(
    paths: Sequence[str],
    size: int,
    mode: images.Fit,
    *,
    cache: Path,
    memory_limit_mb: int,
    announce: bool = True,
) -> np.ndarray:
    """Decodes and fits photos, or finds them done.

    Args:
        paths: Photo files.
        size: Side of the canvas in pixels.
        mode: How a photo is fitted to it, see `images.fit`.
        cache: Folder for canvases that exceed the memory limit.
        memory_limit_mb: Up to this many MiB stay in memory.
        announce: Whether to show progress.

    Returns:
        uint8 `(len(paths), size, size, 3)`, an array in memory or one mapped from a file.

    Raises:
        UserError: Some photos cannot be decoded; each is named with the reason.
    """
    shape = (len(paths), size, size, 3)
    photos = _decoded(paths, preprocessor(size, mode), announce)
    if np.prod(shape, dtype=np.int64) <= memory_limit_mb * 2**20:
        canvases = np.empty(shape, np.uint8)
        for row, canvas in enumerate(_usable(photos, paths)):
            canvases[row] = canvas
        return canvases
    file = cache / f"canvases-{_key(paths, size, mode)}.npy"
    if not file.exists():
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        # Not through a mapped file: where the disk is full, that ends the process by a signal.
        with atomic_path(file) as temporary, temporary.open("wb") as target:
            np.lib.format.write_array_header_1_0(target, header)
            for canvas in _usable(photos, paths):
                target.write(canvas.tobytes())
    mapped: np.ndarray = np.load(file, mmap_mode="r")
    return mapped


def _decoded(
    paths: Sequence[str], preprocess: Preprocess, announce: bool
) -> Iterator[np.ndarray | str]:
    photos = read_photos(paths, preprocess)
    if not announce:
        return photos
    from ajl_tf.progress import progress

    return progress(photos, len(paths), "decoding photos")


def _usable(photos: Iterator[np.ndarray | str], paths: Sequence[str]) -> Iterator[np.ndarray]:
    """The canvases; after the last, an error that names each photo that has none."""
    problems = []
    for path, photo in zip(paths, photos, strict=True):
        if isinstance(photo, str):
            problems.append(f"{path}: {photo}")
        else:
            yield photo
    if problems:
        raise UserError(
            f"{len(problems)} of {len(paths)} photos cannot be used:\n"
            f"{listed(problems, len(problems))}\n"
            "Mend or convert them, or take their rows out of the CSV."
        )


def _key(paths: Sequence[str], size: int, mode: images.Fit) -> str:
    digest = hashlib.sha256(f"{size} {mode} {tf.__version__}".encode())
    for module in (images, exif, headers):
        digest.update(inspect.getsource(module).encode())
    for path in paths:
        digest.update(f"{path}\0{_state(path)}\0".encode())
    return digest.hexdigest()[:24]


def _state(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path each would triple the time for a million
    except OSError:
        return "unreadable"  # which is told, with the reason, when it is read
    return f"{status.st_size} {status.st_mtime_ns}"
