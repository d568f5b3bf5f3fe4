"""`group_id` from duplicates: what every verb calls after it has read a manifest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ajl_tf.dataset.groups import merge_groups
from ajl_tf.inspection.duplicates import find_duplicates


def group_duplicates(manifest: pd.DataFrame, cache: Path | None) -> pd.DataFrame:
    """Joins photos that are copies of one another, and the groups that they stand in.

    Args:
        manifest: As `dataset.manifest.read_manifest` gives it; its `group_id` is honoured.
        cache: Folder of what is known of photos already; None keeps nothing.

    Returns:
        The manifest with `group_id`: the smallest image_id among all that are linked.
    """
    pairs = find_duplicates(manifest, cache)
    given = [
        [image_id, group]
        for image_id, group in zip(manifest["image_id"], manifest["group_id"], strict=True)
    ]
    clusters = given + pairs[["first", "second"]].to_numpy().tolist()
    return manifest.assign(group_id=merge_groups(manifest["image_id"].tolist(), clusters))
