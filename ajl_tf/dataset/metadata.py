"""What is recorded of a photo beside its pixels: columns of a table as numbers.

A column is a category (its values are learnt from the rows that train) or a number (standardised
with their mean and deviation). One rule says for both what is unknown: an empty cell, `-1`,
`unknown` and `nan`; and of a category also every value that no training row has. Case, blanks
around a value and `.0` behind a whole number do not count: `Female` is `female`, `4.0` is `4`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ajl_tf.dataset.kaggle import RENAMED
from ajl_tf.errors import UserError, listed

Kind = Literal["category", "number"]
UNKNOWN = ("", "-1", "unknown", "nan")
WHOLE = r"^(-?[0-9]+)\.0+$"
BLANKS = " \t\r\n\v\f"
MOST_VALUES = 100  # of a category; more are names of rows rather than something they share
_SHOWN = 3
_TELLING, _SEEN, _COVERED = 0.9, 5, 0.5


@dataclass(frozen=True)
class Column:
    """What a network knows of a column.

    Attributes:
        name: Of the column, as the experiment calls it.
        kind: Category or number.
        values: Of a category, sorted, as `clean` leaves them.
        mean: Of a number.
        deviation: Of a number, above 0.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def width(self) -> int:
        """Of its encoding: one number a value; or the number, and whether it is known."""
        return len(self.values) if self.kind == "category" else 2

    @property
    def words(self) -> str:
        """What is known of it, for people."""
        if self.kind == "category":
            return ", ".join(self.values)
        return f"mean {self.mean:.4g}, standard deviation {self.deviation:.4g}"

    def codes(self, cells: pd.Series) -> np.ndarray:
        """Clean cells `(N,)` as float32 `(N,)`: place in `values`, or number; NaN if unknown."""
        if self.kind == "number":
            numbers = pd.to_numeric(cells, errors="coerce")
        else:
            places = pd.Index(self.values).get_indexer(pd.Index(cells))
            numbers = pd.Series(places, dtype=float).where(places >= 0)
        return numbers.to_numpy(np.float32)


def cells_of(table: pd.DataFrame, name: str) -> pd.Series | None:
    """A column's cells as clean text, "" where unknown; None where the table has no such column.

    What the competition calls `fitzpatrick_scale` is `skin_tone` in a manifest, so that each is
    found by either name.
    """
    names = [name, RENAMED.get(name), *(old for old, new in RENAMED.items() if new == name)]
    there = next((each for each in names if each in table), None)
    return None if there is None else clean(table[there])


def clean(cells: pd.Series) -> pd.Series:
    """Texts or numbers `(N,)` as they are compared, "" where they say that nothing is known."""
    texts = cells.astype(object).where(cells.notna(), "").astype(str)
    texts = texts.str.strip(BLANKS).str.lower().str.replace(WHOLE, r"\1", regex=True)
    return texts.mask(texts.isin(UNKNOWN), "")


def learn_columns(
    table: pd.DataFrame, kinds: Mapping[str, Kind], rows: np.ndarray
) -> tuple[Column, ...]:
    """Learns values, mean and deviation of each column from some rows.

    Args:
        table: A manifest that `check_metadata` has passed.
        kinds: Column -> what it is.
        rows: int, those that train.

    Raises:
        UserError: These rows know nothing of a column.
    """
    learned = []
    for name, kind in kinds.items():
        cells = cells_of(table, name)
        known = pd.Series(dtype=str) if cells is None else cells.iloc[rows]
        known = known[known != ""]
        if known.empty:
            raise UserError(f"model.metadata: {name} is unknown for every photo that trains.")
        if kind == "category":
            learned.append(Column(name, kind, tuple(sorted(known.unique()))))
        else:
            numbers = known.astype(float)
            spread = float(numbers.std(ddof=0))
            learned.append(Column(name, kind, (), float(numbers.mean()), spread or 1.0))
    return tuple(learned)


def coded(table: pd.DataFrame, columns: tuple[Column, ...]) -> np.ndarray:
    """Codes float32 `(N, M)` of a table's rows; NaN where unknown, as of a column it lacks."""
    codes = np.full((len(table), len(columns)), np.nan, np.float32)
    for place, column in enumerate(columns):
        cells = cells_of(table, column.name)
        if cells is not None:
            codes[:, place] = column.codes(cells)
    return codes


def check_metadata(table: pd.DataFrame, kinds: Mapping[str, Kind]) -> None:
    """Refuses columns that a network cannot learn from, before anything is trained.

    Raises:
        UserError: All of them: not in the table, of fewer than two known values, a category of more
            than `MOST_VALUES`, a number with cells that are none.
    """
    problems = [
        f"{name}: {fault}" for name, kind in kinds.items() if (fault := _fault(table, name, kind))
    ]
    if problems:
        raise UserError(f"model.metadata cannot be followed:\n{listed(problems)}")


def number_faults(cells: pd.Series) -> pd.Series:
    """Those of clean cells that are known and no finite number."""
    numbers = pd.to_numeric(cells, errors="coerce")
    faults: pd.Series = cells[(cells != "") & ~np.isfinite(numbers)]
    return faults


def unknown_shares(table: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, float]:
    """For which share of a table's rows each column is unknown."""
    cells = {name: cells_of(table, name) for name in kinds}
    return {
        name: 1.0 if each is None else float((each == "").mean()) for name, each in cells.items()
    }


def telling(table: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, float]:
    """Categories that all but tell the label: how often a value's most common label is the label.

    Of the rows whose value is seen at least five times, where these are half of the known ones;
    only those of at least 0.9.
    """
    found = {}
    for name, kind in kinds.items():
        cells = cells_of(table, name)
        if kind == "number" or cells is None:
            continue
        counts = pd.crosstab(cells[cells != ""], table["label"])
        often = counts[counts.sum(axis=1) >= _SEEN]
        rows = often.to_numpy().sum()
        if rows and rows >= _COVERED * counts.to_numpy().sum():
            share = float(often.max(axis=1).sum() / rows)
            if share >= max(_TELLING, float(often.sum().max() / rows) + 0.05):
                found[name] = share
    return found


def _fault(table: pd.DataFrame, name: str, kind: Kind) -> str:
    cells = cells_of(table, name)
    if cells is None:
        return f"the data has no such column. There are: {', '.join(table.columns)}."
    values = cells[cells != ""].unique()
    if len(values) < 2:
        told = repr(values[0]) if len(values) else "nothing"
        return f"it needs at least two known values. There is: {told}."
    if kind == "number":
        strange = number_faults(cells).unique()
        shown = ", ".join(map(repr, strange[:_SHOWN]))
        return (
            f'some cells are no numbers, as {shown}. Mend them, or write "category".'
            if len(strange)
            else ""
        )
    if len(values) > MOST_VALUES:
        return (
            f"a category of {len(values):,} values (at most {MOST_VALUES}) tells rows apart rather "
            'than what they share. Group them; or write "number" if it is one.'
        )
    return ""
