"""Columns that say the same in other words: the label tree, and a second opinion on the tone.

As in `inspection.overview`, answers are plain dicts, and None where a column is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ajl_tf.inspection.overview import Summary

LEVELS = ("three_partition_label", "nine_partition_label", "label")  # from the root down
SECOND_TONE = "fitzpatrick_centaur"
_TONES = range(1, 7)


def label_tree(manifest: pd.DataFrame) -> Summary | None:
    """How labels divide into partitions, and whether they do.

    Returns:
        `levels`: the columns, root first; `is_tree`: whether each name has one parent; `nodes`:
        `name, photos, nodes`, nested, the most frequent first; `conflicts`: `level, name, parents`
        (name -> photos) of names with more than one; `incomplete`: labelled photos without a name
        on some level. None where there is no partition column.
    """
    levels = [name for name in LEVELS if name in manifest]
    if len(levels) < 2:
        return None
    rows = manifest.loc[manifest["label"].notna(), levels]
    whole = rows.dropna()
    conflicts = [
        conflict
        for above, level in pairwise(levels)
        for conflict in _several_parents(whole, above, level)
    ]
    return {
        "levels": levels,
        "is_tree": not conflicts,
        "nodes": _nodes(whole, levels),
        "conflicts": conflicts,
        "incomplete": len(rows) - len(whole),
    }


def compare_tone_columns(manifest: pd.DataFrame) -> Summary | None:
    """Agreement of `skin_tone` with a second opinion, the column `fitzpatrick_centaur`.

    Returns:
        `compared`: photos of which both know the tone; `exact` and `within_one`: their shares;
        `kappa`: Cohen's, quadratically weighted (Cohen 1968; 1 agreement, 0 chance), None where a
        column knows one tone only; `table`: for each `tone` of
        `skin_tone` the photos by tone of the other, as `second` (name -> photos); `only_first`,
        `only_second`, `neither`: photos of which the other, or each, is unknown. None where there
        is no such column.
    """
    if SECOND_TONE not in manifest:
        return None
    first = manifest["skin_tone"].to_numpy(float)
    second = pd.to_numeric(manifest[SECOND_TONE], errors="coerce").to_numpy(float)
    knows_first, knows_second = np.isin(first, _TONES), np.isin(second, _TONES)
    both = knows_first & knows_second
    a, b = first[both].astype(int), second[both].astype(int)
    return {
        "compared": int(both.sum()),
        "exact": float((a == b).mean()) if both.any() else None,
        "within_one": float((np.abs(a - b) <= 1).mean()) if both.any() else None,
        "kappa": _kappa(a, b),
        "table": [
            {"tone": str(tone), "second": {str(t): int((b[a == tone] == t).sum()) for t in _TONES}}
            for tone in _TONES
        ],
        "only_first": int((knows_first & ~knows_second).sum()),
        "only_second": int((knows_second & ~knows_first).sum()),
        "neither": int((~knows_first & ~knows_second).sum()),
    }


def _several_parents(rows: pd.DataFrame, above: str, level: str) -> list[Summary]:
    return [
        {
            "level": level,
            "name": str(name),
            "parents": {str(p): int(n) for p, n in parents.value_counts().items()},
        }
        for name, parents in rows.groupby(level)[above]
        if parents.nunique() > 1
    ]


def _nodes(rows: pd.DataFrame, levels: Sequence[str]) -> list[Summary]:
    if not levels:
        return []
    counts = rows[levels[0]].value_counts()
    return [
        {
            "name": str(name),
            "photos": int(photos),
            "nodes": _nodes(rows[rows[levels[0]] == name], levels[1:]),
        }
        for name, photos in counts.items()
    ]


def _kappa(first: np.ndarray, second: np.ndarray) -> float | None:
    """1 - the mean squared difference over that of every reading with every other's."""
    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return None
    by_chance = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1 - np.square(first - second).mean() / by_chance)
