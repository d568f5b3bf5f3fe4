"""Writing files so that a reader, or a kill, never meets half of one."""

from __future__ import annotations

import csv
import errno
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO
from urllib.parse import quote

from ajl_tf.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # there is no name for a module or none

NAME, LONGEST_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*", 80  # of what becomes a folder
# Of a file system without hard links, as memory sticks, network drives and notebooks' folders have.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_UNFINISHED = re.compile(r"\..*\b\d+-[0-9a-f]{8}(\.|$)")


def check_name(name: str, option: str) -> None:
    """Refuses what cannot name a folder everywhere.

    Args:
        name: As it was given.
        option: What gave it, for the message.

    Raises:
        UserError: It has other characters, or is too long.
    """
    if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        raise UserError(
            f"{option} takes up to {LONGEST_NAME} letters, digits, '.', '_' and '-', a letter or "
            f"digit first. Received: {name!r}."
        )


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Adds the file's name to the error of a write that fails, which comes without."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yields a temporary sibling of `path` to write to; it becomes `path` when the block ends well.

    Args:
        path: The file to make. Its folder is made if missing.
        overwrite: False refuses to replace a file that exists, also one that appeared meanwhile.

    Raises:
        UserError: `overwrite` is False and `path` exists.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not overwrite and path.exists():
        raise _exists(path)
    # The name stays last: some writers choose their format by how it ends.
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.{path.name}")
    try:
        with naming(path):
            yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            put_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_new(temporary: Path, path: Path) -> None:
    """Gives a finished file its name, which must be free; its old name may or may not go.

    Raises:
        UserError: `path` exists.
    """
    try:
        os.link(temporary, path)  # unlike rename, fails where the name is taken
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours now
        except FileExistsError:
            raise _exists(path) from None
        temporary.replace(path)


def photo_file(folder: Path, image_id: str) -> Path:
    """Where a picture of a photo lies: `<folder>/<image_id>.png`, and never outside the folder.

    An id may have folders of its own (`a/b`). One that would lead out, such as an absolute path,
    has its separators written as %2F.
    """
    parts = PureWindowsPath(image_id)  # it knows both separators, and drives
    leads_out = parts.drive or parts.root or ".." in parts.parts
    return folder / f"{quote(image_id, safe='') if leads_out else image_id}.png"


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Writes UTF-8 text atomically; the arguments are those of `atomic_path`."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a new CSV atomically.

    Raises:
        UserError: `path` exists.
    """
    with (
        atomic_path(path, overwrite=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def sweep(place: Path) -> None:
    """Deletes what killed processes left unfinished of a file, or of all that is in a folder.

    Only where nobody else writes: its lock is held.
    """
    if place.is_dir():
        left = [path for path in place.rglob(".*") if _UNFINISHED.match(path.name)]
    else:
        left = list(place.parent.glob(f".*.{place.name}*"))
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock file for this process; when the process ends, however, the lock is free.

    The file says who holds it, and goes when the block ends. One that a kill left is no lock.

    Args:
        path: The file.
        what: What is locked, for the message.
        wait: Wait for another process to let go of it, rather than raise.

    Raises:
        UserError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _take(path, what, wait)
    try:
        with naming(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _take(path: Path, what: str, wait: bool) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            if fcntl is None:
                raise OSError
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise UserError(f"{what} is in use by {holder}. Wait for it, or end it.") from None
        except OSError:
            print(
                f"warning: {path} cannot be locked here; two processes at it would not be noticed",
                file=sys.stderr,
            )
            return file
        # Whoever held it may have deleted the file between opening and locking: then it is not
        # the one that the next process will open.
        try:
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()


def _exists(path: Path) -> UserError:
    return UserError(
        f"{path} exists already and is not overwritten. Name another file, or move it."
    )
