"""The label tree: conditions belong to nine partitions, these to three, one of them malignant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ajl_tf.assessment.metrics import Floats, Ints
from ajl_tf.errors import UserError, listed

LEVELS = ("nine_partition_label", "three_partition_label")
MALIGNANT = "malignant"

Tree = dict[str, dict[str, str]]  # level -> label -> partition


@dataclass(frozen=True)
class Level:
    """One level of the tree above C labels.

    Attributes:
        name: The manifest's column.
        partitions: P names, sorted.
        parent: (C,), the position in `partitions` of each label's.
    """

    name: str
    partitions: tuple[str, ...]
    parent: Ints

    def summed(self, probabilities: Floats) -> Floats:
        """(N, P): the probabilities (N, C) of each partition's labels, added up."""
        member = self.parent[:, None] == np.arange(len(self.partitions))  # (C, P)
        sums: Floats = probabilities @ member
        return sums


def read_tree(*tables: pd.DataFrame | None) -> Tree:
    """Which partition each label belongs to, from the rows of tables that say so.

    Args:
        tables: With `label` and any of `LEVELS`; cells are text, an empty one is missing.

    Returns:
        Level to label to partition; levels that the table does not have are left out.

    Raises:
        UserError: Labels that stand in more than one partition of a level.
    """
    tree, problems = {}, []
    for level in LEVELS:
        columns = ["label", level]
        parts = [table[columns] for table in tables if table is not None and {*columns} <= {*table}]
        if not parts:
            continue
        pairs = pd.concat(parts).dropna().astype("str").drop_duplicates()
        parents = pairs.groupby("label")[level].agg(list)
        problems += [
            f"{label} is in {level} {', '.join(sorted(found))}"
            for label, found in parents.items()
            if len(found) > 1
        ]
        tree[level] = {str(label): str(found[0]) for label, found in parents.items()}
    if problems:
        raise UserError(f"labels must be in one partition of each level:\n{listed(problems)}")
    return {level: parents for level, parents in tree.items() if parents}


def levels(tree: Tree, class_names: Sequence[str]) -> tuple[list[Level], list[str]]:
    """The tree above these labels, and a note on each level that lacks one of them."""
    made, notes = [], []
    for name, parents in tree.items():
        lost = [label for label in class_names if label not in parents]
        if lost:
            shown = ", ".join(lost[:3]) + (" …" if len(lost) > 3 else "")
            notes.append(f"{name} is not scored: it is not known for {shown}.")
            continue
        partitions = sorted({parents[label] for label in class_names})
        parent = pd.Index(partitions).get_indexer(pd.Index([parents[c] for c in class_names]))
        made.append(Level(name, tuple(partitions), parent.astype(np.int64)))
    return made, notes
