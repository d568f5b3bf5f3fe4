"""Single photos for the page: confident mistakes, and those on which two models differ; bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.groups import TONES
from ajl_tf.assessment.scored import Scored

Json = Any
MOST_PHOTOS = 300  # small copies of so many are a few megabytes
MOST_ROWS = 600


def mistakes(rows: Scored, most: int) -> tuple[list[Json], int]:
    """The mistakes that the model was surest of.

    Of each condition and tone the surest come first, so that no filter shows nothing because
    others have more; then the next of each.

    Args:
        rows: What is scored.
        most: How many at most.

    Returns:
        Dicts `image_id, label, predicted, tone, confidence, own` (the probabilities of the
        prediction and of the label; None without), the surest first; and how many there are in all.
    """
    wrong = np.flatnonzero(~rows.right)
    names = np.asarray(rows.class_names, dtype=object)
    tones = np.asarray(TONES, dtype=object)
    found = pd.DataFrame(
        {
            "image_id": rows.image_ids[wrong],
            "label": names[rows.label_idx[wrong]],
            "predicted": names[rows.pred_idx[wrong]],
            "tone": tones[rows.tone_idx[wrong]],
            "confidence": np.nan,
            "own": np.nan,
        }
    )
    if rows.probabilities is not None:
        found["confidence"] = rows.probabilities[wrong, rows.pred_idx[wrong]]
        found["own"] = rows.probabilities[wrong, rows.label_idx[wrong]]
    surest = found.sort_values("confidence", ascending=False, kind="stable")
    rank = surest.groupby(["label", "tone"]).cumcount()
    chosen = surest.assign(rank=rank).sort_values("rank", kind="stable").head(most)
    shown = chosen.drop(columns="rank").sort_values("confidence", ascending=False, kind="stable")
    return _records(shown), len(found)


def differing(photos: pd.DataFrame, most: int) -> list[Json]:
    """Photos on which two models differ, as `against.differing_photos` tells them, with `tone`.

    Those that one of the two has right come first.
    """
    tones = photos["skin_tone"].where(photos["skin_tone"] > 0).map("{:.0f}".format)
    shown = photos.assign(tone=tones.replace("nan", TONES[-1])).drop(columns="skin_tone")
    order = (shown["right"] == "neither").sort_values(kind="stable").index
    return _records(shown.loc[order].head(most))


def _records(table: pd.DataFrame) -> list[Json]:
    cells = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in cells.to_dict("records")]
