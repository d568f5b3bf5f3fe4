"""Whether a split is free of leaks: no group of photos that belong together on two of its sides.

A model that trained on one photo of a lesion knows the others; scored on them it looks better than
it is on new people. `group_id` says which photos belong together (see `inspection.grouping`).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ajl_tf.assessment.tables import some
from ajl_tf.dataset.tables import read_table
from ajl_tf.errors import UserError, listed

COLUMNS = ("group_id", "image_id", "side")
_SIDES = ("split", "fold")


def has_sides(table: pd.DataFrame) -> bool:
    """Whether a table says on which side of a split a photo stands."""
    return any(name in table for name in _SIDES)


def find_leaks(manifest: pd.DataFrame, split: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lists every photo of every group that stands on more than one side of a split.

    Args:
        manifest: Columns `image_id, group_id`; without the next argument also `split` or `fold`, or
            both: then each is checked.
        split: `image_id` and `split` or `fold`, as `make_split` and `read_split` return them. What
            the manifest says of sides then does not count.

    Returns:
        `group_id, image_id, side`, groups and their photos in order; side is "train", "validation",
        "test" or "fold 0", "fold 1", …. No row: no leak. Photos without a side (such as the
        competition's test photos) and without a group_id leak nowhere.

    Raises:
        UserError: There is no such column, or the split names photos that the manifest lacks.
    """
    rows = _sided(manifest, split)
    groups = rows.groupby(["group_id", "by"])["side"]
    leaking = rows[groups.transform("nunique") > 1]
    found = leaking.sort_values(["group_id", "by", "side", "image_id"], ignore_index=True)
    return found[list(COLUMNS)]


def leak_statement(
    leaks: pd.DataFrame, manifest: pd.DataFrame, split: pd.DataFrame | None = None
) -> str:
    """Says in a sentence what `find_leaks` found in the same manifest and split.

    Args:
        leaks: Its answer.
        manifest: As it was given.
        split: As it was given.
    """
    rows = _sided(manifest, split)
    sides = ", ".join(rows["side"].drop_duplicates().sort_values())
    of = f"{rows['image_id'].nunique():,} photos in {rows['group_id'].nunique():,} groups ({sides})"
    if leaks.empty:
        return f"No group stands on two sides: {of}."
    groups, photos = leaks["group_id"].nunique(), leaks["image_id"].nunique()
    stand = "group stands" if groups == 1 else "groups stand"
    return f"{groups:,} {stand} on more than one side, with {photos:,} photos, of {of}."


def read_split(path: Path) -> pd.DataFrame:
    """Reads a split file of any scheme, to check it for leaks.

    Args:
        path: CSV with `image_id` and `split` or `fold`.

    Returns:
        Its rows, as text.

    Raises:
        UserError: It is no such file, or a cell is empty, or a photo stands there twice.
    """
    table, problems = read_table(path)
    named = [name for name in _SIDES if name in table]
    if not problems and ("image_id" not in table or not named):
        received = ", ".join(table.columns)
        problems = [
            f"{path} is no split: expected image_id and split or fold. Received: {received}"
        ]
    if not problems:
        problems = [
            f"{path}: {what}: {some(table['image_id'][rows])}"
            for what, rows in (
                ("photos that stand there twice", table["image_id"].duplicated()),
                ("photos without a side", (table[named] == "").any(axis=1)),
            )
            if rows.any()
        ]
    if problems:
        raise UserError(f"The split cannot be read:\n{listed(problems)}")
    return table[["image_id", *named]].reset_index(drop=True)


def _sided(manifest: pd.DataFrame, split: pd.DataFrame | None) -> pd.DataFrame:
    """`image_id, group_id, by, side`: a row for each photo and each way it is put on a side."""
    rows = manifest if split is None else _joined(manifest, split)
    named = [name for name in _SIDES if name in rows]
    missing = [name for name in ("image_id", "group_id") if name not in rows]
    if missing or not named:
        lacks = missing or ["split", "fold"]
        raise UserError(
            f"leaks cannot be looked for: there is no column {' or '.join(lacks)}. Expected "
            f"image_id, group_id, and split or fold. Received: {', '.join(rows.columns)}."
        )
    parts = []
    for name in named:
        known = rows[rows[name].notna() & rows["group_id"].notna()]
        side = known[name].astype("str")
        if name == "fold":
            side = "fold " + side.str.removesuffix(".0")  # a whole number beside empty cells
        parts.append(known[["image_id", "group_id"]].assign(by=name, side=side))
    return pd.concat(parts, ignore_index=True)


def _joined(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    lost = split["image_id"][~split["image_id"].isin(manifest["image_id"])]
    if len(lost):
        raise UserError(
            f"the split names photos that the data does not have: {some(lost)}. Give the data that "
            "it was drawn for."
        )
    return manifest.drop(columns=[*_SIDES], errors="ignore").merge(split, on="image_id")
