"""What a run's networks say of photos that they did not train on, on which serving is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from ajl_tf.assessment.checks import PROBABILITY, UNKNOWN_TONE
from ajl_tf.assessment.metrics import Bools, Floats, Ints
from ajl_tf.assessment.predictions import read_manifest_columns, read_predictions
from ajl_tf.assessment.temperature import logits_of
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.dataset.images import Fit
from ajl_tf.dataset.metadata import coded
from ajl_tf.dataset.pipeline import evaluation_batches
from ajl_tf.errors import UserError
from ajl_tf.runs import MANIFEST, PREDICTIONS
from ajl_tf.serving.network import Member

_BATCH = 32


@dataclass(frozen=True, eq=False)
class HeldOut:
    """N rows of a run, each answered by the one network that did not train on it.

    Attributes:
        table: Their predictions, `predictions.csv` of the run.
        class_names: C labels, in the order of the logits.
        parts: (N,), which of the run's networks answered: 0 to K - 1.
        logits: (N, C), of the network; without photos, the logarithms of its probabilities.
        features: (N, D), pooled; None without photos.
    """

    table: pd.DataFrame
    class_names: tuple[str, ...]
    parts: Ints
    logits: Floats
    features: Floats | None = None

    @property
    def labels(self) -> Ints:
        """(N,), positions in `class_names`."""
        positions = pd.Index(self.class_names).get_indexer(pd.Index(self.table["label"]))
        return np.asarray(positions, np.int64)

    @property
    def tones(self) -> Ints:
        """(N,), 1 to 6, or -1."""
        unknown = pd.Series(UNKNOWN_TONE, index=self.table.index)
        return np.asarray(self.table.get("skin_tone", unknown), np.int64)

    @property
    def clusters(self) -> Ints:
        """(N,), photos that belong together."""
        groups = self.table.get("group_id", self.table["image_id"])
        numbers = pd.factorize(groups.where(groups.notna(), self.table["image_id"]))[0]
        return np.asarray(numbers, np.int64)

    @property
    def fits(self) -> Bools:
        """(N,): rows on which something may be fitted: those with a fold, or validation rows."""
        if "fold" in self.table:
            return np.ones(len(self.table), bool)
        chosen: Bools = (self.table["split"] == "validation").to_numpy(bool)
        return chosen

    @property
    def words(self) -> str:
        """Which rows those are."""
        if "fold" not in self.table:
            return "validation rows"
        return f"rows of {len(np.unique(self.parts))} folds, each by the network that held it out"


def read_held_out(parts: Sequence[Path], class_names: tuple[str, ...]) -> HeldOut:
    """The predictions of a run's folds, or of a run without folds."""
    tables = [read_predictions(part / PREDICTIONS) for part in parts]
    table = pd.concat(tables, ignore_index=True)
    numbers = np.repeat(np.arange(len(tables)), [len(each) for each in tables])
    columns = [PROBABILITY + name for name in class_names]
    probabilities = table[columns].to_numpy(np.float64)
    return HeldOut(table, class_names, numbers, logits_of(probabilities))


def photo_canvases(
    run: Path, image_ids: Sequence[str], side: int, mode: Fit, cache: Path, memory_limit_mb: int
) -> np.ndarray:
    """Photos of a run: uint8 `(len(image_ids), side, side, 3)`.

    Raises:
        UserError: Some photos are not where the run had them.
    """
    manifest = read_manifest_columns(run / MANIFEST).set_index("image_id")
    lost = sorted(set(image_ids) - set(manifest.index))
    if lost:
        raise UserError(
            f"{run / MANIFEST} has no row for {len(lost)} photos that the run predicted: {lost[0]}."
        )
    paths = manifest["path"].reindex(list(image_ids)).tolist()
    try:
        return load_canvases(
            paths, side, mode, cache=cache, memory_limit_mb=memory_limit_mb, announce=False
        )
    except UserError as error:
        raise UserError(
            f"what a SavedModel knows, and its views of a photo, are fitted on the photos of {run}."
            f" Put them back, or export with --no-unlike and without --tta.\n{error}"
        ) from None


def recorded(run: Path, image_ids: Sequence[str]) -> pd.DataFrame:
    """Rows of a run's manifest, in the order of the ids: what is recorded of the photos."""
    manifest = read_manifest_columns(run / MANIFEST).set_index("image_id")
    return manifest.reindex(list(image_ids))


def observed(
    held_out: HeldOut, members: Sequence[Member], canvases: np.ndarray, table: pd.DataFrame
) -> HeldOut:
    """The same rows as the SavedModel's networks see them: with their views and the shared canvas.

    Args:
        held_out: N rows.
        members: Of the run, in the order of `held_out.parts`.
        canvases: Of the rows, uint8 `(N, C, C, 3)`.
        table: What is `recorded` of the rows.
    """
    features: list[Floats] = []
    logits: list[Floats] = []
    order: list[Ints] = []
    for number, member in enumerate(members):
        rows = np.flatnonzero(held_out.parts == number)
        seen = seen_by(member, canvases, rows, table)
        features.append(seen[0])
        logits.append(seen[1])
        order.append(rows)
    back = np.argsort(np.concatenate(order))
    return replace(
        held_out, features=np.concatenate(features)[back], logits=np.concatenate(logits)[back]
    )


def seen_by(
    member: Member, canvases: np.ndarray, rows: Ints, table: pd.DataFrame
) -> tuple[Floats, Floats]:
    """Features `(len(rows), D)` and logits `(len(rows), C)` of some canvases, as served.

    Of a member that takes metadata, with those in the `table` of all canvases.
    """
    codes = coded(table, member.columns) if member.columns else None
    specs = [tf.TensorSpec((None, *canvases.shape[1:]), tf.uint8)]
    specs += [tf.TensorSpec((None, len(member.columns)))] if member.columns else []
    step = tf.function(member.outputs(), input_signature=specs, autograph=False)
    batches = evaluation_batches(canvases, rows, _BATCH, codes)
    each = [step(batch) if codes is None else step(*batch) for batch in batches]
    features, logits = zip(*each, strict=True)
    return _stacked(features), _stacked(logits)


def _stacked(batches: Sequence[tf.Tensor]) -> Floats:
    return np.concatenate([batch.numpy() for batch in batches]).astype(np.float64)
