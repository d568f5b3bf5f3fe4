"""What is there: photos by condition and skin tone, their sizes, remarks, training against test.

Every function takes a manifest (`dataset.manifest.read_manifest`) or its survey
(`inspection.survey.survey`) and returns plain dicts, lists, numbers and strings, as they stand in
explore.json. None is "not known" or "does not apply"; shares lie in [0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.groups import BANDS, TONES

THIN = 10  # photos; with fewer, a cell says next to nothing about its tone
_KNOWN_TONES = TONES[:-1]
_BAND_OF = {str(tone): BANDS[(tone - 1) // 2] for tone in range(1, 7)} | {"unknown": "unknown"}
_QUANTILES = {"least": 0.0, "low": 0.05, "lower": 0.25, "median": 0.5}
_QUANTILES |= {"upper": 0.75, "high": 0.95, "most": 1.0}

Summary = dict[str, Any]


def count_photos(manifest: pd.DataFrame) -> Summary:
    """Photos by condition, by tone and by both.

    Returns:
        `photos, labelled, unlabelled, thin_below`; `labels`: a dict each, the most frequent first,
        with `label, photos, share` (of the labelled), `tones` and `bands` (name -> photos);
        `tones`: `tone, photos, share, labelled, unlabelled`; `empty` and `thin`: the cells
        `label, tone, photos` of the tones 1 to 6 with no photo and with fewer than `THIN`;
        `empty_bands`: `label, band`.
    """
    tones = tone_names(manifest)
    has_label = manifest["label"].notna()
    by_tone = _cells(manifest["label"], tones, TONES)
    by_band = _cells(manifest["label"], band_names(manifest), BANDS)
    order = by_tone.sum(axis=1).sort_values(ascending=False, kind="stable").index
    labels = [
        {
            "label": label,
            "photos": int(by_tone.loc[label].sum()),
            "share": float(by_tone.loc[label].sum() / has_label.sum()),
            "tones": _ints(by_tone.loc[label]),
            "bands": _ints(by_band.loc[label]),
        }
        for label in order
    ]
    cells = [
        {"label": row["label"], "tone": tone, "photos": row["tones"][tone]}
        for row in labels
        for tone in _KNOWN_TONES
    ]
    return {
        "photos": len(manifest),
        "labelled": int(has_label.sum()),
        "unlabelled": int((~has_label).sum()),
        "thin_below": THIN,
        "labels": labels,
        "tones": [
            {
                "tone": tone,
                "photos": int((tones == tone).sum()),
                "share": float((tones == tone).mean()),
                "labelled": int(((tones == tone) & has_label).sum()),
                "unlabelled": int(((tones == tone) & ~has_label).sum()),
            }
            for tone in TONES
        ],
        "empty": [cell for cell in cells if cell["photos"] == 0],
        "thin": [cell for cell in cells if 0 < cell["photos"] < THIN],
        "empty_bands": [
            {"label": row["label"], "band": band}
            for row in labels
            for band in BANDS[:-1]
            if row["bands"][band] == 0
        ],
    }


def describe_files(survey: pd.DataFrame) -> Summary:
    """Sizes and shapes of the photos that can be read, and which cannot.

    Returns:
        `readable`, `unreadable` (`image_id, reason` each), `total_bytes`, and for `width`,
        `height`, `shorter_side` (px), `aspect` (width / height) and `bytes` their `quantiles`, or
        None where no photo can be read.
    """
    good = survey[survey["readable"]]
    bad = survey.loc[~survey["readable"], ["image_id", "reason"]]
    measured = {
        "width": good["width"],
        "height": good["height"],
        "shorter_side": good[["width", "height"]].min(axis=1),
        "aspect": good["width"] / good["height"],
        "bytes": good["bytes"],
    }
    return {
        "readable": len(good),
        "unreadable": bad.to_dict("records"),
        "total_bytes": int(survey["bytes"].sum()),
        **{name: quantiles(values) for name, values in measured.items()},
    }


def count_remarks(manifest: pd.DataFrame) -> Summary | None:
    """What the column `qc` says.

    Returns:
        `flags` (`flag, photos` each, the most frequent first) and `without`: photos it says nothing
        of; None where there is no such column.
    """
    if "qc" not in manifest:
        return None
    counts = manifest["qc"].value_counts()
    flags = [{"flag": str(flag), "photos": int(n)} for flag, n in counts.items()]
    return {"flags": flags, "without": int(manifest["qc"].isna().sum())}


def compare_sides(manifest: pd.DataFrame, survey: pd.DataFrame) -> Summary | None:
    """The photos with a label (training) against those without (the competition's test).

    Returns:
        `train` and `test`, each with `photos` and the quantiles of `shorter_side` and `bytes` as in
        `describe_files`; `tones`: a dict each with `tone` and the share that it has of `train` and
        `test`; `most_different`: the one of them whose shares differ most. None where all photos
        have a label, or none has.
    """
    has_label = manifest["label"].notna().to_numpy()
    if has_label.all() or not has_label.any():
        return None
    names = tone_names(manifest)
    sides: Summary = {}
    tones: list[Summary] = [{"tone": tone} for tone in TONES]
    for side, rows in (("train", has_label), ("test", ~has_label)):
        files = describe_files(survey[rows])
        sides[side] = {"photos": int(rows.sum())} | {k: files[k] for k in ("shorter_side", "bytes")}
        for tone in tones:
            tone[side] = float((names[rows] == tone["tone"]).mean())
    most_different = max(tones, key=lambda tone: abs(tone["train"] - tone["test"]))
    return {**sides, "tones": tones, "most_different": most_different}


def tone_names(manifest: pd.DataFrame) -> pd.Series:
    """The tone of each photo as "1" to "6" or "unknown"."""
    tones = manifest["skin_tone"].astype(str)
    return tones.where(tones.isin(_KNOWN_TONES), TONES[-1])


def band_names(manifest: pd.DataFrame) -> pd.Series:
    """The tone band of each photo: "1-2", "3-4", "5-6" or "unknown"."""
    return tone_names(manifest).map(_BAND_OF)


def quantiles(values: pd.Series) -> dict[str, float] | None:
    """Of the finite values; None without.

    Returns:
        `least`, `low` (5 %), `lower` (25 %), `median`, `upper` (75 %), `high` (95 %) and `most`.
    """
    finite = values[np.isfinite(values.astype(float))]
    if finite.empty:
        return None
    at = np.quantile(finite.astype(float), list(_QUANTILES.values()))
    return {name: float(value) for name, value in zip(_QUANTILES, at, strict=True)}


def _cells(labels: pd.Series, groups: pd.Series, names: tuple[str, ...]) -> pd.DataFrame:
    """Counts, a row a label in the alphabet's order and a column for each name."""
    table = pd.crosstab(labels, groups)
    return table.reindex(columns=list(names), fill_value=0).sort_index()


def _ints(counts: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in counts.items()}
