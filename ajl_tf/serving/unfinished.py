"""Predictions under way, batch by batch, in such a way that a killed command can be gone on with.

`<out>.unfinished` holds the rows so far and becomes predictions.csv. `<out>.state.unfinished` holds
what they are of, then a JSON line for each batch: what became of its photos, and which bytes are
its rows. A batch counts when both are whole. Batches are kept or answered again as such, since the
last digits of a photo's answer may depend on the photos beside it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from ajl_tf.errors import UserError, listed
from ajl_tf.files import locked, naming

_DIFFERENT = {
    "model": "they are another SavedModel's",
    "photos": "they are of other photos, or of the same otherwise listed (the source, --shard, "
    "--metadata)",
    "columns": "they have other columns",
    "precision": "one of the two is with --bfloat16, and one without",
}


@dataclass(frozen=True)
class Batch:
    """What became of the next photos.

    Attributes:
        photos: How many they are.
        strange: How many of them are unlike anything known.
        errors: Of each that could not be read, its place among all photos, and the reason.
    """

    photos: int = 0
    strange: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)


class UnderWay:
    """The predictions so far, open to take more.

    Attributes:
        photos: How many photos are done, from the first.
        strange: Of these, as in `Batch`.
        errors: Likewise.
    """

    def __init__(self, rows: IO[bytes], state: IO[bytes], done: list[Batch]):
        """Goes on behind what stands in both files."""
        self._rows, self._state = rows, state
        self.photos = self.strange = 0
        self.errors: list[tuple[int, str]] = []
        for batch in done:
            self._count(batch)

    def _count(self, batch: Batch) -> None:
        self.photos += batch.photos
        self.strange += batch.strange
        self.errors += batch.errors

    def add(self, lines: str, batch: Batch) -> None:
        """Writes a batch's rows, then that they are whole."""
        data = lines.encode()
        self._rows.write(data)
        self._rows.flush()
        told = {"bytes": len(data), "crc32": zlib.crc32(data), **asdict(batch)}
        self._state.write(json.dumps(told).encode() + b"\n")
        self._state.flush()
        self._count(batch)


def places(out: Path) -> tuple[Path, Path]:
    """Where the rows and the state of the predictions `out` are while they are unfinished."""
    rows, state = (
        out.with_name(f"{out.name}{end}") for end in (".unfinished", ".state.unfinished")
    )
    return rows, state


@contextmanager
def under_way(
    out: Path, about: Mapping[str, str], header: str, *, resume: bool
) -> Iterator[UnderWay]:
    """Begins predictions, or goes on with them; what ends the block says how to go on.

    Args:
        out: The predictions.csv to be.
        about: What they are of, see `answering.about`: texts that tell it apart.
        header: The first line, with its line end.
        resume: Go on.

    Raises:
        UserError: Another process writes there; there is nothing to go on with, or it is of
            something else, or was changed.
    """
    rows, state = places(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out.with_name(f"{out.name}.lock"), str(out)):
        done = _cut_to_whole(rows, state, about) if resume else _begun(rows, state, about)
        with naming(rows), rows.open("ab") as row_file, state.open("ab") as state_file:
            writing = UnderWay(row_file, state_file, done)
            if not done:
                writing.add(header, Batch())
            try:
                yield writing
            except BaseException as error:
                error.add_note("To go on from there: the same command with --resume.")
                raise


def _begun(rows: Path, state: Path, about: Mapping[str, str]) -> list[Batch]:
    try:
        rows.touch(exist_ok=False)
    except FileExistsError:
        raise UserError(
            f"{rows} has appeared: another predict writes there. Wait for it, or name another "
            "--out."
        ) from None
    state.write_text(json.dumps(dict(about)) + "\n", encoding="utf-8")
    return []


def _cut_to_whole(rows: Path, state: Path, about: Mapping[str, str]) -> list[Batch]:
    """The batches that are whole; what stands behind them in both files is cut off."""
    if not rows.exists():
        raise UserError(f"there is no {rows} to go on with. Leave --resume out.")
    try:
        lines = [line for line in state.read_bytes().splitlines(keepends=True) if _is_whole(line)]
    except FileNotFoundError:
        lines = []
    if not lines:
        raise UserError(
            f"{rows} cannot be gone on with: {state}, which says what it is of, is missing or "
            "empty. Delete both, and begin without --resume."
        )
    of = json.loads(lines[0])
    if other := [said for key, said in _DIFFERENT.items() if of.get(key) != about[key]]:
        raise UserError(
            f"the predictions in {rows} are not those that this command makes:\n{listed(other)}\n"
            "Give the command that they were begun with, or name another --out."
        )
    done, at = _whole_batches(rows, lines[1:])
    os.truncate(rows, at)
    os.truncate(state, sum(map(len, lines[: 1 + len(done)])))
    return done


def _whole_batches(rows: Path, lines: list[bytes]) -> tuple[list[Batch], int]:
    """The batches whose rows are whole, and how many bytes these are."""
    done: list[Batch] = []
    at = 0
    with rows.open("rb") as file:
        for line in lines:
            told = json.loads(line)
            size, crc32 = told.pop("bytes"), told.pop("crc32")
            data = file.read(size)
            if len(data) < size or not _has_no_hole(data):
                break
            if zlib.crc32(data) != crc32:
                raise UserError(
                    f"{rows} was changed since it was written, behind byte {at}. Delete it and "
                    "begin without --resume, or name another --out."
                )
            done.append(Batch(told["photos"], told["strange"], list(map(tuple, told["errors"]))))
            at += size
    return done, at


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") and _has_no_hole(line)


def _has_no_hole(data: bytes) -> bool:
    """Whether nothing of it is lost: a power cut may leave zeros, which stand in no text here."""
    return b"\0" not in data
