"""Which group each photo is in: by skin tone, by band, by any column of the table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ajl_tf.assessment.checks import TONES as TONE_VALUES
from ajl_tf.assessment.checks import UNKNOWN_TONE
from ajl_tf.assessment.groups import BANDS, TONES, band_index, tone_index
from ajl_tf.assessment.metrics import Ints
from ajl_tf.errors import UserError

UNKNOWN = "unknown"
MOST_GROUPS = 20  # more are no groups, but names or measurements
_TONE_COLUMN = re.compile(r"skin_?tone|fitzpatrick", re.IGNORECASE)


@dataclass(frozen=True)
class Grouping:
    """N rows divided into groups.

    Attributes:
        title: What divides them: "skin tone", "tone band", or a column's name.
        names: G names; the last is "unknown", which is shown, never compared.
        index: (N,), positions in `names`.
    """

    title: str
    names: tuple[str, ...]
    index: Ints


def tone_groupings(tone_idx: Ints) -> dict[str, Grouping]:
    """By the six types and by the three bands."""
    return {
        "by_tone": Grouping("skin tone", TONES, tone_idx),
        "by_band": Grouping("tone band", BANDS, band_index(tone_idx)),
    }


def column_groupings(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Grouping]:
    """By the values of other columns; an empty cell, -1 and the word "unknown" are unknown.

    A column of skin tones (named so, or after Fitzpatrick, with values 1 to 6 and -1), such as a
    second annotator's, is also divided by band, as `<column> (band)`.

    Raises:
        UserError: A column that is missing, empty, or has more than `MOST_GROUPS` values.
    """
    return {
        grouping.title: grouping
        for column in dict.fromkeys(columns)
        for grouping in _by_column(table, column)
    }


def _by_column(table: pd.DataFrame, column: str) -> Iterator[Grouping]:
    if column not in table:
        raise UserError(
            f"there is no column {column!r} to divide the photos by, neither in the predictions "
            f"nor in a manifest (--manifest). Received: {', '.join(map(str, table.columns))}."
        )
    values = table[column].astype("str").where(table[column].notna(), "").str.strip()
    whole = values.str.fullmatch(r"-?\d+\.0+")  # a whole number that pandas made a float
    values = values.mask(whole, values.str.replace(r"\.0+$", "", regex=True))
    unknown = values.isin(["", str(UNKNOWN_TONE), UNKNOWN])
    names = sorted(set(values[~unknown]), key=_natural)
    if not names:
        raise UserError(
            f"column {column!r} has no value in any of the {len(table):,} photos that are scored, "
            "so they cannot be divided by it."
        )
    if len(names) > MOST_GROUPS:
        raise UserError(
            f"column {column!r} has {len(names):,} different values; --by takes a column of at "
            f"most {MOST_GROUPS} groups. Received: {', '.join(names[:3])} …"
        )
    if _TONE_COLUMN.search(column) and set(names) <= {str(tone) for tone in TONE_VALUES}:
        tones = tone_index(values.mask(unknown, str(UNKNOWN_TONE)).astype("int64"))
        yield Grouping(column, TONES, tones)
        yield Grouping(f"{column} (band)", BANDS, band_index(tones))
        return
    index = pd.Index(names).get_indexer(pd.Index(values))
    index = np.where(unknown, len(names), index).astype(np.int64)
    yield Grouping(column, (*names, UNKNOWN), index)


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then words."""
    is_number = re.fullmatch(r"-?\d+(\.\d+)?", name) is not None
    return (not is_number, float(name) if is_number else 0.0, name)
