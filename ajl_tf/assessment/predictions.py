"""predictions.csv, the narrow waist: what a model said, one row a photo, from any framework.

Columns: `image_id, predicted`, and where known `label`, `prob_<label>` (by name, in any order),
`skin_tone` (1 to 6, -1 unknown), `split`, `fold` (the one that held the row out) and `group_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.assessment.checks import PROBABILITY, UNKNOWN_TONE, checked
from ajl_tf.assessment.tables import read_table, some
from ajl_tf.errors import UserError, listed
from ajl_tf.files import write_text

_COMPETITION = {"md5hash": "image_id", "fitzpatrick_scale": "skin_tone"}


def make_predictions(
    manifest_rows: pd.DataFrame, class_names: Sequence[str], probabilities: np.ndarray
) -> pd.DataFrame:
    """Puts a model's probabilities beside the manifest rows they belong to.

    Args:
        manifest_rows: N rows with `image_id`, in the order of `probabilities`; `label`,
            `skin_tone`, `split`, `fold` and `group_id` are taken along where present.
        class_names: C labels, in the order of the columns of `probabilities`.
        probabilities: (N, C), in [0, 1], rows sum to one.

    Returns:
        The table of predictions; `predicted` is the argmax (of a tie, the first class).

    Raises:
        UserError: Probabilities that are NaN, outside [0, 1] or do not sum to one; a label that is
            no class; a duplicate id.
    """
    if probabilities.shape != (len(manifest_rows), len(class_names)):
        raise ValueError(
            f"probabilities must have a row for each of {len(manifest_rows)} photos and a column "
            f"for each of {len(class_names)} classes. Received: shape {probabilities.shape}."
        )
    rows = manifest_rows.reset_index(drop=True)
    values = probabilities.astype(np.float32)
    names = np.asarray(class_names, dtype=object)
    columns: dict[str, object] = {"image_id": rows["image_id"]}
    if "label" in rows and rows["label"].notna().any():
        columns["label"] = rows["label"]
    columns["predicted"] = names[values.argmax(axis=1)]
    columns |= {f"{PROBABILITY}{name}": values[:, i] for i, name in enumerate(class_names)}
    columns |= {k: rows[k] for k in ("skin_tone", "split", "fold", "group_id") if k in rows}
    return checked(pd.DataFrame(columns), "the model's predictions")


def write_predictions(path: str | Path, predictions: pd.DataFrame) -> None:
    """Writes predictions.csv, whole or not at all, over one that exists.

    Probabilities are written with the digits that give back the same float32.
    """
    write_text(path, prediction_lines(predictions, header=True))


def prediction_lines(predictions: pd.DataFrame, *, header: bool) -> str:
    """The lines of a predictions.csv, with or without the first: for writing it piece by piece."""
    text = predictions.copy()
    for name in text.columns:
        if text[name].dtype == np.float32:
            text[name] = [str(value) for value in text[name].to_numpy()]
    lines: str = text.to_csv(index=False, header=header, lineterminator="\n")
    return lines


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Reads and checks a predictions.csv; only `image_id` and `predicted` must be there.

    A submission to the competition (`md5hash,label` and nothing else) is read as its predictions.

    Raises:
        UserError: All that is wrong with the file: a missing column, no rows, duplicate ids, an
            unknown tone or split, a label without its column of probabilities, probabilities that
            are NaN, outside [0, 1] or off a sum of one by more than `SUM_TOLERANCE`, a `predicted`
            that is not (one of) the most probable.
    """
    table = read_table(path)
    if set(table.columns) == {"md5hash", "label"}:
        table = table.rename(columns={"label": "predicted"})
    return checked(_renamed(table), str(path))


def read_manifest_columns(path: str | Path) -> pd.DataFrame:
    """Reads a manifest CSV, or the competition's train.csv; the photos need not be there.

    Returns:
        All columns as text; `md5hash` and `fitzpatrick_scale` are called `image_id` and
        `skin_tone` unless those are there too.

    Raises:
        UserError: Not a CSV with `image_id` and something to join or divide by.
    """
    table = _renamed(read_table(path))
    if "image_id" not in table or len(table.columns) < 2:
        raise UserError(
            f"{path}: a manifest has image_id (or md5hash) and at least one other column: label, "
            f"skin_tone, group_id, … Received: {', '.join(table.columns)}."
        )
    return table


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    names = {old: new for old, new in _COMPETITION.items() if new not in table}
    return table.rename(columns=names)


def join_manifest(
    predictions: pd.DataFrame, manifest: pd.DataFrame, columns: Sequence[str] = ()
) -> pd.DataFrame:
    """Adds `label`, `skin_tone` and `group_id` to the predictions, matched by `image_id`.

    A label or tone that both tables know must agree; the manifest's `group_id` replaces the other.
    Manifest rows without a prediction are left out: a split is a part of a manifest.

    Args:
        predictions: As `read_predictions` returns them.
        manifest: With `image_id`.
        columns: Others to add, where the manifest has them; the same holds as for a label.

    Raises:
        UserError: A prediction that the manifest does not have, a duplicate id in the manifest, or
            values that contradict each other; never a row dropped.
    """
    manifest = manifest.reset_index(drop=True)
    ids = manifest["image_id"].astype("str")
    repeated = ids[ids.duplicated()].drop_duplicates()
    if len(repeated):
        raise UserError(
            f"the manifest has {len(repeated)} image_id(s) more than once: "
            f"{', '.join(repeated.iloc[:3])}. Each photo must have one row."
        )
    position = pd.Index(ids).get_indexer(pd.Index(predictions["image_id"]))
    lost = predictions["image_id"][position < 0]
    if len(lost):
        raise UserError(
            f"{len(lost):,} of {len(predictions):,} predictions have no row in the manifest: "
            f"{some(lost)}. The manifest's {len(ids):,} ids look like {ids.iloc[0]}. Give the "
            "manifest that these photos came from."
        )
    joined, problems = predictions.copy(), []
    for name in dict.fromkeys(("label", "skin_tone", "group_id", *columns)):
        if name not in manifest:
            continue
        theirs = _known(manifest[name]).iloc[position].reset_index(drop=True)
        if name in predictions and name != "group_id":
            ours = _known(predictions[name]).reset_index(drop=True)
            clash = (ours.notna() & theirs.notna() & (ours != theirs)).to_numpy(bool)
            if clash.any():
                problems.append(f"{name}: {some(predictions['image_id'][clash])}")
            theirs = ours.where(ours.notna(), theirs)
        joined[name] = theirs.to_numpy()
    if problems:
        raise UserError(
            "predictions and manifest contradict each other (rows out of step, or another "
            f"data set?):\n{listed(problems)}"
        )
    return checked(joined, "predictions joined with the manifest")


def _known(values: pd.Series) -> pd.Series:
    """Values as text, with an unknown skin tone missing as an empty cell is."""
    numbers = pd.to_numeric(values, errors="coerce") if values.name == "skin_tone" else None
    if numbers is None:
        return values.astype("str").where(values.notna())
    text = values.astype("str").mask(numbers.notna(), numbers.map("{:g}".format))
    return text.where(values.notna() & (numbers != UNKNOWN_TONE))
