"""What is served, scored on held-out rows; of several runs, whether they go together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajl_tf.assessment.checks import PROBABILITY
from ajl_tf.assessment.held_out import parts_of
from ajl_tf.assessment.metrics import Ints
from ajl_tf.assessment.predictions import (
    make_predictions,
    read_manifest_columns,
    write_predictions,
)
from ajl_tf.assessment.report import make_report
from ajl_tf.assessment.scored import scored
from ajl_tf.assessment.twins import with_twin
from ajl_tf.errors import UserError, listed
from ajl_tf.runs import MANIFEST, PREDICTIONS, REPORT, write_json
from ajl_tf.serving.blend import cross_fitted
from ajl_tf.serving.held_out import HeldOut
from ajl_tf.serving.sources import Source

FIFTHS_SEED = 0


def aligned(sources: Sequence[Source]) -> list[Source]:
    """The runs with their held-out rows in one order.

    Raises:
        UserError: All that keeps them from being one: other classes, rows or labels, a holdout
            beside folds or with another split, another way to fit a photo to the canvas.
    """
    first = sources[0]
    problems = [
        f"{source.folder} {what}" for source in sources[1:] for what in _differences(first, source)
    ]
    if problems:
        raise UserError(
            f"these runs cannot be one model with {first.folder}:\n{listed(problems)}\n"
            "Runs go together that were trained for the same conditions and held out the same "
            "photos; backbone, input size, canvas and folds may differ."
        )
    ids = first.held_out.table["image_id"]
    return [replace(source, held_out=_ordered(source.held_out, ids)) for source in sources]


def held_out_scores(sources: Sequence[Source], folder: Path) -> dict[str, Any]:
    """Writes predictions and report of the runs, together, into `folder`, a new one.

    No row is answered by weights and a temperature that were fitted on it: they are fitted on the
    other folds, or where the runs' folds differ on the other fifths of the groups; the predictions
    then say the first run's fold. What is served is fitted on all of these rows.

    Returns:
        The report.
    """
    first = sources[0].held_out
    parts = _parts(sources)
    logits = [source.held_out.logits for source in sources]
    probabilities = cross_fitted(logits, first.labels, first.fits, parts)
    rows = first.table.drop(columns=[PROBABILITY + name for name in first.class_names])
    predictions = make_predictions(rows, first.class_names, probabilities)
    folder.mkdir(parents=True)
    write_predictions(folder / PREDICTIONS, predictions)
    shutil.copyfile(sources[0].folder / MANIFEST, folder / MANIFEST)
    report = make_report(predictions, read_manifest_columns(folder / MANIFEST), _with_twin(sources))
    write_json(folder / REPORT, report)
    return report


def _with_twin(sources: Sequence[Source]) -> set[str] | str:
    """The photos that have a twin among those that a network trained on which answers for them."""
    found = []
    for source in sources:
        told = with_twin(source.held_out.table, read_manifest_columns(source.folder / MANIFEST))
        if isinstance(told, str):
            return told
        found.append(told)
    return set().union(*found)


def new_folder(runs: Path, name: str) -> Path:
    """A name for a folder beside the runs that is not taken."""
    base = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (base, *(f"{base}-{number}" for number in range(2, 1000)))
    return next(runs / each for each in names if not (runs / each).exists())


def _differences(first: Source, other: Source) -> list[str]:
    found = []
    ours, theirs = first.held_out, other.held_out
    if ours.class_names != theirs.class_names:
        strange = sorted(set(ours.class_names) ^ set(theirs.class_names))
        found.append(f"has other classes: {', '.join(map(repr, strange[:3]))} only on one side")
    if first.experiment.data.fit != other.experiment.data.fit:
        fits = first.experiment.data.fit, other.experiment.data.fit
        found.append(f"fits photos in another way: data.fit is {fits[1]!r}, not {fits[0]!r}")
    if ("fold" in ours.table) != ("fold" in theirs.table):
        found.append("has folds where the other has a holdout split, or the other way round")
    left, right = ours.table.set_index("image_id"), theirs.table.set_index("image_id")
    lost = left.index.symmetric_difference(right.index)
    if len(lost):
        return [*found, f"has other rows: {len(lost):,} photos only on one side, as {lost[0]}"]
    for name in ("label", "split"):
        if name in left and name in right:
            unlike = left.index[left[name] != right[name].reindex(left.index)]
            if len(unlike):
                found.append(f"has another {name} for {len(unlike):,} photos, as {unlike[0]}")
    return found


def _ordered(held_out: HeldOut, ids: pd.Series) -> HeldOut:
    order = pd.Index(held_out.table["image_id"]).get_indexer(pd.Index(ids))
    return replace(
        held_out,
        table=held_out.table.iloc[order].reset_index(drop=True),
        parts=held_out.parts[order],
        logits=held_out.logits[order],
    )


def _parts(sources: Sequence[Source]) -> Ints:
    """(N,): the folds, if the runs have the same, else fifths of the groups."""
    tables = [source.held_out.table for source in sources]
    shared = "fold" in tables[0] and all((t["fold"] == tables[0]["fold"]).all() for t in tables)
    table = tables[0] if shared else tables[0].drop(columns=["fold", "split"], errors="ignore")
    parts = parts_of(scored(table), FIFTHS_SEED)
    return np.zeros(len(table), np.int64) if parts is None else parts.index
