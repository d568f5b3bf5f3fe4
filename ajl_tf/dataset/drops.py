"""Photos that an experiment leaves out of training, each with its reason.

A dropped photo trains nothing, and where the split scores photos it is scored like any other: what
is scored must not depend on what a model, or whoever reads its doubts, would rather not see. So
splits stay as they are, and experiments that drop different photos are scored on the same ones. A
photo that shall not be scored either does not belong in the data: take its row out of the CSV.
Copies of a dropped photo stay unless they are named as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.dataset.formulas import harmless
from ajl_tf.dataset.tables import read_table, told
from ajl_tf.errors import UserError, listed

REASON = "drop_reason"


def mark_dropped(manifest: pd.DataFrame, table: str | None, qc: Sequence[str]) -> pd.DataFrame:
    """Writes beside each photo that is dropped why it is.

    Args:
        manifest: Labelled photos; with `qc` also their column `qc`.
        table: CSV with `image_id` and `reason`, a photo a row; relative to the working directory.
        qc: Photos whose `qc` is one of these are dropped as well, with it as the reason.

    Returns:
        The manifest with `drop_reason`, NA where a photo is kept; without that column, even if the
        data had one, where nothing is asked for.

    Raises:
        UserError: All problems at once: no such file or columns, a photo that the data does not
            have or that stands there twice, a row without a reason, a `qc` that no photo has.
    """
    if table is None and not qc:
        return manifest.drop(columns=REASON, errors="ignore")
    rows, problems = (
        _read(Path(table).expanduser(), set(manifest["image_id"])) if table else ({}, [])
    )
    nothing = pd.Series(pd.NA, index=manifest.index, dtype="str")
    found = manifest.get("qc", nothing)
    problems += _qc_problems(found, qc)
    if problems:
        raise UserError(f"data.drop and data.drop_qc cannot be followed:\n{listed(problems)}")
    by_table = manifest["image_id"].map(rows).astype("str")
    by_qc = ("qc: " + found).where(found.isin(qc))
    reasons = (by_table + "; " + by_qc).fillna(by_table).fillna(by_qc)
    return manifest.assign(**{REASON: reasons})


def dropped(manifest: pd.DataFrame) -> np.ndarray:
    """Says of each row, bool (len(manifest),), whether `mark_dropped` marked it."""
    if REASON not in manifest:
        return np.zeros(len(manifest), dtype=bool)
    return manifest[REASON].notna().to_numpy(bool)


def _read(path: Path, known: set[str]) -> tuple[dict[str, str], list[str]]:
    """image_id -> reason, and what is wrong with the file."""
    table, problems = read_table(path)
    if table.columns.empty:
        return {}, problems
    missing = [name for name in ("image_id", "reason") if name not in table]
    if missing:
        received = ", ".join(table.columns)
        problem = (
            f"{path} has no column {', '.join(missing)}. Expected image_id, reason. Received: "
        )
        return {}, [*problems, problem + received]
    found: dict[str, list[str]] = {"no such photo": [], "a photo again": [], "no reason": []}
    reasons: dict[str, str] = {}
    for line, image_id, reason in zip(
        table.index, table["image_id"], table["reason"].str.strip(), strict=True
    ):
        row = f"row {line}: image_id {image_id!r}"
        if image_id not in known:
            found["no such photo"].append(f"{row} is no labelled photo of the data.")
        if image_id in reasons:
            found["a photo again"].append(f"{row} stands there twice.")
        if not reason:
            found["no reason"].append(f"{row} has no reason. Say why it is dropped.")
        reasons[image_id] = harmless(reason)
    return reasons, problems + told(path, found)


def _qc_problems(found: pd.Series, qc: Sequence[str]) -> list[str]:
    there = sorted(found.dropna().unique())
    known = f"The data has: {', '.join(map(repr, there))}." if there else "The data has no qc."
    return [
        f"data.drop_qc: no photo has the qc {text!r}. {known}" for text in qc if text not in there
    ]
