"""What keeps a study's database from being read or written, as a message for people."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ajl_tf.errors import UserError
from ajl_tf.sqlite import sqlite_error


@contextmanager
def database_told(file: Path) -> Iterator[None]:
    """Turns SQLite's errors, which reach the caller in wrappings of others, into what a user knows.

    Optuna raises errors of its own from SQLAlchemy's, and where it cannot write down how a trial
    ended, an AssertionError while it handles one.

    Args:
        file: The database.

    Raises:
        UserError: It is damaged, locked or gone.
        OSError: The disk is full, or the file may not be written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = _of_sqlite(error)
        if cause is None:
            raise
        raise _translated(cause, file) from error


def _of_sqlite(error: BaseException | None) -> sqlite3.Error | None:
    """SQLite's own error that an exception was raised from, or raised while handling."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__ or error.__context__
    return error


def _translated(error: sqlite3.Error, file: Path) -> Exception:
    if not file.is_file():
        return UserError(
            f"{file} is gone, the study's database: it, or its folder, was deleted or moved while "
            "the search ran. Put it back, or begin a search anew."
        )
    damaged = UserError(
        f"{file} is damaged, or no study of Optuna's ({error}). Put back a copy of it, or move it "
        "away and begin the search anew; what its trials trained stays where it is."
    )
    locked = UserError(f"{file} is locked by another program ({error}). Wait for it, and go on.")
    return sqlite_error(error, file, damaged=damaged, locked=locked)
