"""Splits: who trains, who validates; drawn once, kept in a file, shared by experiments.

A split file is a CSV with a row for each labelled photo: `image_id,split` (train, validation, test)
or `image_id,fold` (0 to k - 1). How photos are dealt to the parts: `ajl_tf.dataset.stratify`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.dataset.manifest import labelled
from ajl_tf.dataset.stratify import deal
from ajl_tf.dataset.tables import read_table, told
from ajl_tf.errors import UserError, listed
from ajl_tf.files import atomic_path

PARTS = ("train", "validation", "test")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SLACK = 0.05  # how far a share may be from its scheme's before the file counts as another's


def parse_scheme(scheme: str) -> tuple[str, tuple[int, ...]]:
    """Reads a scheme such as "80/10/10", "80/20" or "5 folds".

    Returns:
        The column that a split of this scheme has ("split" or "fold"), and each part's share as a
        whole number: percent of train, validation and perhaps test, or 1 for each fold.

    Raises:
        UserError: It is neither.
    """
    text = scheme.strip()
    if match := re.fullmatch(r"(\d{1,4})\s*folds", text):
        if int(match[1]) >= 2:
            return "fold", (1,) * int(match[1])
    elif re.fullmatch(r"\d+(/\d+){1,2}", text):
        shares = tuple(int(share) for share in text.split("/"))
        if sum(shares) == 100 and min(shares) > 0:
            return "split", shares
    raise UserError(
        f"split.scheme {scheme!r} is no scheme. Expected whole percentages above 0 that add up to "
        '100, of train/validation ("80/20") or train/validation/test ("80/10/10"), or a number of '
        'folds from 2 ("5 folds").'
    )


def make_split(manifest: pd.DataFrame, scheme: str, seed: int) -> pd.DataFrame:
    """Draws a split, stratified by label and then tone; a group is never divided.

    Args:
        manifest: Columns `image_id, label, skin_tone, group_id`. Rows without a label are left
            out. The order of the rows has no influence.
        scheme: As `parse_scheme` reads it.
        seed: Another seed deals other photos to the same shares.

    Returns:
        A row for each labelled photo, sorted by `image_id`, with `split` (train, validation, test)
        or `fold` (0 to k - 1).

    Raises:
        UserError: The scheme is none, or no photo has a label.
    """
    column, shares = parse_scheme(scheme)
    rows = labelled(manifest).sort_values("image_id", ignore_index=True)
    if rows.empty:
        raise UserError("No photo of the data has a label, so there is nothing to split.")
    part = deal(rows, shares, seed, train_first=column == "split")
    values = np.array(PARTS)[part] if column == "split" else part
    return pd.DataFrame({"image_id": rows["image_id"], column: values})


def inner_split(rows: pd.DataFrame, fraction: float, seed: int) -> np.ndarray:
    """Holds out some of a fold's training rows, to choose epochs and thresholds by.

    Args:
        rows: Labelled rows of a manifest.
        fraction: Share to hold out, above 0 and below 1.
        seed: As for `make_split`; the same algorithm and the same promises.

    Returns:
        bool (len(rows),): True where a row is held out, in the order of `rows`.
    """
    share = Fraction(fraction).limit_denominator(1000)
    if not 0 < share < 1:
        raise ValueError(f"`fraction` must lie between 0.001 and 0.999. Received: {fraction}")
    shares = (share.denominator - share.numerator, share.numerator)
    held_out: np.ndarray = deal(rows, shares, seed, train_first=True) == 1
    return held_out


def load_or_make_split(
    folder: Path, name: str, manifest: pd.DataFrame, scheme: str, seed: int
) -> pd.DataFrame:
    """Reads the split `<folder>/<name>.csv`, or draws and writes it where there is none.

    A split that exists is never drawn again, whatever the seed; it must fit the manifest. One that
    divides groups is read as it is, so that scores on another's split can be compared: whoever
    uses it looks for its leaks (`inspection.leaks`).

    Returns:
        As `make_split`.

    Raises:
        UserError: The name or the scheme is none, or the file does not fit the manifest or the
            scheme: all problems at once.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"split.name {name!r} is no plain file name. Expected letters, digits, '_', '-', '.'."
        )
    path = folder / f"{name}.csv"
    parse_scheme(scheme)
    if not path.exists():
        split = make_split(manifest, scheme, seed)
        try:
            with atomic_path(path, overwrite=False) as temporary:
                split.to_csv(temporary, index=False, lineterminator="\n")
        except UserError:
            if not path.exists():
                raise
            # Another process was quicker; its split counts for both.
    return _read_split(path, manifest, scheme)


