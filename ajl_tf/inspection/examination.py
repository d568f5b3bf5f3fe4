"""The one pass over photos: each is read, decoded once, and what is asked for is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
from PIL import __version__ as pillow_version

from ajl_tf.inspection.fingerprint import fingerprint
from ajl_tf.inspection.photos import Photo, open_photo
from ajl_tf.inspection.quality import measure_quality
from ajl_tf.inspection.store import Part, Store
from ajl_tf.inspection.tone import measure_tone
from ajl_tf.inspection.work import SlowProgress, in_threads

_AT_ONCE = 256  # photos whose results are written together
_LIBRARIES = (cv2.__version__, pillow_version)

MEASURES = Part("measures", open_photo, measure_quality, measure_tone, libraries=_LIBRARIES)
FINGERPRINTS = Part("fingerprint", open_photo, fingerprint, libraries=_LIBRARIES)


class File(NamedTuple):
    """A photo's file.

    Attributes:
        digest: SHA-256 of its content; empty if it cannot be read.
        size: In bytes.
        reason: Why it cannot be read, or "".
    """

    digest: bytes
    size: int
    reason: str


def examine(paths: Sequence[str], store: Store, parts: Sequence[Part]) -> list[File]:
    """Sees to it that the store has some parts of each photo.

    A photo that cannot be decoded has an empty fingerprint, and measures that say why.
    """
    line = SlowProgress(len(paths), "looking at photos")
    files = []
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        files += _examined(some, store, parts, line)
    line.close()
    return files


def _examined(
    paths: Sequence[str], store: Store, parts: Sequence[Part], line: SlowProgress
) -> list[File]:
    files = list(in_threads(_identify, paths))
    digests = [file.digest for file in files if file.digest]
    known = [store.keys(part, digests) for part in parts]
    missing = {
        file.digest: path
        for path, file in zip(paths, files, strict=True)
        if file.digest and not all(file.digest in there for there in known)
    }
    line.add(len(paths) - len(missing))
    made: dict[Part, list[tuple[bytes, bytes]]] = {part: [] for part in parts}
    for digest, values in in_threads(lambda item: _make(*item, parts), list(missing.items())):
        for part, value in zip(parts, values, strict=True):
            made[part].append((digest, value))
        line.add(1)
    for part, values_of_part in made.items():
        if values_of_part:
            store.put(part, values_of_part)
    return files


def _identify(path: str) -> File:
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            return File(digest, file.tell(), "")
    except OSError as error:
        return File(b"", 0, f"cannot be read: {error.strerror or error}")


def _make(digest: bytes, path: str, parts: Sequence[Part]) -> tuple[bytes, list[bytes]]:
    photo: Photo | str
    try:
        photo = open_photo(Path(path).read_bytes())
    except ValueError as error:
        photo = str(error)
    return digest, [_MAKERS[part](photo) for part in parts]


def _fingerprint(photo: Photo | str) -> bytes:
    return b"" if isinstance(photo, str) else fingerprint(photo.small)


def _measures(photo: Photo | str) -> bytes:
    """The columns of `survey` as JSON."""
    if isinstance(photo, str):
        return json.dumps({"reason": photo}).encode()
    size = {"reason": "", "width": photo.width, "height": photo.height}
    figures = {**measure_quality(photo.small), **measure_tone(photo.image)}
    return json.dumps({**size, **figures}).encode()


_MAKERS: dict[Part, Callable[[Photo | str], bytes]] = {
    MEASURES: _measures,
    FINGERPRINTS: _fingerprint,
}
