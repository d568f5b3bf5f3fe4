"""The manifest: one row a photo, from the competition's folder, its zip, or any CSV."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.dataset.formulas import harmless_texts, is_formula
from ajl_tf.dataset.groups import assign_groups, merge_groups
from ajl_tf.dataset.kaggle import GET_DATA, RENAMED, csv_files, is_competition, with_paths
from ajl_tf.dataset.tables import read_table, told
from ajl_tf.errors import UserError, listed

__all__ = ["COLUMNS", "assign_groups", "labelled", "merge_groups", "read_manifest"]

COLUMNS = ("image_id", "path", "label", "skin_tone", "group_id")
TONES = (-1, 1, 2, 3, 4, 5, 6)  # Fitzpatrick; -1: unknown
_CHECKED = ("image_id", "path", "label", "skin_tone")  # for faults; other texts are made harmless
_PROBLEMS_SHOWN = 60
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # a line feed is quoted by any CSV writer
_FILE, _LINE = " file", " line"  # no column of a CSV is so named: names are stripped


def read_manifest(sources: Sequence[str | Path], *, labels: bool = True) -> pd.DataFrame:
    """Reads photos, labels and skin tones from one or more sources into one table.

    Args:
        sources: Each is the competition's folder, its zip, a folder that holds just that zip, its
            train.csv or test.csv alone, or a CSV with `image_id, path, label` and optionally
            `skin_tone` (1 to 6; -1 or empty: unknown) and `group_id`. A relative `path` starts at
            the CSV's folder.
        labels: Whether a CSV with `image_id, path` must have `label`, filled in every row.

    Returns:
        A row a photo, in the order of the sources, with a RangeIndex and the columns
        `image_id` (unique), `path` (absolute, existing), `label` (as in the CSV; NA in the
        competition's test.csv), `skin_tone` (int; 1 to 6, -1 unknown), `group_id` (see
        `assign_groups`), then every other column as text, NA where it is empty, with an apostrophe
        before what a spreadsheet would run as a formula.

    Raises:
        UserError: All problems of all sources at once, each with file, row and value.
    """
    if not sources:
        raise UserError(f"No data was named. {GET_DATA}")
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for source in sources:
        try:
            csvs = csv_files(Path(source).absolute())
        except UserError as error:
            problems.append(str(error))
            continue
        for csv in csvs:
            rows, found = _read_rows(csv, labels)
            parts += [] if rows.columns.empty else [rows]
            problems += found
    manifest = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if "image_id" in manifest:
        problems += _duplicates(manifest)
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise UserError(f"The data has {count}:\n{listed(problems, _PROBLEMS_SHOWN)}")
    manifest = assign_groups(manifest.drop(columns=[_FILE, _LINE]))
    return manifest[[*COLUMNS, *(name for name in manifest if name not in COLUMNS)]]


def labelled(manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a label, renumbered from 0."""
    return manifest[manifest["label"].notna()].reset_index(drop=True)


def _read_rows(csv: Path, labels_needed: bool) -> tuple[pd.DataFrame, list[str]]:
    """One CSV as rows of the manifest, with `file` and `line`, and its problems."""
    table, problems = read_table(csv)
    if table.columns.empty:
        return table, problems
    competition = is_competition(table)
    expected = list(RENAMED) if competition else ["image_id", "path"]
    if csv.name == "train.csv" if competition else labels_needed:
        expected.append("label")
    missing = [name for name in expected if name not in table]
    clashing = [new for old, new in RENAMED.items() if competition and {old, new} <= set(table)]
    if competition and "path" in table:
        clashing.append("path")
    if missing or clashing:
        return pd.DataFrame(), [*problems, _columns_problem(csv, table, missing, clashing)]
    if competition:
        renamed = table.rename(columns=RENAMED)
        rows, unfound = with_paths(csv, renamed)
    else:
        rows, unfound = _with_absolute_paths(csv, table)
    problems += _cell_problems(csv, rows, competition, labels_needed)
    problems += unfound
    tones = rows["skin_tone"] if "skin_tone" in rows else pd.Series("", index=rows.index)
    labels = rows["label"] if "label" in rows else pd.Series("", index=rows.index, dtype=str)
    texts = rows.assign(label=labels).pipe(_with_line_feeds).pipe(harmless_texts, but=_CHECKED)
    rows = texts.mask(lambda cells: cells == "")
    rows["skin_tone"] = tones.map(lambda text: _tone(text) or -1).astype(np.int64)
    rows[_FILE] = str(csv)
    rows[_LINE] = rows.index
    return rows, problems


