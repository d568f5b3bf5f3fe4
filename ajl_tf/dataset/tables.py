"""Reading a CSV as text, every row under its line number, with problems told instead of raised."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

_SHOWN = 10  # rows told of one kind of problem in one file; the rest are counted


def read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Reads a CSV (UTF-8, comma-separated, with a header).

    Args:
        path: The file. Fields may be quoted and hold commas, quotes and line breaks.

    Returns:
        The rows, every cell as the text that stands in the file, under an index `line` that holds
        the 1-based number of the line where each row begins (the header is line 1); and the
        problems found, each a sentence that names the file. A file that is no table at all
        gives no column and one problem.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:
            return pd.DataFrame(), [f"{path} is not a CSV: it holds binary data."]
        return _parse(path, text)
    except FileNotFoundError:
        return pd.DataFrame(), [f"{path} does not exist. Check the path."]
    except IsADirectoryError:
        return pd.DataFrame(), [f"{path} is a folder. Name a CSV file."]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        what = f"line {line} is not UTF-8 (byte 0x{error.object[error.start]:02x})"
        return pd.DataFrame(), [f"{path} {what}. If it is a CSV, save it as 'CSV UTF-8'."]
    except csv.Error as error:
        return pd.DataFrame(), [f"{path} is not a CSV that can be read: {error}."]


def told(path: Path, found: Mapping[str, Sequence[str]]) -> list[str]:
    """Flattens problems of a file's rows; of each kind the first ten, then how many more.

    Args:
        path: The file that the rows stand in.
        found: Kind of problem -> one text a row, each beginning with "row <line>".
    """
    problems = []
    for kind, rows in found.items():
        problems += [f"{path} {row}" for row in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            problems.append(f"{path}: {len(rows) - _SHOWN:,} more rows with {kind}.")
    return problems


def _parse(path: Path, text: str) -> tuple[pd.DataFrame, list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [" ".join(name.split()) or f"Unnamed: {i}" for i, name in enumerate(next(reader, []))]
    if not header:
        return pd.DataFrame(), [f"{path} is empty. Expected a header and at least one row."]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        return pd.DataFrame(), [f"{path} has the column {_quoted(repeated)} more than once."]
    lines: list[int] = []
    rows: list[list[str]] = []
    ragged = []
    begin = reader.line_num + 1
    for row in reader:
        if len(row) == len(header):
            lines.append(begin)
            rows.append(row)
        elif row:  # an empty line is no row
            ragged.append(
                f"row {begin} has {len(row)} fields, its header {len(header)}. "
                "A field that holds a comma or a line break must stand in double quotes."
            )
        begin = reader.line_num + 1
    problems = told(path, {"another number of fields": ragged})
    if not rows and not ragged:
        problems.append(f"{path} has a header but no row.")
    index = pd.Index(lines, name="line", dtype="int64")
    return pd.DataFrame(rows, columns=header, index=index, dtype=str), problems


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
