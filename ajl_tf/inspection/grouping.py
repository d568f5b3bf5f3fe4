"""`group_id` from duplicates: what every verb calls after it has read a manifest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ajl_tf.dataset.groups import merge_groups
from ajl_tf.inspection.duplicates import find_duplicates


def group_duplicates(manifest: pd.DataFrame, cache: Path | None) -> pd.DataFrame:
    """Puts photos that are one, and all that are linked through them, into one group.

    Args:
        manifest: From `dataset.manifest.read_manifest`; rows that share a `group_id` stay together.
        cache: Folder where fingerprints are kept, by each photo's content; None keeps nothing.

    Returns:
        The manifest with `group_id`: the smallest image_id among all that are linked.
    """
    pairs = find_duplicates(manifest, cache)
    given = manifest.groupby("group_id")["image_id"].agg(list).tolist()
    found = pairs[["first", "second"]].to_numpy().tolist()
    groups = merge_groups(manifest["image_id"].tolist(), [*given, *found])
    return manifest.assign(group_id=groups)
