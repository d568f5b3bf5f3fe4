"""What SQLite's errors mean to who runs a command."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path


def sqlite_error(
    error: sqlite3.Error, file: Path, *, damaged: Exception, locked: Exception
) -> Exception:
    """What to raise for an error of SQLite's.

    Args:
        error: SQLite's.
        file: The database.
        damaged: For a file that is none, or is torn, or lacks its tables.
        locked: For one that another process holds.

    Returns:
        One of the two, or an OSError of the file: the disk is full, or it may not be written.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return damaged
    if code == sqlite3.SQLITE_BUSY:
        return locked
    number = errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EACCES
    return OSError(number, str(error), str(file))
