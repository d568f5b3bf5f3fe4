"""Texts that a spreadsheet which opens a CSV would run as formulas.

What names a photo or a condition is refused where it is one; other texts get an apostrophe in
front, by which a spreadsheet takes them for text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run a cell; of signs and spaces of any width, as it reads them.

    Numbers and names such as `-3` and `+x` are none.
    """
    if text[:1].isalnum():  # as nearly all are
        return False
    plain = unicodedata.normalize("NFKC", text).lstrip("\ufeff").lstrip()
    return re.match(r"[=@]|[+-].*[(|!]", plain, re.DOTALL) is not None


def harmless(text: str) -> str:
    """A text as it is, or with an apostrophe in front where a spreadsheet would run it."""
    return f"'{text}" if is_formula(text) else text


def harmless_texts(table: pd.DataFrame, but: Sequence[str]) -> pd.DataFrame:
    """A table of texts whose cells and names of columns are `harmless`, some columns left out."""
    names = [str(name) for name in table if name not in but]
    texts = {name: table[name].map(harmless) for name in names}
    return table.assign(**texts).rename(columns={name: harmless(name) for name in names})
