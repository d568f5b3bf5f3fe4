"""From a table of predictions to the arrays that are scored, and which rows those are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ajl_tf.assessment.bootstrap import MIN_CLUSTERS
from ajl_tf.assessment.checks import PROBABILITY, UNKNOWN_TONE, class_columns
from ajl_tf.assessment.groups import tone_index
from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.errors import UserError, listed

_MANY = 20  # rows of which one would be right by luck


@dataclass(frozen=True)
class Scored:
    """N rows with a label, as arrays.

    Attributes:
        rows: Which rows these are, in words.
        image_ids: (N,), text.
        class_names: C labels.
        label_idx: (N,), positions in `class_names`.
        pred_idx: (N,), likewise.
        tone_idx: (N,), positions in `groups.TONES`.
        clusters: (N,), 0 to K - 1; a row without `group_id` is a cluster of its own.
        probabilities: (N, C), None where the table has none.
        notes: What a reader must know about rows left out or columns missing.
        table: The rows themselves, in the same order.
    """

    rows: str
    image_ids: npt.NDArray[np.object_]
    class_names: tuple[str, ...]
    label_idx: Ints
    pred_idx: Ints
    tone_idx: Ints
    clusters: Ints
    probabilities: Floats | None
    notes: tuple[str, ...]
    table: pd.DataFrame

    @property
    def certain(self) -> bool:
        """Whether all rows together are clusters enough for an interval."""
        return int(self.clusters.max()) + 1 >= MIN_CLUSTERS

    @property
    def right(self) -> Bools:
        """(N,): whether the prediction is the label."""
        right: Bools = self.label_idx == self.pred_idx
        return right


def scored(predictions: pd.DataFrame) -> Scored:
    """Takes the rows that say something about new photos.

    Where rows have a fold, those (each was held out once); else where rows have a split, the test
    rows, or without any the validation rows; else all.

    Raises:
        UserError: No row to score, none with a label, or predictions that spell labels differently.
    """
    table, rows, notes = chosen(predictions)
    if "label" not in table or table["label"].isna().all():
        raise UserError(
            f"none of the {len(table):,} predictions has a label, so nothing can be scored. Add a "
            "column label, or give --manifest a CSV with image_id and label."
        )
    unlabelled = int(table["label"].isna().sum())
    if unlabelled:
        notes.append(f"{unlabelled:,} rows without a label are not scored.")
    table = table[table["label"].notna()].reset_index(drop=True)
    names = class_columns(table)
    columns = [PROBABILITY + name for name in names]
    if not names:
        names = sorted(set(table["label"]) | set(table["predicted"]))
        strange = _strange(table)
        if strange:
            shown = ", ".join(strange[:3]) + (" …" if len(strange) > 3 else "")
            notes.append(f"Predicted but never a label: {shown}.")
    if "skin_tone" not in table:
        notes.append("No skin_tone column: every photo counts as unknown.")
    tones = table.get("skin_tone", pd.Series(UNKNOWN_TONE, index=table.index))
    if "group_id" not in table:
        notes.append("No group_id column: each photo is resampled by itself.")
    index = pd.Index(names)
    return Scored(
        rows=rows,
        image_ids=table["image_id"].to_numpy(object),
        class_names=tuple(names),
        label_idx=index.get_indexer(pd.Index(table["label"])).astype(np.int64),
        pred_idx=index.get_indexer(pd.Index(table["predicted"])).astype(np.int64),
        tone_idx=tone_index(tones),
        clusters=_clusters(table),
        probabilities=table[columns].to_numpy(np.float64) if columns else None,
        notes=tuple(notes),
        table=table,
    )


def chosen(table: pd.DataFrame) -> tuple[pd.DataFrame, str, list[str]]:
    """The rows that say something about new photos, which those are in words, and notes."""
    rows, keep = "all rows", pd.Series(True, index=table.index)
    if "fold" in table and table["fold"].notna().any():
        keep = table["fold"].notna()
        rows = f"out of fold, {table['fold'].nunique()} folds"
    elif "split" in table and table["split"].notna().any():
        found = [name for name in ("test", "validation") if (table["split"] == name).any()]
        if not found:
            raise UserError(
                "all predictions are of the training split: they say nothing about new photos. "
                "Predict validation or test rows, or leave out the column split."
            )
        keep = table["split"] == found[0]
        rows = f"split {found[0]}"
    left_out = int((~keep).sum())
    notes = [f"{left_out:,} rows of other splits are not scored."] if left_out else []
    if rows == "split validation":
        notes.append(
            "Validation rows: where they chose the epoch that was kept, the scores are optimistic."
        )
    return table[keep], rows, notes


def _strange(table: pd.DataFrame) -> list[str]:
    """What is predicted but never a label; refused where it is a label spelt differently."""
    labels = set(table["label"])
    strange = sorted(set(table["predicted"]) - labels)
    known = {_letters(label): label for label in labels}
    misspelt = [name for name in strange if _letters(name) in known]
    if misspelt:
        lines = [f"{name!r} for {known[_letters(name)]!r}" for name in misspelt]
        raise UserError(
            "predictions and labels spell conditions differently, so right answers would count as "
            f"wrong. Spell them as the labels are:\n{listed(lines)}"
        )
    if len(strange) == table["predicted"].nunique() and len(table) >= _MANY:
        raise UserError(
            "no predicted condition is ever a label, so nothing can be right: is this the table of "
            f"another data set? Received: {', '.join(strange[:3])} …, where the labels are "
            f"{', '.join(sorted(labels)[:3])} …."
        )
    return strange


def _letters(name: str) -> str:
    """A name without what spellings differ in: case, spaces, hyphens, underscores."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _clusters(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    own = pd.Series([("row", i) for i in range(len(table))], dtype=object)
    groups = table["group_id"].astype(object) if "group_id" in table else own
    return pd.factorize(groups.where(groups.notna(), own))[0].astype(np.int64)
