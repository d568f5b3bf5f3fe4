"""One trained network of a run: a holdout's only one, one a fold, or the refit on all rows."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from ajl_tf.assessment.predictions import make_predictions, read_predictions, write_predictions
from ajl_tf.assessment.tree import read_tree
from ajl_tf.config import Experiment
from ajl_tf.dataset.drops import dropped
from ajl_tf.dataset.metadata import Column, coded, learn_columns
from ajl_tf.dataset.splits import inner_split
from ajl_tf.errors import UserError, listed
from ajl_tf.files import atomic_path
from ajl_tf.models.classifier import Classifier, build_classifier
from ajl_tf.runs import (
    HISTORY,
    MODEL,
    PHOTO_ONLY,
    PREDICTIONS,
    RESULT,
    read_json,
    write_json,
)
from ajl_tf.training.checkpoint import forget_checkpoint
from ajl_tf.training.devices import strategy
from ajl_tf.training.fitting import Recipe, Rows, fit
from ajl_tf.training.graphs import released_graphs
from ajl_tf.training.keyed import photo_keys
from ajl_tf.training.predicting import image_predictor
from ajl_tf.training.probe import RateProbe
from ajl_tf.training.targets import adjust_logits, soft_targets

REFIT = "refit"


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that the members of a run share. A member that is finished is left as it is.

    Attributes:
        experiment: Resolved.
        manifest: Labelled rows with `split` or `fold`, and perhaps `drop_reason`.
        canvases: uint8 `(N, C, C, 3)`, in the manifest's order.
        data_hash: Of the manifest, see `runs.manifest_hash`.
        probe: Of a range test, see `fitting.fit`; None: of a training.
        photo_states: Of the photos before they were decoded, see `canvases.photo_states`.
    """

    experiment: Experiment
    manifest: pd.DataFrame
    canvases: np.ndarray
    data_hash: str
    probe: RateProbe | None = None
    photo_states: np.ndarray | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The conditions, sorted."""
        return tuple(sorted(self.manifest["label"].unique()))


def fold_name(fold: int) -> str:
    """Name of a fold's folder in its run."""
    return f"fold_{fold}"


def check_split(manifest: pd.DataFrame) -> None:
    """Refuses a split that leaves a condition nothing to train on, before anything is trained.

    Raises:
        UserError: Each such condition, with the part that holds all of its photos (but for dropped
            ones, which train nothing).
    """
    gone = dropped(manifest)
    if "fold" in manifest:
        parts = {f"fold {fold}": manifest["fold"] == fold for fold in manifest["fold"].unique()}
    else:
        parts = {"validation and test": manifest["split"] != "train"}
    problems = [
        f"{label}: all of its photos are in {part}" + (" or dropped" if gone.any() else "")
        for part, held_out in sorted(parts.items())
        for label in sorted(set(manifest["label"]) - set(manifest["label"][~held_out & ~gone]))
    ]
    if problems:
        raise UserError(
            f"some conditions would have no photo to train on:\n{listed(problems)}\n"
            "Add photos of them, or leave them out of the CSV, and set another split.name."
        )


def train_holdout(job: Job, folder: Path) -> None:
    """Trains on the split's train rows, watches its validation rows and predicts all the others.

    Writes into `folder` what `fitting.fit` writes, the model, its predictions and a result.
    """
    split = job.manifest["split"].to_numpy()
    train = np.flatnonzero((split == "train") & ~dropped(job.manifest))
    validation, scored = np.flatnonzero(split == "validation"), np.flatnonzero(split != "train")
    _train(job, folder, train, validation, scored)


def train_fold(job: Job, folder: Path, fold: int) -> None:
    """Trains on all folds but one and predicts that one, which selects nothing.

    Where the best epoch is kept, it is chosen on rows held out of the training folds.
    """
    scored = job.manifest["fold"].to_numpy() == fold
    train = np.flatnonzero(~scored & ~dropped(job.manifest))
    validation = np.empty(0, np.int64)
    if job.experiment.training.keep == "best":
        held_out = inner_split(
            job.manifest.iloc[train], job.experiment.training.inner_validation, job.experiment.seed
        )
        train, validation = train[~held_out], train[held_out]
    _train(job, folder, train, validation, np.flatnonzero(scored))


