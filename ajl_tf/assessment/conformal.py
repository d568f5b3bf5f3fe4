"""Sets of conditions that hold the right one in 90 of 100 photos, whatever the model is worth.

Split conformal prediction (Angelopoulos and Bates 2021, https://arxiv.org/abs/2107.07511): scores
of the right condition on other rows say how far a set must reach. That all photos together are
covered does not mean that each tone is; sets calibrated within each band (Mondrian: Vovk, Gammerman
and Shafer 2005, Algorithmic learning in a random world) are, and may be larger for it.
"""

from __future__ import annotations

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.calibration import GROUPS
from ajl_tf.assessment.figures import figure
from ajl_tf.assessment.groups import BANDS, band_index
from ajl_tf.assessment.held_out import Parts
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough
from ajl_tf.assessment.words import told_bands

COVERAGE = 0.9
METHODS = ("lac", "aps")
CALIBRATED = ("marginal", "by_band")
_OF_SETS = ("set_coverage", "set_size", "single")


def lac_scores(probabilities: Floats) -> Floats:
    """(N, C): 1 - probability, for the smallest sets on average.

    Sadinle, Lei and Wasserman 2019, https://doi.org/10.1080/01621459.2017.1395341.
    """
    return 1 - probabilities


def aps_scores(probabilities: Floats) -> Floats:
    """(N, C): probability of all that is more probable, and half of what is as probable.

    Adaptive prediction sets (Romano, Sesia and Candès 2020, https://arxiv.org/abs/2006.02544):
    larger where the model hesitates. Their random number is replaced by its mean, 1/2, so that a
    photo always has the same set; any fixed score keeps the promise.
    """
    scores = np.empty_like(probabilities)
    for c in range(probabilities.shape[1]):
        own = probabilities[:, c : c + 1]
        shares = np.where(probabilities > own, 1.0, np.where(probabilities == own, 0.5, 0.0))
        scores[:, c] = (shares * probabilities).sum(axis=1)
    return scores


def reach(scores: Floats, coverage: float) -> float:
    """How far a set must reach: the (n + 1) · `coverage`-th smallest of n scores, rounded up.

    Infinite (every condition is in the set) where n is too small to promise it.
    """
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else np.inf


def prediction_sets(
    scores: Floats, label_idx: Ints, parts: Parts, group_idx: Ints, coverage: float = COVERAGE
) -> Bools:
    """The set of each row, calibrated on the rows of other parts that are of its own group.

    The most probable condition is always in it, so that no set is empty.

    Args:
        scores: (N, C), low for what belongs in the set.
        label_idx: (N,).
        parts: Of the rows.
        group_idx: (N,), 0 to G - 1; zeros calibrate all rows together.
        coverage: The share of sets that shall hold the label, in each group.

    Returns:
        (N, C).
    """
    own = np.take_along_axis(scores, label_idx[:, None], axis=1)[:, 0]
    within = np.zeros(scores.shape, bool)
    for fit, use in parts.pairs():
        for group in range(int(group_idx.max()) + 1):
            there = group_idx == group
            within[use & there] = scores[use & there] <= reach(own[fit & there], coverage)
    sets: Bools = within | (scores == scores.min(axis=1, keepdims=True))
    return sets


def conformal(rows: Scored, probabilities: Floats, parts: Parts) -> Section:
    """Coverage and size of prediction sets, overall and by tone band."""
    bands = band_index(rows.tone_idx)
    columns: dict[str, Floats] = {}
    scores = {"lac": lac_scores(probabilities), "aps": aps_scores(probabilities)}
    for method in METHODS:
        for calibrated, group_idx in zip(CALIBRATED, (np.zeros_like(bands), bands), strict=True):
            sets = prediction_sets(scores[method], rows.label_idx, parts, group_idx)
            size = sets.sum(axis=1)
            held = np.take_along_axis(sets, rows.label_idx[:, None], axis=1)[:, 0]
            for name, values in zip(_OF_SETS, (held, size, size == 1), strict=True):
                columns[f"{method} {calibrated} {name}"] = values.astype(np.float64)
    means = group_means(columns, bands, len(BANDS), overall=True)

    def count(weights: Floats) -> Figures:
        return means(weights)

    def tell(found: Found) -> Json:
        clusters = [int(rows.clusters.max()) + 1, *clusters_of(rows.clusters, bands, len(BANDS))]
        certain = enough(np.array(clusters))
        n = [len(bands), *np.bincount(bands, minlength=len(BANDS))]

        ends = {name: found.intervals(name, certain) for name in found.value}

        def entry(start: str, i: int) -> dict[str, Json]:
            names = {name: f"{start} {name}" for name in _OF_SETS}
            return {k: figure(found.value[name][i], ends[name][:, i]) for k, name in names.items()}

        def compared(start: str) -> dict[str, Json]:
            name = f"{start} {_OF_SETS[0]}"
            return told_bands(found.value[name], found.moved[name], certain)

        return {
            "target": COVERAGE,
            **{
                method: {
                    calibrated: {
                        "groups": [
                            {"group": group, "n": int(n[i]), **entry(f"{method} {calibrated}", i)}
                            for i, group in enumerate(GROUPS)
                        ],
                        "compared": {"set_coverage": compared(f"{method} {calibrated}")},
                    }
                    for calibrated in CALIBRATED
                }
                for method in METHODS
            },
        }

    return Section(count, tell)
