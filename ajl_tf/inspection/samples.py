"""A few photos to look at, chosen without looking: the same ones each time, whatever they show."""

from __future__ import annotations

import hashlib

import pandas as pd

from ajl_tf.inspection.overview import Summary, tone_names
from ajl_tf.inspection.summaries import described


def sample_photos(manifest: pd.DataFrame, survey: pd.DataFrame) -> list[Summary]:
    """For each label and tone one photo that can be read, by the digest of its name.

    Returns:
        `image_id, label, tone` each, by label and tone; label None for photos without.
    """
    rows = manifest[survey["readable"].to_numpy()]
    names = rows["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    keys = rows.assign(tone=tone_names(rows), key=names, label=rows["label"].fillna(""))
    chosen = keys.sort_values(["label", "tone", "key"]).drop_duplicates(["label", "tone"])
    labelled = chosen["label"] != ""
    ordered = pd.concat([chosen[labelled], chosen[~labelled]])
    return described(ordered[["image_id"]], manifest)
