"""A table of photos -> its predictions, batch by batch, as a SavedModel answers them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.predictions import make_predictions, prediction_lines
from ajl_tf.errors import UserError
from ajl_tf.progress import ProgressLine
from ajl_tf.serving import savedmodel
from ajl_tf.serving.batch import Answers
from ajl_tf.serving.savedmodel import class_names
from ajl_tf.serving.unfinished import Batch, UnderWay

_SECONDS = 1.0  # of answers are written at once: a table of few rows costs what one of many does


def empty_table(rows: pd.DataFrame, model: Any, source: Path) -> pd.DataFrame:
    """The columns that the predictions of all rows have.

    Raises:
        UserError: A label that the model does not know, or a split that is none.
    """
    names = class_names(model)
    told = [name for name in ("label", "split", "fold") if name in rows]
    # A row of each kind, before the first photo is read rather than after hours of them.
    kinds = rows.drop_duplicates(told) if told else rows[:1]
    anything = np.full((len(kinds), len(names)), 1 / len(names))
    try:
        table = make_predictions(kinds, names, anything)[:0]
    except UserError as error:
        raise UserError(
            f"{source} does not go with the model. Mend these columns, or delete them: to predict, "
            f"they are not needed.\n{error}"
        ) from None
    if "unlike" in model.signatures["serving_default"].structured_outputs:
        table["unlike"] = np.empty(0, np.float32)
    return table


def about(folder: Path, rows: pd.DataFrame, header: str, *, bfloat16: bool) -> dict[str, str]:
    """What predictions are of: which SavedModel's, of which photos, with which columns, and how."""
    each = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return {
        "model": savedmodel.digest(folder),
        "photos": hashlib.sha256(each.tobytes()).hexdigest(),
        "columns": header,
        "precision": "bfloat16" if bfloat16 else "float32",
    }


def write_answers(
    model: Any,
    rows: pd.DataFrame,
    empty: pd.DataFrame,
    answered: Iterable[Answers],
    written: UnderWay,
) -> None:
    """Writes what is answered of the rows that are not done.

    Args:
        model: The SavedModel.
        rows: All photos.
        empty: Their columns, from `empty_table`.
        answered: Answers to the photos behind the first `written.photos`.
        written: Where they go.
    """
    names, skipped = class_names(model), written.photos
    line = ProgressLine(len(rows), "predicting")
    for batches in _by_time(answered):
        lines, strange = "", 0
        if positions := [skipped + row for answers in batches for row in answers.rows]:
            probabilities = np.concatenate([answers.probabilities for answers in batches])
            table = make_predictions(rows.iloc[positions], names, probabilities)
            if "unlike" in empty:
                table["unlike"] = np.concatenate([answers.unlike for answers in batches])
                strange = int((table["unlike"] > model.unlike_threshold.numpy()).sum())
            table = table.reindex(columns=empty.columns)  # labels may be missing from a batch
            lines = prediction_lines(table, header=False)
        errors = [(skipped + row, reason) for answers in batches for row, reason in answers.errors]
        written.add(lines, Batch(len(positions) + len(errors), strange, errors))
        line.update(written.photos)
    line.close(written.photos)


def _by_time(answered: Iterable[Answers]) -> Iterator[list[Answers]]:
    """Answers of about as many seconds together; a slow network's, each by itself."""
    batches: list[Answers] = []
    since = time.monotonic()
    try:
        for answers in answered:
            batches.append(answers)
            if time.monotonic() - since >= _SECONDS:
                done, batches, since = batches, [], time.monotonic()
                yield done
    except BaseException:
        if batches:  # what is answered is written, whatever ended the answering
            yield batches
        raise
    if batches:
        yield batches
