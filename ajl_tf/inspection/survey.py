"""The survey: what is measured of each photo, one row a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.inspection.examination import FINGERPRINTS, MEASURES, File, examine
from ajl_tf.inspection.store import Store, with_store

_AT_ONCE = 4096  # photos whose figures are read together
_SIZES = ("width", "height")


def survey(manifest: pd.DataFrame, cache: Path | None) -> pd.DataFrame:
    """Measures every photo, or finds it measured.

    Args:
        manifest: Columns `image_id` and `path`.
        cache: Folder where the figures are kept, by each photo's content; None keeps nothing.

    Returns:
        A row a photo, in the manifest's order, with a RangeIndex: `image_id`, `readable` (bool),
        `reason` (why not, or ""), `digest` (SHA-256 of the file, hexadecimal; "" if there is no
        reading it), `bytes`, `width` and `height` in pixels, upright, and what
        `quality.measure_quality` and `tone.measure_tone` say; NaN where a photo is unreadable.
    """
    paths = manifest["path"].tolist()
    table = with_store(cache, lambda store: _measured(paths, store))
    table.insert(0, "image_id", manifest["image_id"].to_numpy())
    return table


def _measured(paths: list[str], store: Store) -> pd.DataFrame:
    files = examine(paths, store, (MEASURES, FINGERPRINTS))
    parts = [
        _rows(files[start : start + _AT_ONCE], store) for start in range(0, len(files), _AT_ONCE)
    ]
    return pd.concat(parts, ignore_index=True) if parts else _rows([], store)


def _rows(files: list[File], store: Store) -> pd.DataFrame:
    kept = store.get(MEASURES, [file.digest for file in files])
    rows: list[dict[str, Any]] = [
        json.loads(kept[file.digest]) if file.digest else {"reason": file.reason} for file in files
    ]
    reasons = [row.pop("reason") for row in rows]
    known = pd.DataFrame(
        {
            "readable": np.array([not reason for reason in reasons], bool),
            "reason": pd.Series(reasons, dtype=str),
            "digest": pd.Series([file.digest.hex() for file in files], dtype=str),
            "bytes": np.array([file.size for file in files], np.int64),
        }
    )
    figures = pd.DataFrame(rows, index=known.index, dtype=np.float64)
    for name in reversed(_SIZES):
        figures.insert(0, name, figures.pop(name) if name in figures else np.nan)
    return pd.concat([known, figures], axis=1)
