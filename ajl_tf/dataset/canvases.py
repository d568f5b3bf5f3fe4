"""All photos of a manifest as one array of canvases, decoded once.

Small sets live in memory. Large ones live in a file whose name is a hash of everything that decides
its content (settings, code, each photo's path, size and time of change), so that a cache from other
settings or changed photos is never found, let alone used.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import tensorflow as tf

from ajl_tf.dataset import exif, headers, images
from ajl_tf.dataset.reading import Preprocess, read_photos
from ajl_tf.errors import UserError, listed, memory_told
from ajl_tf.files import atomic_path, locked, sweep

_FORM = "with a digest"  # of the cache file: files of another form are not found
_DIGEST = 32  # bytes


@lru_cache  # traced once
def preprocessor(size: int, mode: images.Fit) -> Preprocess:
    """A `tf.function` from one file's bytes to its uint8 canvas `(size, size, 3)`."""

    def preprocess(data: tf.Tensor) -> tf.Tensor:
        return images.read(data, size, mode)

    spec = tf.TensorSpec((), tf.string, name="bytes")
    function: Preprocess = tf.function(preprocess, input_signature=[spec], autograph=False)
    return function


@memory_told(
    "It was while photos were read: free some, or lower data.memory_limit_mb, above which they lie "
    "in a file."
)
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
        UserError: Some photos cannot be decoded; each is named with the reason. Or the memory is
            used up.
    """
    shape = (len(paths), size, size, 3)
    photos = _decoded(paths, preprocessor(size, mode), announce)
    if np.prod(shape, dtype=np.int64) <= memory_limit_mb * 2**20:
        canvases = np.empty(shape, np.uint8)
        for row, canvas in enumerate(_usable(photos, paths)):
            canvases[row] = canvas
        return canvases
    file = cache / f"canvases-{_key(paths, size, mode)}.npy"
    found = _found(file, shape)
    if found is not None:
        return found
    # Of several processes that want it, one makes it and the others wait.
    with locked(file.with_suffix(".lock"), f"the cache {file}", wait=True):
        found = _found(file, shape)
        if found is None:
            if file.exists():
                print(f"warning: the cache {file} is damaged and made again", file=sys.stderr)
            _write(file, shape, _usable(photos, paths))
            found = _found(file, shape)
    assert found is not None  # it was just written
    return found


def photo_states(paths: Sequence[str]) -> np.ndarray:
    """By what a photo that was changed is known: int64 `(N, 2)`, size and time; -1 if gone."""
    states: np.ndarray = np.array([_state(path) for path in paths], np.int64).reshape(-1, 2)
    return states


def content_hash(canvases: np.ndarray) -> str:
    """SHA-256 of canvases from `load_canvases`; of mapped ones it is known without reading them."""
    if isinstance(canvases, np.memmap) and canvases.filename:
        return bytes(np.memmap(canvases.filename, np.uint8, "r")[-_DIGEST:]).hex()
    return hashlib.sha256(canvases.data).hexdigest()


def _write(file: Path, shape: tuple[int, ...], canvases: Iterator[np.ndarray]) -> None:
    """Writes a .npy file with its digest behind the array, where NumPy does not look."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    digest = hashlib.sha256()
    sweep(file)
    # Not through a mapped file: where the disk is full, that ends the process by a signal.
    with atomic_path(file) as temporary, temporary.open("wb") as target:
        np.lib.format.write_array_header_1_0(target, header)
        for canvas in canvases:
            digest.update(canvas.data)
            target.write(canvas.data)
        target.write(digest.digest())


def _found(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The canvases of a cache file that is there and whole, mapped; else None."""
    if not file.exists():
        return None
    data = np.memmap(file, np.uint8, "r") if file.stat().st_size else np.empty(0, np.uint8)
    start = len(data) - _DIGEST - int(np.prod(shape, dtype=np.int64))
    if start > 0 and hashlib.sha256(data[start:-_DIGEST].data).digest() == bytes(data[-_DIGEST:]):
        mapped: np.ndarray = np.load(file, mmap_mode="r")
        return mapped
    return None


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
    digest = hashlib.sha256(f"{size} {mode} {tf.__version__} {_FORM}".encode())
    for module in (images, exif, headers):
        digest.update(inspect.getsource(module).encode())
    for path, (length, time) in zip(paths, photo_states(paths).tolist(), strict=True):
        digest.update(f"{path}\0{length} {time}\0".encode())
    return digest.hexdigest()[:24]


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path each would triple the time for a million
    except OSError:
        return -1, -1  # which is told, with the reason, when it is read
    return status.st_size, status.st_mtime_ns
