"""Reads a CSV as text, refusing what a lenient reader would guess at (short rows, twin columns)."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from ajl_tf.errors import UserError, listed


def read_table(path: str | Path) -> pd.DataFrame:
    """Reads a CSV with a header; every cell is text, an empty one is missing (NA).

    Args:
        path: UTF-8 text, comma-separated, quoted where needed; blank lines are skipped.

    Returns:
        At least one row; RangeIndex.

    Raises:
        UserError: No such file, not a CSV, no header, no row, a column named twice, or rows with
            more or fewer fields than the header (all of them listed).
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; a CSV file was expected.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a CSV file in UTF-8: {error}. Save it as comma-separated UTF-8 text."
        ) from None
    if len(lines) < 2:
        what = "has a header but no rows" if lines else "is empty"
        raise UserError(f"{path} {what}; a header and at least one row were expected.")
    (_, header), *rows = lines
    problems = [
        f"column {name!r} is named {header.count(name)} times" for name in twice(header)
    ] + [
        f"line {number} has {len(row)} fields, the header has {len(header)}"
        for number, row in rows
        if len(row) != len(header)
    ]
    if problems:
        raise UserError(f"{path} cannot be read:\n{listed(problems)}")
    return pd.DataFrame(
        {
            name: pd.Series([row[column] or None for _, row in rows], dtype="str")
            for column, name in enumerate(header)
        }
    )


def twice(names: list[str]) -> list[str]:
    """The names that occur more than once, each once, in order."""
    seen = dict.fromkeys(names, 0)
    for name in names:
        seen[name] += 1
    return [name for name, count in seen.items() if count > 1]


def some(values: pd.Series, limit: int = 3) -> str:
    """Names a few values and how many there are: `a, b, c … (12 rows)`."""
    shown = ", ".join(str(value) for value in values.iloc[:limit])
    more = " …" if len(values) > limit else ""
    return f"{shown}{more} ({len(values)} row{'s' if len(values) != 1 else ''})"
