"""Rows on which something may be fitted that is then used on others: never on the rows scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ajl_tf.assessment.metrics import Bools, Ints
from ajl_tf.assessment.scored import Scored

_PARTS = 5
_FEWEST = 50  # rows; fewer fit nothing worth using


@dataclass(frozen=True)
class Parts:
    """N rows in parts; what is used on a part is fitted on the others.

    Attributes:
        index: (N,), 0 to P - 1.
        words: What the others are.
    """

    index: Ints
    words: str

    def pairs(self) -> Iterator[tuple[Bools, Bools]]:
        """Yields, for each part, the rows to fit on and the rows to use it on, (N,) each."""
        for part in range(int(self.index.max()) + 1):
            yield self.index != part, self.index == part


def parts_of(rows: Scored, seed: int) -> Parts | None:
    """Divides rows by their fold, or without folds into fifths of whole clusters.

    Returns:
        None with fewer than 50 rows.
    """
    if len(rows.label_idx) < _FEWEST:
        return None
    if "fold" in rows.table and rows.table["fold"].nunique() > 1:
        index = pd.factorize(rows.table["fold"], sort=True)[0].astype(np.int64)
        return Parts(index, "the rows of the other folds")
    k = int(rows.clusters.max()) + 1
    if k < _PARTS:
        return None
    part_of_cluster = np.random.default_rng(seed).permutation(k) % _PARTS
    return Parts(part_of_cluster[rows.clusters], "the other four fifths of the rows")
