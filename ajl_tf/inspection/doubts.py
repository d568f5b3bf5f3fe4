"""Which labels are probably wrong: proposals for a person to look at, by confident learning.

A model that never saw a photo in training says which condition it sees. Where it is surer of
another condition than it usually is of photos that carry that label, the photo's own label is in
doubt (Northcutt, Jiang and Chuang 2021, https://doi.org/10.1613/jair.1.12125). It is a reason to
look, not a proof: a model errs too, more on some skin tones than on others, and what is rare or
untypical looks wrong to it. A copy of the photo in training, labelled as wrongly, hides a mistake:
folds should keep duplicates together. Nothing is dropped here.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from ajl_tf.assessment.checks import PROBABILITY, class_columns
from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.errors import UserError

COLUMNS = ("image_id", "label", "suggested", "score", "qc")
_ROUNDING = 1e-6  # of float32: a class of which every photo has the same probability is confident


def label_doubts(predictions: pd.DataFrame, manifest: pd.DataFrame | None = None) -> pd.DataFrame:
    """Ranks the photos whose label a model contradicts with confidence.

    Args:
        predictions: As `read_predictions` returns them, with `label` and `prob_<label>` columns, of
            photos that the model was not trained on: rows with a `fold`, else rows of the split
            validation or test. Rows of the training split and rows without a label are left out.
        manifest: Adds what its column `qc` says, for example "3 Wrongly labelled". Photos that it
            does not hold, or under another label by now, are left out, and that is said.

    Returns:
        A row for each doubtful label, the most doubtful first: `image_id`, `label`, `suggested`
        (the condition that the model is confident of), `score` (the probability that it gives the
        label; low is doubtful), `qc` (NA where nothing is said).

    Raises:
        UserError: No labels or no probabilities, rows that the model may have been trained on, or
            no photo of the manifest.
    """
    rows = _of_data(_held_out(predictions), manifest)
    names = class_columns(rows)
    probabilities: Floats = rows[[PROBABILITY + name for name in names]].to_numpy(np.float64)
    label_idx: Ints = pd.Index(names).get_indexer(pd.Index(rows["label"])).astype(np.int64)
    suggested, doubtful = contradicted(probabilities, label_idx)
    found = pd.DataFrame(
        {
            "image_id": rows["image_id"],
            "label": rows["label"],
            "suggested": np.array(names, dtype=object)[suggested],
            "score": probabilities[np.arange(len(rows)), label_idx],
            "qc": _qc(rows["image_id"], manifest),
        }
    )
    return found[doubtful].sort_values(["score", "image_id"], ignore_index=True)


def contradicted(probabilities: Floats, label_idx: Ints) -> tuple[Ints, Bools]:
    """Confident learning: which labels a model contradicts.

    A model is confident of a class where its probability is at least the mean probability of that
    class over the photos that are labelled so.

    Args:
        probabilities: (N, C), of photos that the model was not trained on.
        label_idx: (N,), the labels as columns of `probabilities`.

    Returns:
        (N,) the most probable class among those the model is confident of, and (N,) whether that
        class and the most probable of all both differ from the label.
    """
    own = np.eye(probabilities.shape[1], dtype=bool)[label_idx]  # (N, C)
    photos = own.sum(axis=0)
    mean = np.where(own, probabilities, 0.0).sum(axis=0) / np.maximum(photos, 1)
    threshold = np.where(photos > 0, mean, np.inf)  # no photo: nothing to be confident by
    confident = np.where(probabilities >= threshold - _ROUNDING, probabilities, -1.0)
    suggested: Ints = confident.argmax(axis=1)
    of_label = probabilities[np.arange(len(label_idx)), label_idx]
    doubtful: Bools = (
        (confident.max(axis=1) >= 0)
        & (suggested != label_idx)
        & (probabilities.max(axis=1) > of_label)
    )
    return suggested, doubtful


def _of_data(rows: pd.DataFrame, manifest: pd.DataFrame | None) -> pd.DataFrame:
    """The rows that are of the manifest's photos and say what it says."""
    if manifest is None:
        return rows
    labels = rows["image_id"].map(manifest.set_index("image_id")["label"])
    gone, other = ~rows["image_id"].isin(manifest["image_id"]), labels != rows["label"]
    if other.all():
        raise UserError(
            f"none of the {len(rows):,} predicted photos is in the data under the label that the "
            "predictions have. Give predictions of these photos."
        )
    if other.any():
        print(
            f"warning: {int(other.sum()):,} of {len(rows):,} predicted photos are left out of the "
            f"label doubts: {int(gone.sum()):,} are not in the data, the others have another label",
            file=sys.stderr,
        )
    return rows[~other].reset_index(drop=True)


def _held_out(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a label and that the model was not trained on."""
    if not class_columns(predictions):
        raise UserError(
            "label doubts need the probability of every condition (columns prob_<label>), and "
            "these predictions have none."
        )
    known = predictions["label"].notna() if "label" in predictions else False
    held_out = pd.Series(False, index=predictions.index)
    if "fold" in predictions:
        held_out |= predictions["fold"].notna()
    if "split" in predictions:
        held_out |= predictions["split"].isin(["validation", "test"])
    rows = predictions[held_out & known].reset_index(drop=True)
    if rows.empty:
        what = "has a label" if held_out.any() else "is known to be out of fold or held out"
        raise UserError(
            "label doubts need predictions of photos that the model was not trained on, and none "
            f"of these {len(predictions):,} rows {what}. Train with folds (python -m ajl_tf.train "
            "EXPERIMENT --folds 5) and give that run's predictions.csv; one from elsewhere needs "
            "the columns label and fold (the one that held the photo out), or label and split "
            "(validation or test)."
        )
    return rows


def _qc(image_ids: pd.Series, manifest: pd.DataFrame | None) -> pd.Series:
    if manifest is None or "qc" not in manifest:
        return pd.Series(pd.NA, index=image_ids.index, dtype="str")
    return image_ids.map(manifest.set_index("image_id")["qc"]).astype("str")
