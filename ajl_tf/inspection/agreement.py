"""How the tone measured in the pixels agrees with the tone that people wrote down.

Neither is the truth. Photos are uncalibrated, and a Fitzpatrick type seen in a photo is an opinion:
two opinions on this kind of photo agree exactly about half of the time. So a measured angle is
compared with the other photos that have the same annotation, not with a published bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.inspection.tone import FITZPATRICK_BOUNDS, fitzpatrick_type

_FEWEST = 5  # photos of a type, to say what is usual for it
_SECOND = "fitzpatrick_centaur"
_TYPES = range(1, 7)


def tone_disagreements(measured: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Ranks photos by how little the measured tone fits the annotated skin_tone.

    Args:
        measured: `image_id, ita, ita_confidence`, a row a photo.
        manifest: `image_id, skin_tone`.

    Returns:
        `image_id, skin_tone, ita, ita_confidence, usual_ita, gap, score, why`, the least fitting
        first. `usual_ita` is the median of the photos with the same annotation, weighted by
        confidence, `gap` is ita - usual_ita in degrees (above 0: lighter than annotated), and
        `score` is |gap| / 90 * ita_confidence, in [0, 1]. Photos of unknown tone or without a
        measurement are left out, as are types that fewer than 5 measured photos have.
    """
    joined = manifest[["image_id", "skin_tone"]].merge(
        measured[["image_id", "ita", "ita_confidence"]], on="image_id", validate="one_to_one"
    )
    known = joined[(joined["skin_tone"] > 0) & joined["ita"].notna()]
    usual = {
        tone: _weighted_median(rows["ita"], rows["ita_confidence"])
        for tone, rows in known.groupby("skin_tone")
        if len(rows) >= _FEWEST
    }
    rows = known[known["skin_tone"].isin(usual)].copy()
    rows["usual_ita"] = rows["skin_tone"].map(usual).astype(np.float64)
    rows["gap"] = rows["ita"] - rows["usual_ita"]
    rows["score"] = np.minimum(rows["gap"].abs() / 90, 1) * rows["ita_confidence"]
    rows["why"] = [
        f"measured {ita:.0f}°, where photos annotated {tone} mostly have {expected:.0f}°: "
        f"{'lighter' if ita > expected else 'darker'} than annotated, or lit so"
        for ita, tone, expected in zip(
            rows["ita"], rows["skin_tone"], rows["usual_ita"], strict=True
        )
    ]
    return rows.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def tone_agreement(measured: pd.DataFrame, manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """How measured angles go with each column of annotated types.

    Args:
        measured: `image_id, ita`, a row a photo.
        manifest: `image_id, skin_tone`, and `fitzpatrick_centaur` where there is one.

    Returns:
        JSON-able, one for each column of types: `column`; `photos`, annotated and measured;
        `spearman`, the rank correlation of angle and type (-1: perfect, since high angles are
        light), with `low` and `high`, its 95 % interval, None with fewer than 5 photos or a single
        type; `within_one`, by name of published bounds, the share whose type from the angle is at
        most one off; `types`, for each of 1 to 6 `type, annotated, measured, median, lower, upper`
        (degrees; the quartiles), None without photos.
    """
    columns = ["skin_tone", *([_SECOND] if _SECOND in manifest else [])]
    joined = manifest[["image_id", *columns]].merge(
        measured[["image_id", "ita"]], on="image_id", validate="one_to_one"
    )
    return [_agreement(name, joined["ita"], _as_types(joined[name])) for name in columns]


def _as_types(cells: pd.Series) -> pd.Series:
    """1 to 6, 0 for anything else; the second opinion comes as text."""
    numbers = pd.to_numeric(cells, errors="coerce")
    return numbers.where(numbers.isin(_TYPES), 0).astype(np.int64)


def _agreement(column: str, ita: pd.Series, types: pd.Series) -> dict[str, Any]:
    both = (types > 0) & ita.notna()
    angles, given = ita[both].to_numpy(np.float64), types[both].to_numpy()
    correlation, low, high = _spearman(angles, given)
    within = {
        name: float((np.abs(fitzpatrick_type(angles, name) - given) <= 1).mean())
        for name in FITZPATRICK_BOUNDS
        if len(angles)
    }
    return {
        "column": column,
        "photos": len(angles),
        "spearman": correlation,
        "low": low,
        "high": high,
        "within_one": within,
        "types": [
            _quartiles(type_, int((types == type_).sum()), angles[given == type_])
            for type_ in _TYPES
        ],
    }


def _spearman(
    angles: np.ndarray, types: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """Rank correlation and 95 % interval (Fieller, Hartley and Pearson, Biometrika 44, 1957)."""
    if len(angles) < _FEWEST or np.ptp(types) == 0 or np.ptp(angles) == 0:
        return None, None, None
    from scipy.stats import spearmanr  # a second to import, and only reports need it

    rho = float(spearmanr(angles, types).statistic)
    reach = 1.96 * (1.06 / (len(angles) - 3)) ** 0.5
    centre = np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9))
    return rho, float(np.tanh(centre - reach)), float(np.tanh(centre + reach))


def _quartiles(type_: int, annotated: int, angles: np.ndarray) -> dict[str, Any]:
    lower, median, upper = np.percentile(angles, [25, 50, 75]) if len(angles) else [None] * 3
    return {
        "type": type_,
        "annotated": annotated,
        "measured": len(angles),
        "median": None if median is None else float(median),
        "lower": None if lower is None else float(lower),
        "upper": None if upper is None else float(upper),
    }


def _weighted_median(values: pd.Series, weights: pd.Series) -> float:
    order = np.argsort(values.to_numpy(), kind="stable")
    total = np.cumsum(weights.to_numpy(np.float64)[order] + 1e-9)
    return float(values.to_numpy()[order][np.searchsorted(total, total[-1] / 2)])
