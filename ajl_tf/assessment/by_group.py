"""The report's section on one grouping: figures by group, how far they lie apart, how equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.figures import figure
from ajl_tf.assessment.groupings import Grouping
from ajl_tf.assessment.groups import (
    compare,
    compared_groups,
    group_figures,
    group_stack,
    shared_conditions,
)
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import Bools, Floats
from ajl_tf.assessment.overall import probability_columns
from ajl_tf.assessment.parity import (
    RATIOS,
    dealt,
    opportunity_ratio,
    parity_figures,
    rates,
    selection_ratio,
    unequal_odds,
    unequal_selection,
)
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import (
    Found,
    Json,
    Section,
    beside_chance,
    clusters_of,
    enough,
)
from ajl_tf.assessment.words import parity_conclusion, told_comparison

COMPARED = ("accuracy", "weighted_f1", "macro_f1", "balanced_accuracy", "standardised_recall")
_PER_CONDITION = {
    "dpm": selection_ratio,
    "eom": opportunity_ratio,
    "demographic_parity_difference": unequal_selection,
    "demographic_parity_difference_worst": unequal_selection,
    "equalised_odds_difference": unequal_odds,
    "equalised_odds_difference_worst": unequal_odds,
}


def by_group(rows: Scored, grouping: Grouping, draws: int, seed: int) -> Section:
    """Figures of each group, their differences, and the parity figures.

    Args:
        rows: What is scored.
        grouping: Of these rows.
        draws: How many random deals of the groups stand beside the parity figures.
        seed: Of these deals.
    """
    shape = (len(grouping.names), len(rows.class_names))
    stack = group_stack(rows.label_idx, rows.pred_idx, grouping.index, shape)
    compared = compared_groups(stack)
    columns = probability_columns(rows)
    columns.pop("log_loss", None)  # how sure a model is stands in a section of its own
    means = group_means(columns, grouping.index, shape[0])

    def count(weights: Floats) -> Figures:
        moved = group_stack(rows.label_idx, rows.pred_idx, grouping.index, shape, weights)
        parity = parity_figures(moved, compared)
        return (
            group_figures(moved, compared)
            | means(weights)
            | {f"parity {name}": values for name, values in parity.items()}
        )

    def tell(found: Found) -> Json:
        chance = dealt(stack, compared, draws, seed)
        clusters = clusters_of(rows.clusters, grouping.index, shape[0])
        certain = enough(clusters)
        by_name = [name for name in found.value if not name.startswith("parity ")]
        intervals = {name: found.intervals(name, certain) for name in by_name}
        shared = shared_conditions(stack, compared)
        return {
            "groups": [
                {
                    "group": group,
                    "n": int(stack[i].sum()),
                    "clusters": int(clusters[i]),
                    "conditions": int((stack[i].sum(axis=1) > 0).sum()),
                    **{n: figure(found.value[n][i], intervals[n][:, i]) for n in by_name},
                }
                for i, group in enumerate(grouping.names)
            ],
            "shared_conditions": [rows.class_names[c] for c in np.flatnonzero(shared)],
            "compared": {
                name: told_comparison(
                    compare(found.value[name], found.moved[name], certain),
                    grouping.names,
                    found.value[name],
                )
                for name in (*COMPARED, "top_3_accuracy")
                if name in found.value
            },
            "parity": _parity(rows, stack, compared, found, bool(certain[compared].all()), chance),
        }

    return Section(count, tell)


def _parity(
    rows: Scored,
    stack: Floats,
    compared: Bools,
    found: Found,
    certain: bool,
    chance: Mapping[str, Floats],
) -> Json:
    each = rates(stack, compared) if compared.sum() > 1 else None
    told = {}
    for name, values in chance.items():
        value, moved = found.value[f"parity {name}"], found.moved[f"parity {name}"]
        entry = beside_chance(value, moved, values, certain, up_good=name in RATIOS)
        if each is not None and name in _PER_CONDITION:
            of_each = _PER_CONDITION[name](each)  # (C,), NaN where a condition does not count
            entry["conditions"] = int((~np.isnan(of_each)).sum())
            if name.endswith("_worst") and not np.isnan(value):
                entry["condition"] = rows.class_names[int(np.nanargmax(of_each))]
        told[name] = {**entry, "conclusion": parity_conclusion(entry)}
    return told
