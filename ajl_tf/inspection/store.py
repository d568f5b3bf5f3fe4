"""What has been found out about photos, by their content, in one SQLite file.

Several processes may use the file at once. It may be deleted: then all is found out anew.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import secrets
import sqlite3
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ajl_tf.errors import UserError
from ajl_tf.sqlite import sqlite_error

T = TypeVar("T")

NAME = "photos.sqlite"
_WAIT = 120  # seconds, while another process writes
_ASKED = 500  # keys in one question
_CHECKSUM = 4  # bytes behind each value
_TABLE = """
CREATE TABLE IF NOT EXISTS kept (
    part TEXT NOT NULL, version TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
    UNIQUE (part, version, key)
)"""
# The newest of the others stays: an older installation may be at work on the same file.
_TIDY = """
DELETE FROM kept WHERE part = :part AND version NOT IN (:version, coalesce((
    SELECT version FROM kept WHERE part = :part AND version <> :version
    GROUP BY version ORDER BY max(rowid) DESC LIMIT 1), ''))"""


class Part:
    """A kind of thing that is kept; what other code has made of it is not found."""

    def __init__(self, name: str, *makers: Callable[..., Any], libraries: Sequence[str] = ()):
        """Names it and the functions that make it, and versions of libraries that matter."""
        modules: dict[str, ModuleType] = {}
        for maker in makers:
            _add_own_modules(maker.__module__, modules)
        sources = [inspect.getsource(modules[module]) for module in sorted(modules)]
        self.name = name
        self.version = hashlib.sha256("\0".join([*sources, *libraries]).encode()).hexdigest()


class DamageError(Exception):
    """The file or a value in it is not as it was written."""


class Store:
    """Values by part and key; `with_store` gives one."""

    def __init__(self, file: Path) -> None:
        """Opens the file, or makes it."""
        self.file = file
        self._tidied: set[str] = set()
        with self._connected() as base:
            base.execute(_TABLE)

    def put(self, part: Part, values: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps pairs of key and value. Of what other code has made, the newest alone stays."""
        rows = [
            (part.name, part.version, key, value + zlib.crc32(value).to_bytes(_CHECKSUM, "big"))
            for key, value in values
        ]
        with self._connected() as base:
            if part.name not in self._tidied:
                base.execute(_TIDY, {"part": part.name, "version": part.version})
            base.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        self._tidied.add(part.name)

    def keys(self, part: Part, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that are there."""
        return {key for (key,) in self._rows("key", part, keys)}

    def get(self, part: Part, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of those of the keys that are there."""
        found = {}
        for key, kept in self._rows("key, value", part, keys):
            value = kept[:-_CHECKSUM]
            if zlib.crc32(value).to_bytes(_CHECKSUM, "big") != kept[-_CHECKSUM:]:
                raise DamageError("a value does not fit its checksum")
            found[key] = value
        return found

    def _rows(self, columns: str, part: Part, keys: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        with self._connected() as base:
            for start in range(0, len(keys), _ASKED):
                asked = keys[start : start + _ASKED]
                marks = ",".join("?" * len(asked))
                question = f"SELECT {columns} FROM kept WHERE part = ? AND version = ?"
                yield from base.execute(
                    f"{question} AND key IN ({marks})", (part.name, part.version, *asked)
                )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A transaction."""
        try:
            with closing(sqlite3.connect(self.file, timeout=_WAIT)) as base, base:
                yield base
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.DatabaseError) -> Exception:
        locked = UserError(
            f"{self.file} is locked by another process for {_WAIT} seconds. Wait for it, or name "
            "another folder for the cache."
        )
        return sqlite_error(error, self.file, damaged=DamageError(str(error)), locked=locked)


def with_store(cache: Path | None, work: Callable[[Store], T]) -> T:
    """Does some work with the store in a folder.

    A damaged file is moved aside with a warning, and the work done again with a new one.

    Args:
        cache: The folder; made if missing. None: a temporary one.
        work: Takes the store. It may be called twice.
    """
    if cache is None:
        with tempfile.TemporaryDirectory() as folder:
            return work(Store(Path(folder) / NAME))
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / NAME
    try:
        return work(Store(file))
    except DamageError as damage:
        aside = _set_aside(file)
        warnings.warn(
            f"{file} was damaged ({damage}). It is now {aside}, and a new one is made.",
            stacklevel=2,
        )
    return work(Store(file))


def _set_aside(file: Path) -> Path:
    aside = file.with_name(f"{file.name}.damaged-{os.getpid()}-{secrets.token_hex(2)}")
    for ending in ("", "-journal"):  # SQLite would apply an old journal to a new file
        try:
            os.replace(f"{file}{ending}", f"{aside}{ending}")  # noqa: PTH105 - names, not paths
        except FileNotFoundError:  # there is none, or another process was quicker
            continue
    return aside


def _add_own_modules(name: str, found: dict[str, ModuleType]) -> None:
    """Adds a module of this package and all modules of it that it takes something from."""
    if name in found or not name.startswith("ajl_tf."):
        return
    module = found[name] = sys.modules[name]
    for value in vars(module).values():
        other = (
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
        )
        _add_own_modules(str(other), found)
