"""Means of what each photo has (a loss, a hit, the size of a set), overall and by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.metrics import Floats, Ints


def group_means(
    columns: Mapping[str, Floats], group_idx: Ints, n_groups: int, *, overall: bool = False
) -> Callable[[Floats], Figures]:
    """Prepares weighted means by group as products of matrices.

    Args:
        columns: Name to a value for each row (N,).
        group_idx: (N,), 0 to G - 1.
        n_groups: G.
        overall: Whether all rows together come first, as one more group.

    Returns:
        From weights (b, N) to name -> (b, G); NaN where a group has no weight.
    """
    order = np.argsort(group_idx, kind="stable")
    ends = np.cumsum(np.bincount(group_idx, minlength=n_groups))
    values = np.stack([np.ones(len(group_idx)), *columns.values()], axis=1)[order]  # (N, 1 + m)
    in_order = bool((order[1:] > order[:-1]).all())  # as for a single group: nothing to copy
    slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def means(weights: Floats) -> Figures:
        ordered = weights if in_order else weights[:, order]
        sums = np.stack([ordered[:, rows] @ values[rows] for rows in slices], axis=1)  # (b, G, 1+m)
        if overall:
            sums = np.concatenate([sums.sum(axis=1, keepdims=True), sums], axis=1)
        total = sums[..., :1]
        mean = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
        return {name: mean[..., 1 + i] for i, name in enumerate(columns)}

    return means
