"""Dealing photos to parts of given sizes, alike in labels and skin tones, groups undivided.

The groups of several photos are dealt first, then the rest, label by label and tone by tone. Each
goes to the part that is furthest behind its share: of that label above all, then of that label in
that tone, then of the tone, then of all. So the counts of a label in two equal parts differ by one,
by more only where groups force it. It is a greedy form of the iterative stratification of Sechidis
et al. 2011 (https://doi.org/10.1007/978-3-642-23808-6_10).

With `train_first` every label's first group goes to part 0, before another part gets one: a label
with fewer photos than parts may be absent from the others, never from the first. Without, it is in
as many parts as it has groups. A part can stay empty where there are fewer groups than parts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# How much it counts to be behind: of a label, of a label in a tone, of a tone, of everything.
_LABEL, _CELL, _TONE, _ALL = 64, 8, 2, 1
_Stratum = tuple[Any, ...]  # one of these weights, then the label, the tone, or both


def deal(rows: pd.DataFrame, shares: Sequence[int], seed: int, *, train_first: bool) -> np.ndarray:
    """Deals photos to parts, as the module docstring says.

    Args:
        rows: Columns `label, skin_tone, group_id`. Their order has no influence.
        shares: The parts' relative sizes.
        seed: Decides which of the photos with the same label and tone goes where.
        train_first: Whether every label's first group goes to part 0.

    Returns:
        int64 (len(rows),): the part of each row, an index into `shares`.
    """
    strata: list[tuple[_Stratum, ...]] = [
        ((_LABEL, label), (_CELL, label, tone), (_TONE, tone), (_ALL,))
        for label, tone in zip(rows["label"], rows["skin_tone"], strict=True)
    ]
    groups: dict[str, list[int]] = {}
    for row, group_id in enumerate(rows["group_id"]):
        groups.setdefault(group_id, []).append(row)

    def order(group_id: str) -> tuple[int, list[_Stratum], bytes]:
        cells = sorted(strata[row][1] for row in groups[group_id])
        return -len(cells), cells, hashlib.sha256(f"{seed} {group_id}".encode()).digest()

    given = [Counter[_Stratum]() for _ in shares]  # photos of each stratum, by part
    part = np.empty(len(rows), dtype=np.int64)
    for group_id in sorted(groups, key=order):
        members = groups[group_id]
        if train_first and any(not given[0][strata[row][0]] for row in members):
            chosen = 0
        else:
            wanted = Counter(stratum for row in members for stratum in strata[row])
            chosen = _furthest_behind(wanted, given, shares)
        for row in members:
            given[chosen].update(strata[row])
        part[members] = chosen
    return part


def _furthest_behind(
    group: Counter[_Stratum], given: Sequence[Counter[_Stratum]], shares: Sequence[int]
) -> int:
    """The part that most wants a group of so many photos of each stratum.

    The greatest sum of shortfalls is the least growth of the sum of squared misfits. They are whole
    numbers, so that a tie is a tie; the first part takes it.
    """
    behind = [0] * len(shares)
    total = sum(shares)
    for stratum, count in group.items():
        have = [counts[stratum] for counts in given]
        dealt = sum(have) + count
        for i, share in enumerate(shares):
            behind[i] += stratum[0] * count * (share * dealt - total * have[i])
    return behind.index(max(behind))
