"""From an experiment and its data to a job, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ajl_tf.config import Experiment
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.dataset.drops import mark_dropped
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.dataset.splits import load_or_make_split
from ajl_tf.files import write_text
from ajl_tf.inspection.grouping import group_duplicates
from ajl_tf.inspection.leaks import find_leaks, leak_statement
from ajl_tf.runs import LEAKS, manifest_hash
from ajl_tf.training.members import Job, check_split


def prepare_job(
    experiment: Experiment, data: Sequence[Path] | None, splits: Path, cache: Path
) -> Job:
    """Reads everything that can be wrong before anything is trained or written but the split.

    Args:
        experiment: Resolved.
        data: Where the photos are; None: `data/`.
        splits: Folder of all splits.
        cache: Folder for what is decoded and found of photos.

    Raises:
        UserError: Data, split or drops that cannot be used.
    """
    manifest = labelled(group_duplicates(read_manifest(data or [Path("data")]), cache))
    scheme = experiment.split.scheme
    name = f"{experiment.split.name}_{scheme.replace('/', '-').replace(' ', '-')}"
    split = load_or_make_split(splits, name, manifest, scheme, experiment.split.seed)
    manifest = manifest.drop(columns=["split", "fold"], errors="ignore").merge(split, on="image_id")
    manifest = mark_dropped(manifest, experiment.data.drop, experiment.data.drop_qc)
    check_split(manifest)
    canvases = load_canvases(
        manifest["path"].tolist(),
        experiment.canvas,
        experiment.data.fit,
        cache=cache,
        memory_limit_mb=experiment.data.memory_limit_mb,
    )
    return Job(experiment, manifest, canvases, manifest_hash(manifest))


def tell_leaks(run: Path, manifest: pd.DataFrame) -> None:
    """Says and records which copies a split that was not drawn here puts on two sides."""
    leaks = find_leaks(manifest)
    if leaks.empty:
        return
    write_text(run / LEAKS, leaks.to_csv(index=False))
    print(
        f"warning: the split leaks. {leak_statement(leaks, manifest)} A network knows copies of "
        "what it trained on, so that its scores flatter; the report gives them without such photos "
        f"too. See {run / LEAKS}, or set another split.name to draw a split without leaks.",
        file=sys.stderr,
    )
