"""Puts the predictions of two models for the same photos side by side, or says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from ajl_tf.assessment.checks import PROBABILITY, class_columns
from ajl_tf.assessment.scored import Scored, chosen, scored
from ajl_tf.assessment.tables import some
from ajl_tf.errors import UserError, listed


@dataclass(frozen=True)
class Pair:
    """The same N photos, in the same order, with the same classes.

    Attributes:
        first: The rows of the model that is compared; labels, tones and clusters are its.
        second: The rows of the model it is compared with.
        notes: What a reader must know.
    """

    first: Scored
    second: Scored
    notes: tuple[str, ...]


def paired(first: pd.DataFrame, second: pd.DataFrame, other: str) -> Pair:
    """Matches two tables of predictions by `image_id`.

    Each table's rows are those that would be scored by themselves (see `scored`). The second may
    lack labels, tones and groups: the first's are taken.

    Args:
        first: As `read_predictions` returns them, with `label`.
        second: Likewise; `label` is not needed.
        other: Name of the second, for messages.

    Raises:
        UserError: The tables are not of the same photos, give a photo different labels, or know
            different classes.
    """
    ours, theirs = scored(first), chosen(second)[0]
    wanted = pd.Index(ours.table["image_id"])
    # Rows that the first leaves out for want of a label are no others.
    unlabelled = first["image_id"][first["label"].isna()]
    theirs = theirs[~theirs["image_id"].isin(unlabelled)].reset_index(drop=True)
    position = pd.Index(theirs["image_id"]).get_indexer(wanted)
    lost = ours.table["image_id"][position < 0]
    more = theirs["image_id"][~theirs["image_id"].isin(wanted)]
    if len(lost) or len(more):
        problems = [f"only in the first: {some(lost)}"] if len(lost) else []
        problems += [f"only in {other}: {some(more)}"] if len(more) else []
        raise UserError(
            f"the two models are not scored on the same photos ({len(wanted):,} and "
            f"{len(theirs):,}), so they cannot be compared. Predict the same photos with both.\n"
            f"{listed(problems)}"
        )
    theirs = theirs.iloc[position].reset_index(drop=True)
    _check_labels(ours.table, theirs, other)
    columns = [name for name in theirs if name == "predicted" or name.startswith(PROBABILITY)]
    same = ours.table[
        [n for n in ("image_id", "label", "skin_tone", "group_id") if n in ours.table]
    ]
    side = pd.concat([same, theirs[columns]], axis=1)
    notes: list[str] = []
    first_table, second_table = ours.table, side
    if set(class_columns(first_table)) != set(class_columns(side)):
        if class_columns(first_table) and class_columns(side):
            raise UserError(
                f"the two models know different conditions: "
                f"{_apart(class_columns(first_table), class_columns(side))}. Only models of the "
                "same conditions can be compared."
            )
        notes.append("Only one of the models gives probabilities: labels alone are compared.")
        first_table = _without_probabilities(first_table)
        second_table = _without_probabilities(side)
    left, right = _same_classes(first_table, second_table)
    return Pair(left, right, (*ours.notes, *notes))


def _same_classes(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Scored, Scored]:
    """Both scored, over the classes of either, in one order."""
    names = class_columns(first)
    if names:
        columns = [PROBABILITY + name for name in names]
        others = [name for name in second if not str(name).startswith(PROBABILITY)]
        left, right = scored(first), scored(second[[*others, *columns]])
        return left, replace(right, clusters=left.clusters)
    left, right = scored(first), scored(second)
    every = tuple(sorted(set(left.class_names) | set(right.class_names)))
    return _over(left, every), replace(_over(right, every), clusters=left.clusters)


def _over(rows: Scored, class_names: tuple[str, ...]) -> Scored:
    index = pd.Index(class_names).get_indexer(pd.Index(rows.class_names))
    return replace(
        rows,
        class_names=class_names,
        label_idx=index[rows.label_idx],
        pred_idx=index[rows.pred_idx],
    )


def _without_probabilities(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if not str(name).startswith(PROBABILITY)]]


def _check_labels(ours: pd.DataFrame, theirs: pd.DataFrame, other: str) -> None:
    if "label" not in theirs:
        return
    clash = theirs["label"].notna() & (theirs["label"] != ours["label"])
    if clash.any():
        raise UserError(
            f"the first and {other} give photos different labels, so at least one of them is out "
            f"of step: {some(ours['image_id'][clash])}."
        )


def _apart(first: list[str], second: list[str]) -> str:
    only = sorted(set(first) ^ set(second))
    return ", ".join(only[:3]) + (" …" if len(only) > 3 else "")