def _read_split(path: Path, manifest: pd.DataFrame, scheme: str) -> pd.DataFrame:
    table, problems = read_table(path)
    column, shares = parse_scheme(scheme)
    rows = labelled(manifest).sort_values("image_id", ignore_index=True)
    names = PARTS[: len(shares)] if column == "split" else tuple(map(str, range(len(shares))))
    if not problems and set(table) != {"image_id", column}:
        received = ", ".join(map(str, table))
        problems = [f'{path}: "{scheme}" needs image_id, {column}. Received: {received}.']
    problems = problems or _file_problems(path, table, names, rows["image_id"])
    if not problems:
        split = table.sort_values("image_id", ignore_index=True)[["image_id", column]]
        split = split.astype({column: np.int64}) if column == "fold" else split
        problems = _share_problems(path, split[column], scheme, rows)
    if problems:
        raise UserError(
            f"The split {path} does not fit this experiment:\n{listed(problems)}\n"
            "A split is never drawn again. Set another split.name to draw a new one, or the data "
            "and the split.scheme that this one was drawn for."
        )
    return split


def _file_problems(
    path: Path, table: pd.DataFrame, allowed: Sequence[str], ids: pd.Series
) -> list[str]:
    """What is wrong with single rows of a split file, and which photos it lacks."""
    column = next(name for name in table if name != "image_id")
    known = set(ids)
    expected = ", ".join(allowed)
    found: dict[str, list[str]] = {"a duplicate id": [], "an unknown id": [], "such a value": []}
    seen: set[str] = set()
    for line, image_id, value in zip(table.index, table["image_id"], table[column], strict=True):
        if image_id in seen:
            found["a duplicate id"].append(f"row {line}: image_id {image_id!r} stands there twice.")
        elif image_id not in known:
            found["an unknown id"].append(
                f"row {line}: image_id {image_id!r} is no labelled photo of the data."
            )
        if value not in allowed:
            found["such a value"].append(
                f"row {line}: {column} is {value!r}. Expected one of {expected}."
            )
        seen.add(image_id)
    absent = [f"has no row for image_id {image_id!r}." for image_id in ids if image_id not in seen]
    return told(path, {**found, "photos of the data, which it lacks": absent})


def _share_problems(path: Path, values: pd.Series, scheme: str, rows: pd.DataFrame) -> list[str]:
    """Whether the parts are about as large as the scheme, and whole groups, would have them."""
    column, shares = parse_scheme(scheme)
    names = PARTS[: len(shares)] if column == "split" else tuple(range(len(shares)))
    held = np.array([(values == name).sum() for name in names])
    groups = rows["group_id"].value_counts()
    is_fold_missing = column == "fold" and (held > 0).sum() < min(len(shares), len(groups))
    off = np.abs(held / len(rows) - np.array(shares) / sum(shares)).max()
    if off > _SLACK and not is_fold_missing:  # few or large groups: compare with what can be had
        other = make_split(rows, scheme, seed=0)[column]
        drawn = np.array([(other == name).sum() for name in names])
        off = (np.abs(held - drawn).max() - 2 * groups.max()) / len(rows)
    if off <= _SLACK and not is_fold_missing:
        return []
    sizes = ", ".join(f"{name}: {size:,}" for name, size in zip(names, held, strict=True))
    return [f'{path} holds {sizes} photos, which is not "{scheme}".']
