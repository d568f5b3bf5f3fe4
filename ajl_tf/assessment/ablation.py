"""One training against several others that each differ from it in something, on the same photos."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ajl_tf.assessment.bootstrap import Bootstrap, Figures
from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.groups import (
    BANDS,
    band_index,
    compared_groups,
    group_stack,
    shared_conditions,
)
from ajl_tf.assessment.metrics import Bools, Floats, mean_recall, weighted_f1
from ajl_tf.assessment.pairing import paired
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough, tell_all

NOISE = "within the noise"


def ablation(
    rows: Mapping[str, Mapping[int, pd.DataFrame]],
    base: str,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Json]:
    """Compares each row's trainings with those of the base that had the same seeds.

    A score is the mean over seeds, a difference that of row less base, seed by seed. All are
    resampled together (bootstrap of clusters, the same photos for every row), so photos that are
    hard for all do not widen a difference. The interval is over photos; what another seed would
    have given is not in it, so a difference whose sign depends on the seed is noise as well.

    Args:
        rows: Name -> seed -> predictions with `label`, as `read_predictions` returns them.
        base: One of the names.
        resamples: Bootstrap resamples behind the intervals.
        seed: Of the resamples.

    Returns:
        `{n, clusters, rows}`; `rows`: name to `{seeds, weighted_f1: figure, difference: figure,
        of_seeds: list, conclusion, worst_band: {group, figure}, band_of_base: {group, difference,
        of_seeds, conclusion}}`, in order. `worst_band` is the row's own, `band_of_base` the one
        that is worst for the base, both in standardised recall; None where no band has photos
        enough. The base has no differences; what has no seed in common with it is left out.

    Raises:
        UserError: The predictions are not of the same photos.
    """
    reference = next(iter(rows[base].values()))
    sides = {
        name: {
            number: paired(reference, table, f"{name} (seed {number})").second
            for number, table in of_seeds.items()
            if number in rows[base]
        }
        for name, of_seeds in rows.items()
    }
    sides = {name: of_seeds for name, of_seeds in sides.items() if of_seeds}
    first = next(iter(sides[base].values()))
    bootstrap = Bootstrap(first.clusters, resamples, seed)
    told = tell_all({"rows": _section(sides, base, first)}, bootstrap)
    n_clusters = int(first.clusters.max()) + 1
    return {"n": len(first.label_idx), "clusters": n_clusters, "rows": told["rows"]}


def _section(sides: Mapping[str, Mapping[int, Scored]], base: str, first: Scored) -> Section:
    bands = band_index(first.tone_idx)
    certain = enough(clusters_of(first.clusters, bands, len(BANDS)))

    def count(weights: Floats) -> Figures:
        scores = {
            name: {seed: _scores(rows, weights) for seed, rows in of_seeds.items()}
            for name, of_seeds in sides.items()
        }
        found: Figures = {}
        for name, of_seeds in scores.items():
            f1 = np.stack([score for score, _ in of_seeds.values()], axis=-1)
            same = np.stack([scores[base][seed][0] for seed in of_seeds], axis=-1)
            recalls = np.stack([recall for _, recall in of_seeds.values()], axis=-1)
            of_base = np.stack([scores[base][seed][1] for seed in of_seeds], axis=-1)
            found |= {
                f"weighted_f1 {name}": f1.mean(axis=-1),
                f"difference {name}": (f1 - same).mean(axis=-1),
                f"of_seeds {name}": f1 - same,
                f"recall {name}": recalls.mean(axis=-1),
                f"difference of recall {name}": (recalls - of_base).mean(axis=-1),
                f"of_seeds of recall {name}": recalls - of_base,
            }
        return found

    def tell(found: Found) -> Json:
        worst = _worst(found, f"recall {base}", certain)
        return {
            name: {
                "seeds": list(of_seeds),
                "weighted_f1": _figure(found, f"weighted_f1 {name}", first.certain),
                **({} if name == base else _difference(found, name, first.certain)),
                "worst_band": _band(found, f"recall {name}", certain),
                **(
                    {}
                    if name == base
                    else {"band_of_base": _difference_of_band(found, name, worst)}
                ),
            }
            for name, of_seeds in sides.items()
        }

    return Section(count, tell)


def _scores(rows: Scored, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted F1 (b,) and each band's standardised recall (b, G) of resamples (b, N)."""
    bands, shape = band_index(rows.tone_idx), (len(BANDS), len(rows.class_names))
    compared = compared_groups(group_stack(rows.label_idx, rows.pred_idx, bands, shape))
    stack = group_stack(rows.label_idx, rows.pred_idx, bands, shape, weights)
    shared = shared_conditions(stack, compared)[..., None, :]
    recall = mean_recall(stack, np.broadcast_to(shared, stack.shape[:-1]))
    return weighted_f1(stack.sum(axis=-3)), np.where(compared, recall, np.nan)


def _difference(found: Found, name: str, certain: bool) -> dict[str, Json]:
    told = _figure(found, f"difference {name}", certain)
    return _concluded(told, found.value[f"of_seeds {name}"])


def _difference_of_band(found: Found, name: str, band: int | None) -> Json:
    if band is None:
        return None
    figures, of_seeds = f"difference of recall {name}", found.value[f"of_seeds of recall {name}"]
    told = figure(found.value[figures][band], found.intervals(figures)[:, band])
    return {"group": BANDS[band], **_concluded(told, of_seeds[band])}


def _concluded(told: dict[str, float | None], of_seeds: Floats) -> dict[str, Json]:
    """A difference, each seed's, and what can be said of it."""
    if told["low"] is None or told["high"] is None:
        words = "too few photos for an interval"
    elif told["low"] <= 0 <= told["high"] or of_seeds.min() <= 0 <= of_seeds.max():
        words = NOISE
    else:
        words = "higher" if told["low"] > 0 else "lower"
    return {
        "difference": told,
        "of_seeds": [number(value) for value in of_seeds],
        "conclusion": words,
    }


def _worst(found: Found, name: str, certain: Bools) -> int | None:
    """Position of the band with the lowest figure, of those with photos enough."""
    values = np.where(certain, found.value[name], np.nan)
    return None if np.isnan(values).all() else int(np.nanargmin(values))


def _band(found: Found, name: str, certain: Bools) -> Json:
    worst = _worst(found, name, certain)
    if worst is None:
        return None
    return {
        "group": BANDS[worst],
        "figure": figure(found.value[name][worst], found.intervals(name)[:, worst]),
    }


def _figure(found: Found, name: str, certain: bool) -> dict[str, float | None]:
    return figure(found.value[name], found.intervals(name, certain))
