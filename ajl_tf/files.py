"""Writing files so that a reader, or a kill, never meets half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ajl_tf.errors import UserError


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
            try:
                os.link(temporary, path)  # unlike rename, fails where the name is taken
            except FileExistsError:
                raise _exists(path) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Writes UTF-8 text atomically; the arguments are those of `atomic_path`."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _exists(path: Path) -> UserError:
    return UserError(
        f"{path} exists already and is not overwritten. Name another file, or move it."
    )
