"""What must hold for predictions to be scored: a wrong table is named, never scored wrongly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ajl_tf.assessment.metrics import Bools, Floats
from ajl_tf.assessment.tables import some
from ajl_tf.errors import UserError, listed

PROBABILITY = "prob_"
SPLITS = ("train", "validation", "test")
UNKNOWN_TONE = -1
TONES = (1, 2, 3, 4, 5, 6, UNKNOWN_TONE)
_FOLDS = 2**31  # more than there are photos
_EDGE = 1e-6  # float32 rounding, of an average for example
SUM_TOLERANCE = 0.005  # probabilities rounded to four decimals, of up to a hundred classes


def class_columns(predictions: pd.DataFrame) -> list[str]:
    """The labels that have a column of probabilities, in the order of the columns."""
    return [
        name.removeprefix(PROBABILITY)
        for name in predictions.columns
        if name.startswith(PROBABILITY) and name != PROBABILITY
    ]


def checked(predictions: pd.DataFrame, where: str) -> pd.DataFrame:
    """Gives the columns their types and checks what they say.

    Args:
        predictions: At least `image_id, predicted`; cells may be text.
        where: Named in the message: a file, or what made the table.

    Returns:
        The same rows and columns: probabilities float32, `skin_tone` int (-1 for a missing one),
        `fold` Int64, the other named columns str.

    Raises:
        UserError: All problems of the table in one list.
    """
    missing = [name for name in ("image_id", "predicted") if name not in predictions.columns]
    if missing:
        raise UserError(
            f"{where}: missing column {', '.join(missing)}. Needed are image_id and predicted (the "
            "label the model gave); label, prob_<label>, skin_tone, split, fold and group_id are "
            f"read where present. Received: {', '.join(predictions.columns) or 'no columns'}."
        )
    if predictions.empty:
        raise UserError(f"{where}: no rows; at least one prediction was expected.")
    table, problems = _typed(predictions.reset_index(drop=True))
    problems += _id_problems(table)
    problems += _word_problems(table)
    problems += _probability_problems(table)
    if problems:
        raise UserError(
            f"{where}: {len(problems)} problem{'s' if len(problems) > 1 else ''} "
            f"in {len(table):,} rows; nothing was scored.\n{listed(problems)}"
        )
    return table


def _typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    table, problems = table.copy(), []
    for name in ("image_id", "label", "predicted", "split", "group_id"):
        if name in table:
            table[name] = table[name].astype("str").where(table[name].notna())
    for name in [PROBABILITY + label for label in class_columns(table)]:
        # float32 whatever the source, so that a file and the array it came from score the same
        table[name] = pd.to_numeric(table[name], errors="coerce").astype("float32")
    if "skin_tone" in table:
        tone = pd.to_numeric(table["skin_tone"], errors="coerce")
        tone = tone.mask(table["skin_tone"].isna(), UNKNOWN_TONE)
        wrong = ~tone.isin(TONES)
        if wrong.any():
            received = ", ".join(sorted(set(table["skin_tone"][wrong].astype("str")))[:5])
            problems.append(
                f"skin_tone must be 1 to 6, or -1 or empty for unknown: "
                f"{some(table['image_id'][wrong])}. Received: {received}"
            )
        table["skin_tone"] = tone.where(~wrong, UNKNOWN_TONE).astype("int64")
    if "fold" in table:
        fold = pd.to_numeric(table["fold"], errors="coerce").astype("float64")
        wrong = table["fold"].notna() & ~((fold >= 0) & (fold % 1 == 0) & (fold < _FOLDS))
        if wrong.any():
            problems.append(f"fold must be 0, 1, 2, …: {some(table['image_id'][wrong])}")
        table["fold"] = fold.mask(wrong).astype("Int64")
    return table, problems


def _id_problems(table: pd.DataFrame) -> Iterator[str]:
    ids = table["image_id"]
    if ids.isna().any():
        yield f"image_id is empty: row {some(pd.Series(np.flatnonzero(ids.isna()) + 1))}"
    repeated = ids[ids.duplicated() & ids.notna()].drop_duplicates()
    if len(repeated):
        rows = int(ids.isin(repeated).sum())
        names = ", ".join(repeated.iloc[:3]) + (" …" if len(repeated) > 3 else "")
        yield f"{len(repeated)} image_id(s) occur more than once, in {rows} rows: {names}"


def _word_problems(table: pd.DataFrame) -> Iterator[str]:
    empty = table["predicted"].isna()
    if empty.any():
        yield f"predicted is empty: {some(table['image_id'][empty])}"
    if "split" in table:
        wrong = table["split"].notna() & ~table["split"].isin(SPLITS)
        if wrong.any():
            received = ", ".join(sorted(set(table["split"][wrong]))[:5])
            yield (
                f"split must be one of {', '.join(SPLITS)}: {some(table['image_id'][wrong])}. "
                f"Received: {received}"
            )
    classes = class_columns(table)
    for column in ("label", "predicted") if classes else ():
        if column in table:
            wrong = table[column].notna() & ~table[column].isin(classes)
            for name, rows in table["image_id"][wrong].groupby(table[column][wrong]):
                yield f"{column} {name!r} has no column {PROBABILITY}{name}: {some(rows)}"


def _probability_problems(table: pd.DataFrame) -> Iterator[str]:
    classes = class_columns(table)
    if not classes:
        return
    ids = table["image_id"]
    columns = [PROBABILITY + label for label in classes]
    values: Floats = table[columns].to_numpy(np.float64)  # (N, C)
    lowest, highest = values.min(axis=1), values.max(axis=1)  # NaN where any is
    absent: Bools = np.isnan(lowest)
    if absent.any():
        yield f"a probability is empty, NaN or not a number: {some(ids[absent])}"
    outside: Bools = (lowest < -_EDGE) | (highest > 1 + _EDGE)
    if outside.any():
        yield f"a probability is outside [0, 1] (logits?): {some(ids[outside])}"
    fine = ~absent & ~outside
    with np.errstate(invalid="ignore"):  # infinities are already reported
        total = values.sum(axis=1)
    off: Bools = fine & (np.abs(total - 1) > SUM_TOLERANCE)
    if off.any():
        yield (
            f"the {len(classes)} probabilities do not sum to 1 ± {SUM_TOLERANCE} (is a class "
            f"missing?): {some(ids[off])}. Received: a sum of {total[off][0]:.4g} in the first"
        )
    position = pd.Index(classes).get_indexer(pd.Index(table["predicted"]))
    given = values[np.arange(len(table)), position]
    wrong: Bools = fine & (position >= 0) & (given < highest)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        yield (
            f"predicted is not the most probable class: {some(ids[wrong])}. Received: "
            f"{table['predicted'][first]!r} in the first, where "
            f"{classes[int(values[first].argmax())]!r} is more probable (rows out of step?)"
        )
