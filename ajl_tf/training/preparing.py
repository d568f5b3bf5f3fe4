"""From an experiment and its data to a job, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ajl_tf.config import Experiment, Model
from ajl_tf.dataset.canvases import load_canvases, photo_states
from ajl_tf.dataset.drops import mark_dropped
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.dataset.metadata import check_metadata, learn_columns, telling, unknown_shares
from ajl_tf.dataset.splits import load_or_make_split
from ajl_tf.files import write_text
from ajl_tf.inspection.grouping import group_duplicates
from ajl_tf.inspection.leaks import find_leaks, leak_statement
from ajl_tf.runs import LEAKS, PHOTO_ONLY, manifest_hash
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
        UserError: Data, split, drops or metadata that cannot be used.
    """
    manifest = labelled(group_duplicates(read_manifest(data or [Path("data")]), cache))
    scheme = experiment.split.scheme
    name = f"{experiment.split.name}_{scheme.replace('/', '-').replace(' ', '-')}"
    split = load_or_make_split(splits, name, manifest, scheme, experiment.split.seed)
    manifest = manifest.drop(columns=["split", "fold"], errors="ignore").merge(split, on="image_id")
    manifest = mark_dropped(manifest, experiment.data.drop, experiment.data.drop_qc)
    check_split(manifest)
    check_metadata(manifest, experiment.model.metadata)
    states = photo_states(manifest["path"].tolist())
    canvases = load_canvases(
        manifest["path"].tolist(),
        experiment.canvas,
        experiment.data.fit,
        cache=cache,
        memory_limit_mb=experiment.data.memory_limit_mb,
    )
    return Job(experiment, manifest, canvases, manifest_hash(manifest), photo_states=states)


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


def tell_metadata(model: Model, manifest: pd.DataFrame) -> None:
    """Says what is taken beside the photos, for how many it is unknown, and what that means."""
    columns = learn_columns(manifest, model.metadata, np.arange(len(manifest)))
    shares = unknown_shares(manifest, model.metadata)
    for column in columns:
        known = f"{column.name} ({column.kind}: {column.words})"
        print(f"metadata: {known}, unknown for {shares[column.name]:.1%} of the photos")
    for name, share in telling(manifest, model.metadata).items():
        print(
            f"warning: the column {name} tells the label of {share:.0%} of the photos. If it is "
            "written with the diagnosis or after it, the scores flatter and mean nothing for a new "
            "photo: leave it out.",
            file=sys.stderr,
        )
    if model.tone_columns:
        print(
            f"warning: {', '.join(model.tone_columns)} in model.metadata tells the skin's tone. "
            "The network then answers by the tone that was recorded for a person: it learns how "
            "common each condition is among the training photos of each tone, which is a matter of "
            "who was photographed; a wrong or missing annotation changes the answer; and some "
            "tones may lose by it what others gain. Compare the scores by tone with those of the "
            f"photo alone ({PHOTO_ONLY} of the run) and of a training without it before use.",
            file=sys.stderr,
        )
