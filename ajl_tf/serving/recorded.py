"""What a user knows of the photos to predict, as the inputs of a SavedModel that takes metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.predictions import read_manifest_columns
from ajl_tf.dataset.metadata import cells_of, number_faults
from ajl_tf.errors import UserError, listed

_SHOWN = 3


def columns_taken(model: Any) -> list[dict[str, Any]]:
    """`name`, `kind` and `values` of each column that a loaded SavedModel takes beside photos."""
    if not hasattr(model, "metadata_columns"):
        return []
    return [json.loads(text) for text in model.metadata_columns.numpy()]


def with_table(rows: pd.DataFrame, path: Path, columns: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Photos with what a CSV records of them; where it says something, that counts.

    Args:
        rows: N photos, `image_id`.
        path: CSV with `image_id` or `md5hash`, and columns that the model takes.
        columns: Of the model.

    Raises:
        UserError: The model takes no metadata; the file has no such column, a photo twice, or none
            of these photos.
    """
    if not columns:
        raise UserError(
            "--metadata: the model takes nothing but the photo. Leave it out, or train with "
            "model.metadata."
        )
    table = read_manifest_columns(path)
    cells = {column["name"]: cells_of(table, column["name"]) for column in columns}
    if all(each is None for each in cells.values()):
        raise UserError(
            f"{path} has none of the columns that the model takes: {', '.join(cells)}. "
            f"Received: {', '.join(table.columns)}."
        )
    ids = pd.Index(table["image_id"])
    if ids.has_duplicates:
        twice = ids[ids.duplicated()].unique()
        shown = ", ".join(map(str, twice[:_SHOWN]))
        raise UserError(f"{path}: {len(twice)} image_id stand there more than once, as {shown}.")
    place = ids.get_indexer(pd.Index(rows["image_id"]))
    if (place < 0).all():
        raise UserError(
            f"{path} has none of the {len(rows):,} photos. Its image_id look like {ids[0]!r}, "
            f"theirs like {rows['image_id'].iloc[0]!r}."
        )
    for name, each in cells.items():
        own = cells_of(rows, name)
        if each is not None:
            found = pd.Series(np.where(place < 0, "", each.to_numpy()[place]), index=rows.index)
            rows = rows.assign(**{name: found if own is None else found.where(found != "", own)})
    return rows


def texts_of(rows: pd.DataFrame, columns: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The cells `(N,)` of each column, "" where unknown; of a column that is not there all.

    Raises:
        UserError: A number has cells that are none.
    """
    texts, problems = {}, []
    for column in columns:
        name = column["name"]
        cells = cells_of(rows, name)
        texts[name] = np.full(len(rows), "", object) if cells is None else cells.to_numpy(object)
        if cells is None or column["kind"] != "number":
            continue
        faults = number_faults(cells)
        if len(faults):
            shown = ", ".join(map(repr, faults.unique()[:_SHOWN]))
            problems.append(f"{name}: {len(faults)} cells are no numbers, as {shown}")
    if problems:
        raise UserError(
            f"the photos' metadata cannot be used:\n{listed(problems)}\n"
            "Mend these cells, or empty them: unknown is allowed."
        )
    return texts


def known_words(
    rows: pd.DataFrame, columns: Sequence[dict[str, Any]], texts: dict[str, np.ndarray]
) -> Iterator[str]:
    """A line for each column: for how many photos it is known, and what no network has seen."""
    for column in columns:
        name, cells = column["name"], pd.Series(texts[column["name"]])
        if cells_of(rows, name) is None:
            yield f"{name}: no such column; unknown for all photos"
            continue
        known = cells[cells != ""]
        strange = (
            known.iloc[:0] if column["kind"] == "number" else known[~known.isin(column["values"])]
        )
        line = f"{name}: known for {len(known) - len(strange):,} of {len(cells):,} photos"
        if len(strange):
            shown = ", ".join(map(repr, strange.unique()[:_SHOWN]))
            line += f"; {len(strange):,} have a value that no training photo had, as {shown}"
        yield line