def _with_line_feeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Line breaks within cells as one: Python writes a lone \\r unquoted, which no reader takes."""
    if rows.empty:
        return rows
    broken = [str(name) for name in rows if rows[name].str.contains("\r", regex=False).any()]
    return rows.assign(**{n: rows[n].str.replace("\r\n?", "\n", regex=True) for n in broken})


def _with_absolute_paths(csv: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    folder, given_paths = str(csv.parent), table["path"].tolist()
    paths = [os.path.join(folder, given) for given in given_paths]  # noqa: PTH118 (maybe a million)
    files = cache(_files)
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for line, given, path in zip(table.index, given_paths, paths, strict=True):
        parent, name = os.path.split(path)
        if not given:
            problems["an empty path"].append(f"row {line}: path is empty. Expected a photo's path.")
        elif name not in files(parent):
            problems["no photo"].append(
                f"row {line}: there is no photo at path {given!r} ({path}). Paths are relative to "
                "the CSV's folder, or absolute. Put it there, or delete the row."
            )
    return table.assign(path=paths), told(csv, problems)


def _files(folder: str) -> frozenset[str]:
    """Names of the files in a folder, read in one go: far quicker than asking for each row."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except PermissionError:
        raise
    except OSError:  # no folder, or no name that a folder could have
        return frozenset()


def _columns_problem(
    csv: Path, table: pd.DataFrame, missing: Sequence[str], clashing: Sequence[str]
) -> str:
    received = ", ".join(table.columns)
    if clashing:
        return (
            f"{csv} has md5hash and also {', '.join(clashing)}: it is not clear which counts. "
            "Delete or rename one. Received: " + received + "."
        )
    comma = " Separate the columns by commas." if len(table.columns) == 1 else ""
    return (
        f"{csv} has no column {', '.join(missing)}. Expected image_id, path, label (and optionally "
        "skin_tone, group_id), or the competition's md5hash, fitzpatrick_scale, label."
        f"{comma} Received: {received}."
    )


def _cell_problems(
    csv: Path, rows: pd.DataFrame, competition: bool, labels_needed: bool
) -> list[str]:
    """Checks ids, labels and tones, each distinct value once."""
    shown = {new: old for old, new in RENAMED.items()} if competition else {}
    problems = {}
    for column, fault in _FAULTS.items():
        checked = column != "label" or competition or labels_needed
        if column in rows and checked:
            cells = rows[column]
            faults = {text: said for text in cells.unique() if (said := fault(text))}
            name = shown.get(column, column)
            problems[f"such a {name}"] = [
                f"row {line}: {name} {text!r} {faults[text]}"
                for line, text in cells[cells.isin(faults)].items()
            ]
    return told(csv, problems)


def _name_fault(text: str) -> str:
    if not text.strip():
        return "is empty. Fill it in, or delete the row."
    if text != text.strip():
        return "has spaces around it. Delete them."
    if is_formula(text):
        return "would be run as a formula by a spreadsheet that opens the predictions. Rename it."
    return "holds a control character. Delete it." if _CONTROL.search(text) else ""


def _path_fault(text: str) -> str:
    return "holds a carriage return, which no CSV keeps. Rename the file." if "\r" in text else ""


def _tone_fault(text: str) -> str:
    if _tone(text):
        return ""
    return "is no Fitzpatrick type. Expected 1 to 6, or -1 or an empty cell where it is unknown."


def _duplicates(manifest: pd.DataFrame) -> list[str]:
    """Rows whose image_id stands in an earlier row, of the same file or another."""
    rows = manifest.dropna(subset="image_id")
    again = rows[rows.duplicated("image_id")]
    first = rows[rows["image_id"].isin(again["image_id"])].drop_duplicates("image_id")
    places = first[_FILE] + " row " + first[_LINE].astype(str)
    where = dict(zip(first["image_id"], places, strict=True))
    problems = []
    for file, repeats in again.groupby(_FILE, sort=False):
        texts = [
            f"row {line}: image_id {image_id!r} is also {where[image_id]}. Delete or rename one."
            for line, image_id in zip(repeats[_LINE], repeats["image_id"], strict=True)
        ]
        problems += told(Path(str(file)), {"an image_id that stands elsewhere": texts})
    return problems


def _tone(text: str) -> int | None:
    """The tone that a cell means; None where it means none."""
    try:
        tone = float(text) if text else -1.0
    except ValueError:
        return None
    return int(tone) if tone in TONES else None


_FAULTS = {
    "image_id": _name_fault,
    "path": _path_fault,
    "label": _name_fault,
    "skin_tone": _tone_fault,
}
