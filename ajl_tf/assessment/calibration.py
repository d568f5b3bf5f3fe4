"""Whether a stated 80 % is right 80 times in 100: calibration error and reliability, by tone band.

Confidence is the probability of the predicted condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.groups import BANDS, band_index
from ajl_tf.assessment.means import group_means
from ajl_tf.assessment.metrics import Floats, Ints, log_losses, tally
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import (
    Found,
    Json,
    Section,
    beside_chance,
    clusters_of,
    enough,
)
from ajl_tf.assessment.words import calibration_conclusion, told_bands

BINS = 15
GROUPS = ("overall", *BANDS)
_AT_ONCE = 2**20


KINDS = ("ece", "adaptive_ece")


@dataclass(frozen=True)
class Bins:
    """Rows in bins of confidence: of equal width and of equal mass, overall and in each band.

    Counted in cells that no bin divides, so that each row is counted once.

    Attributes:
        confidence: (N,), 0 to 1.
        cells: (N,), 0 to U - 1.
        of_cells: For each of `KINDS` (U, G, M), 1 where a cell belongs to the bin of the group.
    """

    confidence: Floats
    cells: Ints
    of_cells: dict[str, Floats]

    def sums(self, weights: Floats, right: Floats) -> dict[str, Floats]:
        """For each kind (..., 3, G, M): weight, confidence and right answers in each bin.

        Args:
            weights: (..., N).
            right: (..., N) or (N,), 0 or 1.
        """
        n_cells = len(self.of_cells[KINDS[0]])
        parts = [weights, weights * self.confidence, weights * right]
        counts = np.stack([tally(self.cells, n_cells, part) for part in parts], axis=-2)
        return {
            kind: (counts @ member.reshape(n_cells, -1)).reshape(
                *counts.shape[:-1], *member.shape[1:]
            )
            for kind, member in self.of_cells.items()
        }


def bins_of(confidence: Floats, bands: Ints) -> Bins:
    """Bins of rows with these confidences (N,) and tone bands (N,)."""
    within = np.zeros_like(bands)
    for band in range(len(BANDS)):
        within[bands == band] = equal_mass(confidence[bands == band])
    bins = {"ece": [equal_width(confidence)] * 2, "adaptive_ece": [equal_mass(confidence), within]}
    every = np.stack([bands, *bins["ece"], *bins["adaptive_ece"]], axis=1)
    codes = every @ (BINS ** np.arange(every.shape[1]))  # there are fewer bands than bins
    _, first, cells = np.unique(codes, return_index=True, return_inverse=True)
    members = {}
    for kind, (overall, in_band) in bins.items():
        member = np.zeros((len(first), len(GROUPS), BINS))
        row = np.arange(len(first))
        member[row, 0, overall[first]] = 1
        member[row, 1 + bands[first], in_band[first]] = 1
        members[kind] = member
    return Bins(confidence, cells, members)


def equal_width(confidence: Floats) -> Ints:
    """(N,): the bins 0 to `BINS` - 1 of the same width, each without its lower edge."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def equal_mass(confidence: Floats) -> Ints:
    """(N,): bins that hold as many rows each as ties allow; equal values share a bin."""
    if not len(confidence):
        return np.zeros(0, np.int64)
    edges = np.quantile(confidence, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def calibration_error(sums: Floats) -> Floats:
    """(..., G): mean gap between confidence and share right over the bins, by their photos.

    Expected calibration error (Naeini et al. 2015, AAAI; Guo et al. 2017,
    https://arxiv.org/abs/1706.04599) from sums (..., 3, G, M) to (..., G); NaN without photos.
    """
    n = sums[..., 0, :, :].sum(axis=-1)
    gaps = np.abs(sums[..., 2, :, :] - sums[..., 1, :, :]).sum(axis=-1)
    return np.where(n > 0, gaps / np.where(n > 0, n, 1), np.nan)


def calibration(rows: Scored, probabilities: Floats, times: int, seed: int) -> Section:
    """Calibration of all photos and of each tone band.

    Args:
        rows: What is scored.
        probabilities: (N, C), of these rows, perhaps scaled.
        times: How many draws of a perfectly calibrated model stand beside the errors.
        seed: Of these draws.
    """
    bands = band_index(rows.tone_idx)
    confidence = probabilities.max(axis=1)
    right = rows.right.astype(np.float64)
    binned = bins_of(confidence, bands)
    columns = {
        "overconfidence": confidence - right,
        "log_loss": log_losses(rows.label_idx, probabilities),
    }
    means = group_means(columns, bands, len(BANDS), overall=True)
    once = np.ones(len(bands))

    def count(weights: Floats) -> Figures:
        sums = binned.sums(weights, right)
        n, _, hits = np.moveaxis(sums["ece"], -3, 0)
        share = np.where(n > 0, hits / np.where(n > 0, n, 1), np.nan)
        errors = {name: calibration_error(each) for name, each in sums.items()}
        return errors | {"bins": share} | means(weights)

    def tell(found: Found) -> Json:
        chance = _if_calibrated(binned, times, seed)
        clusters = [int(rows.clusters.max()) + 1, *clusters_of(rows.clusters, bands, len(BANDS))]
        certain = enough(np.array(clusters))
        n, stated, _ = binned.sums(once, right)["ece"]  # (G, M)
        ends = {name: found.intervals(name, certain) for name in columns}
        bin_ends = found.intervals("bins", certain[:, None])

        def error(found: Found, name: str, i: int) -> dict[str, Json]:
            value, moved = found.value[name][i], found.moved[name][:, i]
            by_luck = chance[name][:, i]
            entry = beside_chance(value, moved, by_luck, bool(certain[i]), up_good=False)
            return {**entry, "conclusion": calibration_conclusion(entry)}

        groups = [
            {
                "group": group,
                "n": int(n[i].sum()),
                **{name: error(found, name, i) for name in KINDS},
                **{name: figure(found.value[name][i], ends[name][:, i]) for name in columns},
                "reliability": [
                    {
                        "from": number(m / BINS),
                        "to": number((m + 1) / BINS),
                        "n": int(n[i, m]),
                        "confidence": number(stated[i, m] / n[i, m]),
                        "accuracy": figure(found.value["bins"][i, m], bin_ends[:, i, m]),
                    }
                    for m in np.flatnonzero(n[i])
                ],
            }
            for i, group in enumerate(GROUPS)
        ]
        name = "overconfidence"
        compared = told_bands(found.value[name], found.moved[name], certain)
        return {"groups": groups, "compared": {name: compared}}

    return Section(count, tell)


def _if_calibrated(binned: Bins, times: int, seed: int) -> dict[str, Floats]:
    """The errors (T, G) if each answer were right exactly with the probability it states.

    Consistency resampling (Bröcker and Smith 2007, https://doi.org/10.1175/WAF993.1).
    """
    rng = np.random.default_rng(seed)
    n = len(binned.confidence)
    at_once = max(1, _AT_ONCE // n)
    parts: dict[str, list[Floats]] = {kind: [] for kind in KINDS}
    for start in range(0, times, at_once):
        drawn = rng.random((min(at_once, times - start), n)) < binned.confidence
        for kind, sums in binned.sums(np.ones(drawn.shape), drawn.astype(np.float64)).items():
            parts[kind].append(calibration_error(sums))
    return {kind: np.concatenate(each) for kind, each in parts.items()}
