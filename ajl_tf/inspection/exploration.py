"""Everything that is to be known of a data set before a network is trained on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ajl_tf.errors import UserError, listed
from ajl_tf.inspection.agreement import tone_disagreements
from ajl_tf.inspection.doubts import label_doubts
from ajl_tf.inspection.duplicates import find_duplicates
from ajl_tf.inspection.grouping import group_duplicates
from ajl_tf.inspection.labels import compare_tone_columns, label_tree
from ajl_tf.inspection.leaks import find_leaks, has_sides, leak_statement
from ajl_tf.inspection.overview import (
    Summary,
    compare_sides,
    count_photos,
    count_remarks,
    describe_files,
)
from ajl_tf.inspection.quality import find_issues
from ajl_tf.inspection.samples import sample_photos
from ajl_tf.inspection.summaries import (
    summarise_doubts,
    summarise_duplicates,
    summarise_leaks,
    summarise_quality,
    summarise_tone,
)
from ajl_tf.inspection.survey import survey


@dataclass(frozen=True)
class Exploration:
    """What was found.

    Attributes:
        manifest: With `group_id` from the photos themselves.
        photos: The survey: a row a photo with all that was measured.
        findings: JSON-able; its keys are the parts of explore.json.
        tables: Name of a CSV -> its rows, all of them.
    """

    manifest: pd.DataFrame
    photos: pd.DataFrame
    findings: Summary
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def explore(
    manifest: pd.DataFrame,
    cache: Path | None,
    predictions: pd.DataFrame | None = None,
    split: pd.DataFrame | None = None,
) -> Exploration:
    """Looks at every photo of a manifest.

    Args:
        manifest: From `read_manifest`.
        cache: Folder that keeps what was measured of each photo; None keeps nothing.
        predictions: Of photos that the model was not trained on, for the label doubts.
        split: A split to be checked for leaks. Without one the manifest's own `split` or `fold` is
            checked, where it has such columns.

    Returns:
        Findings `counts, files, tree, tone_columns, remarks, sides, samples, tone, quality,
        duplicates, doubts, leaks`: each as the function of this room says that makes it, and None
        where the data has not what it needs. Tables `photos, tone, quality, duplicates`, and where
        asked `doubts`, `leaks`.

    Raises:
        UserError: No photo can be read, or predictions or a split do not fit.
    """
    doubts = None if predictions is None else label_doubts(predictions, manifest)
    photos = survey(manifest, cache)
    if not photos["readable"].any():
        reasons = photos["image_id"] + ": " + photos["reason"]
        raise UserError(f"None of the photos can be read:\n{listed(reasons.tolist())}")
    pairs = find_duplicates(manifest, cache)
    manifest = group_duplicates(manifest, cache)
    disagreements = tone_disagreements(photos, manifest)
    issues = _issues(photos)
    tables = {
        "photos": photos,
        "tone": _tones(manifest, photos, disagreements),
        "quality": issues,
        "duplicates": _with_sides(pairs, manifest),
    }
    findings = {
        "counts": count_photos(manifest),
        "files": describe_files(photos),
        "tree": label_tree(manifest),
        "tone_columns": compare_tone_columns(manifest),
        "remarks": count_remarks(manifest),
        "sides": compare_sides(manifest, photos),
        "samples": sample_photos(manifest, photos),
        "tone": summarise_tone(manifest, photos, disagreements),
        "quality": summarise_quality(manifest, issues),
        "duplicates": summarise_duplicates(manifest, pairs),
        "doubts": None,
        "leaks": None,
    }
    if doubts is not None:
        tables["doubts"] = doubts
        findings["doubts"] = summarise_doubts(manifest, doubts)
    if split is not None or has_sides(manifest):
        leaks = find_leaks(manifest, split)
        tables["leaks"] = leaks
        findings["leaks"] = summarise_leaks(leaks, leak_statement(leaks, manifest, split))
    return Exploration(manifest, photos, findings, tables)


def _issues(photos: pd.DataFrame) -> pd.DataFrame:
    """The issues of the photos that can be read, and before them those that cannot."""
    readable = photos["readable"]
    unreadable = pd.DataFrame(
        {
            "image_id": photos["image_id"][~readable],
            "issue": "unreadable",
            "score": 1.0,
            "why": photos["reason"][~readable],
        }
    )
    found = [unreadable, find_issues(photos[readable].reset_index(drop=True))]
    return pd.concat([rows for rows in found if len(rows)] or found[:1], ignore_index=True)


def _tones(
    manifest: pd.DataFrame, photos: pd.DataFrame, disagreements: pd.DataFrame
) -> pd.DataFrame:
    """Every photo's angle, the least fitting first, then those that nothing is said of."""
    angles = photos[["image_id", "ita", "ita_confidence", "ita_class"]]
    every = manifest[["image_id", "skin_tone"]].merge(angles, on="image_id")
    said = disagreements[["image_id", "usual_ita", "gap", "score"]]
    joined = every.merge(said, on="image_id", how="left")
    return joined.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def _with_sides(pairs: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """The pairs with the group they belong to and both labels."""
    rows = manifest.set_index("image_id")
    return pairs.assign(
        group_id=pairs["first"].map(rows["group_id"]),
        first_label=pairs["first"].map(rows["label"]),
        second_label=pairs["second"].map(rows["label"]),
    )
