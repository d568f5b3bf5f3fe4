"""Where a training stands, as a file that is whole or is known not to be.

A checkpoint is one file, and holds all that a training needs to go on from it: JSON, arrays, and a
digest of both. The one before it is kept as well.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ajl_tf.files import atomic_path, naming

CURRENT, PREVIOUS = "checkpoint", "checkpoint.previous"
LAST_FINITE = "last_finite.weights.h5"  # of a training that has diverged
_MAGIC = b"ajl_tf checkpoint 1\n"
_DIGEST = 32  # bytes


def write_checkpoint(folder: Path, state: dict[str, Any], arrays: Sequence[Any]) -> None:
    """Makes it the folder's checkpoint, and what was that, the one before.

    A kill at any moment leaves at least one of the two whole.

    Args:
        folder: An existing folder of one training alone.
        state: What JSON can hold.
        arrays: NumPy's, of any shape; of any type but objects.
    """
    shapes = [[array.dtype.str, array.shape] for array in arrays]
    head = json.dumps({"state": state, "arrays": shapes}).encode() + b"\n"
    parts: list[Any] = [head, *(np.ascontiguousarray(a) for a in arrays if a.size)]
    current = folder / CURRENT
    with atomic_path(current) as temporary:
        with temporary.open("wb") as file:
            digest = hashlib.sha256()
            file.write(_MAGIC)
            for part in parts:
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
        if current.exists():
            with naming(current):
                current.replace(folder / PREVIOUS)


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """The folder's checkpoint, or the one before where that is damaged; None where there is none.

    One that is damaged is deleted, with a message. The arrays are read-only views of the file.
    """
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        read = _read(path)
        if read:
            return read
        print(f"warning: {path} was damaged and is deleted", file=sys.stderr)
        path.unlink()  # or it would take the place of the one before
    return None


def forget_checkpoint(folder: Path) -> None:
    """Deletes what a finished training needs no more."""
    for name in (CURRENT, PREVIOUS, LAST_FINITE):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    if path.stat().st_size <= len(_MAGIC) + _DIGEST:
        return None
    data = np.memmap(path, np.uint8, "r")
    body = data[len(_MAGIC) : -_DIGEST]
    digest = hashlib.sha256(body.data).digest()
    if data[: len(_MAGIC)].tobytes() != _MAGIC or data[-_DIGEST:].tobytes() != digest:
        return None
    end = _line_end(body)
    head = json.loads(body[:end].tobytes())
    arrays, at = [], end
    for dtype, shape in head["arrays"]:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        arrays.append(np.frombuffer(body[at : at + size].data, dtype).reshape(shape))
        at += size
    return head["state"], arrays


def _line_end(body: np.ndarray) -> int:
    """Where what follows the first line begins."""
    at, step = 0, 1 << 16
    while not len(found := np.flatnonzero(body[at : at + step] == ord("\n"))):
        at += step
    return at + int(found[0]) + 1
