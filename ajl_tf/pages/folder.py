"""A folder of results that can be made again, and never costs a user what they wrote into it.

`FILES.sha256` in the folder says which files were made here and what was in them. What is still as
it was made may be replaced; everything else is the user's.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ajl_tf.errors import UserError, listed
from ajl_tf.files import write_text

RECORD = "FILES.sha256"  # as `sha256sum --check` reads it


def check_folder(folder: Path) -> None:
    """Refuses a folder whose files results must not replace; one not there yet is fine.

    Raises:
        UserError: It is a file, holds files but no record of ours, or a file of ours was changed.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; a folder for the results was expected. Name another.")
    made = _recorded(folder)
    if not made and any(folder.iterdir()):
        raise UserError(
            f"{folder} holds files, and no {RECORD} that says they are results of an earlier run: "
            "nothing was written. Name a new folder, or an empty one."
        )
    changed = [
        name
        for name, digest in made.items()
        if (folder / name).is_file() and _digest(folder / name) != digest
    ]
    if changed:
        raise UserError(
            f"files in {folder} were changed since they were made; nothing was overwritten. Move "
            f"them, or name another folder:\n{listed(changed)}"
        )


@contextmanager
def result_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; its files become those of `folder` when the block ends well.

    Files of an earlier run are replaced, or deleted where this one makes none of that name; files
    that a user put beside them stay.

    Raises:
        UserError: As `check_folder`, also where a new result has the name of a user's file.
    """
    check_folder(folder)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    drafts = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
    drafts.mkdir()
    try:
        yield drafts
        names = sorted(path.relative_to(drafts).as_posix() for path in _files(drafts))
        lines = [f"{_digest(drafts / name)}  {name}\n" for name in names]
        write_text(drafts / RECORD, "".join(lines))
        _replace(folder, drafts, names)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def _replace(folder: Path, drafts: Path, names: list[str]) -> None:
    check_folder(folder)  # again: the work between may have taken minutes
    made = _recorded(folder) if folder.exists() else {}
    taken = [name for name in names if name not in made and (folder / name).exists()]
    if taken:
        raise UserError(
            f"{folder} holds files of your own under names that results have; nothing was "
            f"overwritten. Move them, or name another folder:\n{listed(taken)}"
        )
    for name in [*names, RECORD]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (drafts / name).replace(folder / name)
    for name in made.keys() - set(names):
        (folder / name).unlink(missing_ok=True)


def _recorded(folder: Path) -> dict[str, str]:
    """Name of each file that an earlier run made -> its digest."""
    record = folder / RECORD
    if not record.is_file():
        return {}
    lines = record.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("  ", 1) for line in lines if "  " in line)
    inside = folder.resolve()
    # A record that someone wrote by hand must not reach files elsewhere.
    return {n: digest for digest, n in pairs if (inside / n).resolve().is_relative_to(inside)}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