def train_refit(job: Job, folder: Path, folds: Sequence[Path]) -> None:
    """Trains on all rows but dropped ones; each phase for the median of the folds' kept epochs.

    Nothing is left to watch or to score.
    """
    kept = [read_json(fold / RESULT)["epochs_kept"] for fold in folds]
    epochs = [
        round(statistics.median(by_phase[phase.name] for by_phase in kept))
        for phase in job.experiment.phases
    ]
    everything = np.flatnonzero(~dropped(job.manifest))
    nothing = np.empty(0, np.int64)
    _train(job, folder, everything, nothing, nothing, epochs)


def merged_predictions(folders: Sequence[Path], file: str = PREDICTIONS) -> pd.DataFrame:
    """The predictions of several members, each photo once."""
    return pd.concat([read_predictions(folder / file) for folder in folders], ignore_index=True)


@released_graphs()
def _train(
    job: Job,
    folder: Path,
    train: np.ndarray,
    validation: np.ndarray,
    predicted: np.ndarray,
    epochs: Sequence[int] | None = None,
) -> None:
    if (folder / RESULT).is_file():
        forget_checkpoint(folder)  # a kill may have come between the two
        return
    experiment, names = job.experiment, job.class_names
    labels = np.searchsorted(names, job.manifest["label"])
    folder.mkdir(exist_ok=True)
    earlier = _seconds(folder / HISTORY)
    start = time.monotonic()
    keras.backend.clear_session()
    keras.utils.set_random_seed(experiment.seed)
    keras.config.set_dtype_policy(experiment.training.precision)
    columns = learn_columns(job.manifest, experiment.model.metadata, train)
    devices = strategy(experiment.mitigation)
    with devices.scope():
        classifier = _build(experiment, len(names), columns)
    tones = job.manifest["skin_tone"].to_numpy()
    keys = photo_keys(job.manifest["image_id"])
    tree = read_tree(job.manifest).get(experiment.loss.hierarchy_level)
    targets = soft_targets(names, tree, experiment.loss.hierarchy)[labels]
    codes = coded(job.manifest, columns) if columns else None
    rows = Rows(job.canvases, keys, labels, targets, tones, names, train, validation, codes)
    recipe = Recipe(
        experiment.seed,
        experiment.input_size,
        experiment.phases,
        experiment.loss,
        experiment.balance,
        experiment.augment,
        experiment.training,
        experiment.mitigation,
        experiment.model.metadata_dropout,
    )
    with devices.scope():
        kept = fit(classifier, rows, recipe, folder, epochs=epochs, probe=job.probe)
    adjust_logits(classifier.head, labels[train], experiment.loss.logit_adjustment)
    with atomic_path(folder / MODEL) as temporary:
        classifier.model.save(temporary)
    answered = {PREDICTIONS: codes}
    if codes is not None:
        answered[PHOTO_ONLY] = np.full_like(codes, np.nan)
    for file, told in answered.items() if len(predicted) else ():
        predict = image_predictor(
            classifier.model, experiment.input_size, told, experiment.model.views
        )
        logits = predict(job.canvases, predicted, experiment.training.batch_size)
        table = make_predictions(job.manifest.iloc[predicted], names, softmax(logits))
        write_predictions(folder / file, table)
    write_json(
        folder / RESULT,
        {
            "data_hash": job.data_hash,
            "class_names": list(names),
            "epochs_kept": {p.name: n for p, n in zip(recipe.phases, kept, strict=True)},
            "train": len(train),
            "validation": len(validation),
            "predicted": len(predicted),
            "minutes": round((earlier + time.monotonic() - start) / 60, 2),
        },
    )
    forget_checkpoint(folder)


def _build(experiment: Experiment, classes: int, columns: Sequence[Column]) -> Classifier:
    model = experiment.model
    return build_classifier(
        model.backbone,
        model.weights,
        experiment.input_size,
        classes,
        model.dropout,
        model.stochastic_depth,
        model.pooling,
        columns,
    )


def _seconds(history: Path) -> float:
    """How long the epochs took that were trained before the training was ended."""
    if not history.is_file():
        return 0.0
    lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
    # A full disk may have cut the last one; what is gone on with has it whole, or not at all.
    whole = [line for line in lines if line.endswith("\n")]
    return float(sum(json.loads(line)["seconds"] for line in whole))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `(N, C)` of logits `(N, C)`."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return probabilities
