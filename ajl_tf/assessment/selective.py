"""Leaving the unsure photos to a person: how many remain, and how many of these are wrong.

Risk is the share wrong among the photos that are answered, coverage the share that is answered
(Geifman and El-Yaniv 2017, https://arxiv.org/abs/1705.08500); the surest are answered first.
"""

from __future__ import annotations

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.calibration import GROUPS
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.groups import BANDS, band_index
from ajl_tf.assessment.held_out import Parts
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import Bools, Floats, Ints, tally
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough
from ajl_tf.assessment.words import told_bands

_STEPS = 20
COVERAGES = tuple((step + 1) / _STEPS for step in range(_STEPS))
RISKS = (0.1, 0.2, 0.3)


def thresholds(confidence: Floats) -> Floats:
    """(20,): the confidence from which at least each of `COVERAGES` of the rows is answered."""
    falling = np.sort(confidence)[::-1]
    last = np.ceil(np.array(COVERAGES) * len(falling) - 1e-9).astype(int) - 1
    edges: Floats = falling[last]
    return edges


def threshold_at_risk(confidence: Floats, right: Bools, risk: float) -> float:
    """The lowest confidence from which on at most `risk` of the answers are wrong.

    Args:
        confidence: (N,).
        right: (N,).
        risk: 0 to 1.

    Returns:
        Infinite where no photo may be answered.
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    share_wrong = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(falling[1:] < falling[:-1], True)  # ties are answered together or not at all
    fine = np.flatnonzero(ends & (share_wrong <= risk + 1e-12))
    return float(falling[fine[-1]]) if len(fine) else np.inf


def risk_coverage(rows: Scored, confidence: Floats) -> Section:
    """The risk-coverage curve of all photos and of each tone band, each by its own order."""
    bands = band_index(rows.tone_idx)
    edges = [thresholds(confidence)]
    step, within = _steps(confidence, edges[0]), np.zeros_like(bands)
    for band in range(len(BANDS)):
        there = bands == band
        edges.append(thresholds(confidence[there]) if there.any() else np.zeros(0))
        within[there] = _steps(confidence[there], edges[-1])
    wrong = (~rows.right).astype(np.float64)
    n = [len(bands), *np.bincount(bands, minlength=len(BANDS))]

    def steps(weights: Floats) -> Floats:
        """(b, G, 20): the weight of what is answered up to each step."""
        k = len(COVERAGES)
        overall = tally(step, k, weights)[:, None]
        by_band = tally(bands * k + within, len(BANDS) * k, weights).reshape(-1, len(BANDS), k)
        return np.concatenate([overall, by_band], axis=1).cumsum(axis=-1)

    def count(weights: Floats) -> Figures:
        answered, failed = steps(weights), steps(weights * wrong)
        everyone = answered[..., -1:]
        return {
            "coverage": np.where(everyone > 0, answered / np.where(everyone > 0, everyone, 1), 0),
            "risk": np.where(answered > 0, failed / np.where(answered > 0, answered, 1), np.nan),
        }

    def tell(found: Found) -> Json:
        certain = enough(_clusters(rows, bands))
        ends = found.intervals("risk", certain[:, None])
        return [
            {
                "group": group,
                "n": int(n[i]),
                "points": [
                    {
                        "target": target,
                        "coverage": number(found.value["coverage"][i, k]),
                        "threshold": number(edge),
                        "risk": figure(found.value["risk"][i, k], ends[:, i, k]),
                    }
                    for k, (target, edge) in enumerate(zip(COVERAGES, edges[i], strict=False))
                ],
            }
            for i, group in enumerate(GROUPS)
        ]

    return Section(count, tell)


def at_risk(rows: Scored, confidence: Floats, parts: Parts) -> Section:
    """Coverage and risk by tone band where one threshold, set on other rows, aims at a risk.

    The threshold is one for all tones, as it would be in use; what it costs each tone is the
    question.
    """
    bands = band_index(rows.tone_idx)
    columns: dict[str, Floats] = {}
    for risk in RISKS:
        answered = np.zeros(len(bands), bool)
        for fit, use in parts.pairs():
            edge = threshold_at_risk(confidence[fit], rows.right[fit], risk)
            answered[use] = confidence[use] >= edge
        columns[f"coverage {risk}"] = answered.astype(np.float64)
        columns[f"failed {risk}"] = (answered & ~rows.right).astype(np.float64)
    means = group_means(columns, bands, len(BANDS), overall=True)

    def count(weights: Floats) -> Figures:
        found = means(weights)
        figures: Figures = {}
        for risk in RISKS:
            coverage, failed = found[f"coverage {risk}"], found[f"failed {risk}"]
            some = coverage > 0
            figures[f"coverage {risk}"] = coverage
            figures[f"risk {risk}"] = np.where(some, failed / np.where(some, coverage, 1), np.nan)
        return figures

    def tell(found: Found) -> Json:
        certain = enough(_clusters(rows, bands))
        n = [len(bands), *np.bincount(bands, minlength=len(BANDS))]
        ends = {name: found.intervals(name, certain) for name in found.value}
        return [
            {
                "target": risk,
                "groups": [
                    {
                        "group": group,
                        "n": int(n[i]),
                        **{
                            name: figure(
                                found.value[f"{name} {risk}"][i], ends[f"{name} {risk}"][:, i]
                            )
                            for name in ("coverage", "risk")
                        },
                    }
                    for i, group in enumerate(GROUPS)
                ],
                "compared": {
                    name: told_bands(
                        found.value[f"{name} {risk}"], found.moved[f"{name} {risk}"], certain
                    )
                    for name in ("coverage", "risk")
                },
            }
            for risk in RISKS
        ]

    return Section(count, tell)


def _steps(confidence: Floats, edges: Floats) -> Ints:
    """(N,): the first of the falling edges (20,) that each row reaches."""
    return np.searchsorted(-edges, -confidence, side="left").astype(np.int64)


def _clusters(rows: Scored, bands: Ints) -> Ints:
    """(1 + bands,): clusters overall and in each band."""
    return np.append(int(rows.clusters.max()) + 1, clusters_of(rows.clusters, bands, len(BANDS)))
