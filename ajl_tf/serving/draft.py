"""The folder that a SavedModel is written to before it gets its version."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # there is no name for a module or none

_PREFIX = ".unfinished-"


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """Yields a new folder in `folder`, to fill and to rename; if it keeps its name, it goes.

    Those that killed processes left there go as well. Who writes to one holds a lock on it, which
    ends with the process: one that is locked, or for which that cannot be told, stays.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        with _locked(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)
    while True:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        with _locked(made) as is_ours:
            if is_ours is False:
                continue  # another process found it before it was locked, and clears it away
            try:
                yield made
            finally:
                shutil.rmtree(made, ignore_errors=True)
            return


@contextmanager
def _locked(folder: Path) -> Iterator[bool | None]:
    """Locks it for as long as the block, if nobody else does.

    Yields:
        Whether the lock is this process's; None where the file system has none.
    """
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    except OSError:  # Windows does not open folders
        yield None
        return
    try:
        yield _take(held, folder)
    finally:
        os.close(held)


def _take(held: int, folder: Path) -> bool | None:
    try:
        if fcntl is None:
            raise OSError
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(held), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return None
