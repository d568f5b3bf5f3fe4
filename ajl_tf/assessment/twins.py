"""How much a score owes to photos that have a twin (a photo of the same group) in training.

A model that trained on a copy of a photo, or on another photo of the same lesion, need not have
understood anything to predict it. So the score is also told without such photos, and on them alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ajl_tf.assessment.bootstrap import Figures
from ajl_tf.assessment.figures import figure
from ajl_tf.assessment.groups import group_stack
from ajl_tf.assessment.metrics import Floats, weighted_f1
from ajl_tf.assessment.scored import Scored
from ajl_tf.assessment.sections import Found, Json, Section, clusters_of, enough
from ajl_tf.assessment.words import twin_sentence

PHOTO_COLUMNS = ("group_id", "split", "fold", "drop_reason")


def with_twin(predictions: pd.DataFrame, photos: pd.DataFrame | None = None) -> set[str] | str:
    """Finds the photos that have a twin among the photos that their model was trained on.

    Args:
        predictions: As `read_predictions` returns them. Where rows have a fold, the rows of all
            other folds trained the model of a row; else those of the split train did.
        photos: Manifests of the data, one below the other: `image_id` and, where known, `group_id`,
            `split`, `fold`, `drop_reason`. They tell of photos without a prediction, such as the
            training rows. Of what is told of a photo more than once, beginning with `predictions`,
            the last `group_id` counts and the first of everything else. A photo with a
            `drop_reason` trained nothing.

    Returns:
        The image_ids of the photos with a twin; or, where that cannot be told, why.
    """
    known = _known(predictions, photos)
    if known["group_id"].isna().all():
        return "the group ids are unknown (no column group_id)"
    by = "fold" if known["fold"].notna().any() else "split"
    groups, side = known["group_id"], known[by]
    if side.isna().all():
        return "nothing says which photos were trained on (no column fold or split)"
    training = known[known["drop_reason"].isna() & groups.notna() & side.notna()]
    if by == "split":
        if not (side == "train").any():
            return "the training photos are unknown; --manifest takes them, with group_id and split"
        beside = groups.isin(training["group_id"][training["split"] == "train"])
        return set(known.index[beside & (side != "train")])
    if side.nunique() < 2:
        return "the photos of the other folds are unknown; --manifest takes them, with fold"
    sides = groups.map(training.groupby("group_id")["fold"].nunique()).fillna(0)
    pairs = pd.MultiIndex.from_frame(known[["group_id", "fold"]])
    own = pairs.isin(pd.MultiIndex.from_frame(training[["group_id", "fold"]]))
    return set(known.index[side.notna() & (sides - own > 0)])


def twins(rows: Scored, found: set[str] | str) -> Section:
    """Weighted F1 with and without the photos that have a twin in training, and on them alone.

    Args:
        rows: The scored rows.
        found: As `with_twin` returns it.

    Returns:
        It tells `n` photos with a twin, None where that cannot be told; `all`, `without`, `only`
        and `difference` (all minus without), figures; `sentence`, the same in words.
    """
    why = found if isinstance(found, str) else ""
    twin = np.isin(rows.image_ids, [] if isinstance(found, str) else sorted(found)).astype(np.int64)
    n, shape = int(twin.sum()), (2, len(rows.class_names))
    without, only = (bool(known) for known in enough(clusters_of(rows.clusters, twin, 2)))
    certain = {"all": rows.certain, "without": without, "only": only}
    certain["difference"] = without and only

    def count(weights: Floats) -> Figures:
        stack = group_stack(rows.label_idx, rows.pred_idx, twin, shape, weights)
        everything, by_twin = weighted_f1(stack.sum(axis=-3)), weighted_f1(stack)
        return {
            "all": everything,
            "without": by_twin[..., 0],
            "only": by_twin[..., 1],
            "difference": everything - by_twin[..., 0],
        }

    def tell(counted: Found) -> Json:
        told = {
            name: figure(value, counted.intervals(name, certain[name]))
            for name, value in counted.value.items()
        }
        sentence = twin_sentence(None if why else n, len(twin), told, why)
        return {"n": None if why else n, **told, "sentence": sentence}

    return Section(count, tell)


def _known(predictions: pd.DataFrame, photos: pd.DataFrame | None) -> pd.DataFrame:
    """A row a photo, by image_id, with every one of `PHOTO_COLUMNS`, as text or NA."""
    tables = [predictions] if photos is None else [predictions, photos]
    columns = ["image_id", *PHOTO_COLUMNS]
    told = pd.concat([t.reindex(columns=columns).astype("str") for t in tables], ignore_index=True)
    told["fold"] = told["fold"].str.removesuffix(".0")  # a whole number beside empty cells
    by_photo = told.groupby("image_id", sort=False)
    return by_photo.first().assign(group_id=by_photo["group_id"].last())
