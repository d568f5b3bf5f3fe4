"""What all explained photos together say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.explanation.explaining import RANDOM, number
from ajl_tf.explanation.faithfulness import GAMES
from ajl_tf.explanation.means import mean_figure, tone_groups
from ajl_tf.explanation.tone_audit import SHAM, SIZES, TONE, per_photo

Json = dict[str, Any]


def summarise_maps(
    records: Sequence[Mapping[str, Any]], curves: Mapping[str, np.ndarray]
) -> dict[str, Json]:
    """Each method's means, with bootstrap intervals over photos.

    Args:
        records: Of N photos, as `explaining.explain_photos` makes them.
        curves: Method -> `(N, 2, STEPS + 1)`.

    Returns:
        Method (and `random`) -> `deletion`, `insertion`, the same minus the random map's photo by
        photo, the mean curves, and where masks are known `inside_mask`: `overall`, `by_tone` and
        `by_band`, the share of the map on the lesion, the lesion's share of the photo (what chance
        gives) and the difference; `empty` counts maps without anything positive.
    """
    table = pd.DataFrame([{k: v for k, v in r.items() if k != "methods"} for r in records])
    clusters = table["group_id"].to_numpy(object)
    found: dict[str, Json] = {}
    for method, curve in curves.items():
        told: Json = {}
        for position, game in enumerate(GAMES):
            own, chance = (_column(records, name, game) for name in (method, RANDOM))
            told[game] = mean_figure(own, clusters)
            if method != RANDOM:
                told[f"{game}_minus_random"] = mean_figure(own - chance, clusters)
            told[f"{game}_curve"] = [number(value) for value in curve[:, position].mean(axis=0)]
        inside = _column(records, method, "inside_mask")
        area = table["mask_share"].to_numpy(np.float64)
        if not np.isnan(area).all():
            told["inside_mask"] = _inside(inside, area, table)
        found[method] = told
    return found


def summarise_audit(table: pd.DataFrame, left_out: int) -> Json:
    """The audit's figures for each size of shift.

    Args:
        table: As `tone_audit.audit_photos` makes it, of all photos.
        left_out: Photos whose tone could not be measured or moved.

    Returns:
        For each size: the shift achieved, the colour change of shift and sham, the contrast error
        on masks, and flips by tone shift, by sham and the excess of the first, overall, by tone and
        by band; intervals are bootstrapped over photos.
    """
    photos = int(table["image_id"].nunique())
    return {
        "photos": photos,
        "left_out": left_out,
        "sizes": {
            f"{size:g}": _of_size(table[table["degrees"] == size])
            for size in SIZES
            if (table["degrees"] == size).any()
        },
    }


def _inside(inside: np.ndarray, area: np.ndarray, table: pd.DataFrame) -> Json:
    def figures(rows: np.ndarray) -> Json:
        clusters = table["group_id"].to_numpy(object)[rows]
        has = ~np.isnan(inside[rows])
        return {
            "n": int(has.sum()),
            "empty": int((~has).sum()),
            "share": mean_figure(inside[rows], clusters),
            "area": mean_figure(np.where(has, area[rows], np.nan), clusters),
            "share_minus_area": mean_figure(inside[rows] - area[rows], clusters),
        }

    return _by_group(table["skin_tone"], figures)


def _of_size(table: pd.DataFrame) -> Json:
    flips = per_photo(table)
    moved = table[table["kind"] == TONE]
    sham = table[table["kind"] == SHAM]
    asked = np.where(moved["direction"] == "darker", -1, 1) * moved["degrees"]
    achieved = (moved["ita_after"] - moved["ita"]).astype(float)

    def figures(rows: np.ndarray) -> Json:
        chosen = flips[rows]
        clusters = chosen["group_id"].to_numpy(object)
        names = (TONE, SHAM, "excess", "darker", "lighter")
        return {"n": len(chosen)} | {name: mean_figure(chosen[name], clusters) for name in names}

    told = {
        "shift_achieved": _spread(achieved / asked * moved["degrees"]),
        "shift_error": _spread((achieved - asked).abs()),
        "sham_shift": _spread((sham["ita_after"] - sham["ita"]).astype(float).abs()),
        "colour_change": {
            TONE: _spread(moved["colour_change"]),
            SHAM: _spread(sham["colour_change"]),
        },
        "flips": _by_group(flips["skin_tone"], figures),
    }
    if "contrast" in table:
        told["contrast"] = _spread(moved["contrast"].astype(float))
        told["contrast_error"] = _spread(moved["contrast_error"].astype(float))
    return told


def _by_group(skin_tone: pd.Series, figures: Any) -> Json:
    told: Json = {
        "overall": figures(np.ones(len(skin_tone), np.bool_)),
        "by_tone": [],
        "by_band": [],
    }
    for title, name, rows in tone_groups(skin_tone.to_numpy()):
        told[title].append({"group": name, **figures(rows)})
    return told


def _spread(values: pd.Series) -> Json:
    """Median and the middle 90% of single measurements."""
    known = values.dropna().to_numpy(np.float64)
    if not len(known):
        return {"n": 0, "median": None, "p5": None, "p95": None}
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    return {"n": len(known), "median": number(middle), "p5": number(low), "p95": number(high)}


def _column(records: Sequence[Mapping[str, Any]], method: str, name: str) -> np.ndarray:
    values = [record["methods"][method][name] for record in records]
    return np.array([np.nan if value is None else value for value in values], np.float64)
