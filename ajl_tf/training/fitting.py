"""Trains one classifier: phase after phase, from frozen features to the last unfrozen layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.dataset.images import to_input
from ajl_tf.dataset.pipeline import evaluation_batches, training_batches
from ajl_tf.models.classifier import Classifier, unfreeze
from ajl_tf.runs import HISTORY
from ajl_tf.training.balance import class_weights, sampling_weights, strengths
from ajl_tf.training.callbacks import MONITOR, BestWeights, EpochLog, Validation
from ajl_tf.training.optimizers import depth_rates, make_optimizer
from ajl_tf.training.plan import EpochPlan
from ajl_tf.training.tensorboard import Pictures
from ajl_tf.training.trainer import Trainer, make_loss


@dataclass(frozen=True, eq=False)
class Rows:
    """The photos of one training, and which of them train and validate.

    Attributes:
        canvases: uint8 `(N, C, C, 3)`.
        keys: uint64 `(N,)`, see `keyed.photo_keys`.
        labels: int `(N,)`, position in `class_names`.
        targets: float32 `(N, C)`, the distribution that each is trained towards.
        tones: int `(N,)`, 1…6 or -1.
        class_names: The conditions, sorted.
        train: int, rows that train.
        validation: int, rows that are watched; empty where nothing is selected.
    """

    canvases: np.ndarray
    keys: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    tones: np.ndarray
    class_names: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How to train: the experiment's tables that the training room uses."""

    seed: int
    input_size: int
    phases: tuple[Phase, ...]
    loss: Loss
    balance: Balance
    augment: Augment
    training: Training


class Predictor:
    """Logits of rows of an array, for a network whose function is traced once."""

    def __init__(self, model: keras.Model, prepare: Callable[[tf.Tensor], tf.Tensor]):
        """`prepare` turns a batch of the array's rows into the model's input."""
        self._step = tf.function(
            lambda batch: model(prepare(batch), training=False), reduce_retracing=True
        )

    def __call__(self, source: np.ndarray, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """float32 `(len(rows), …)`, in the order of `rows`, each once."""
        outputs = [self._step(b).numpy() for b in evaluation_batches(source, rows, batch_size)]
        return np.concatenate(outputs).astype(np.float32)


def image_predictor(model: keras.Model, size: int) -> Predictor:
    """A predictor from canvases, resized to the model's input as a SavedModel does it."""
    return Predictor(model, lambda canvases: to_input(canvases, size))


def fit(
    classifier: Classifier,
    rows: Rows,
    recipe: Recipe,
    folder: Path,
    *,
    epochs: Sequence[int] | None = None,
    announce: bool = True,
) -> list[int]:
    """Runs all phases and leaves the kept weights in the classifier.

    Writes `history.jsonl`, `tensorboard/` and, where validation rows select, `best.weights.h5`.

    Args:
        classifier: Trained in place.
        rows: The photos.
        recipe: How.
        folder: An existing folder of this training alone.
        epochs: Of each phase, where other trainings fixed them; its schedule stays as it is.
        announce: Whether to show progress.

    Returns:
        The epochs of each phase that made the kept weights.

    Raises:
        UserError: A phase names a layer that is not there, or the training diverges.
    """
    for phase in recipe.phases:
        unfreeze(classifier, phase.unfreeze)  # an unknown layer is told before the first phase
    best = None
    if recipe.training.keep == "best" and len(rows.validation):
        best = BestWeights(classifier.model, folder / "best.weights.h5")
    took: list[int] = []
    for number, phase in enumerate(recipe.phases):
        start = sum(took)
        span = range(start, start + (phase.epochs if epochs is None else epochs[number]))
        took.append(
            _fit_phase(classifier, rows, recipe, phase, span, folder, best, announce) if span else 0
        )
    if not best:
        return took
    classifier.model.load_weights(best.path)
    kept: list[int] = []
    for length in took:
        kept.append(min(length, best.epoch + 1 - sum(kept)))
    return kept


@dataclass(frozen=True, eq=False)
class _Stage:
    """What a phase trains on what: the classifier on canvases, or its head on cached features."""

    model: keras.Model
    source: np.ndarray
    augment: Augment | None
    predictor: Predictor


def _stage(classifier: Classifier, rows: Rows, recipe: Recipe, phase: Phase) -> _Stage:
    trained = unfreeze(classifier, phase.unfreeze)
    augment = recipe.augment if phase.augment else Augment()
    if not trained and augment == Augment():
        # A frozen backbone without augmentation gives a photo the same features every epoch.
        features = _features(classifier, rows, recipe)
        return _Stage(classifier.head, features, None, Predictor(classifier.head, tf.identity))
    predictor = image_predictor(classifier.model, recipe.input_size)
    return _Stage(classifier.model, rows.canvases, augment, predictor)


def _fit_phase(
    classifier: Classifier,
    rows: Rows,
    recipe: Recipe,
    phase: Phase,
    epochs: range,
    folder: Path,
    best: BestWeights | None,
    announce: bool,
) -> int:
    """Runs one phase and returns how many epochs it took."""
    stage = _stage(classifier, rows, recipe, phase)
    size, batch_size = recipe.input_size, recipe.training.batch_size
    labels, tones = rows.labels[rows.train], rows.tones[rows.train]
    classes, balance = len(rows.class_names), recipe.balance
    plan = EpochPlan(
        recipe.seed,
        rows.train,
        rows.keys,
        sampling_weights(labels, tones, balance.sampler),
        stage.augment,
        rows.canvases.shape[1],
        size,
        strengths(rows.labels, rows.train, recipe.augment.rare_boost),
    )
    batches = training_batches(
        stage.source,
        rows.targets,
        plan,
        draws=plan.draws,
        epochs=epochs,
        batch_size=batch_size,
    )
    weights = class_weights(labels, classes, balance.class_weights, balance.effective_number_beta)
    trainer = Trainer(stage.model, stage.augment, size, weights, recipe.training.xla)
    steps = math.ceil(len(rows.train) / batch_size)
    rates = depth_rates(classifier, phase.layer_decay)
    optimizer = make_optimizer(phase, steps, recipe.training.ema, rates)
    if recipe.training.precision == "mixed_float16":
        # Keras sees to this where the compiled model is half precision; the trainer is not.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    trainer.compile(
        optimizer,
        make_loss(recipe.loss),
        # fit would choose XLA by itself, many times slower on a CPU and unable to compile the warp.
        jit_compile=False,
    )
    validation = None
    if len(rows.validation):
        validation = Validation(
            lambda: stage.predictor(stage.source, rows.validation, batch_size),
            rows.labels[rows.validation],
            rows.tones[rows.validation],
            best,
        )
    board = folder / "tensorboard"
    history = trainer.fit(
        batches,
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        steps_per_epoch=steps,
        callbacks=[
            *([validation] if validation else []),
            EpochLog(folder / HISTORY, phase.name, len(rows.train), batch_size, announce),
            *(_watchers(phase) if validation else []),
            keras.callbacks.TensorBoard(str(board), write_graph=False),
            Pictures(board, batches, stage.augment, size, rows.class_names, validation),
        ],
        shuffle=False,  # the plan has shuffled
        verbose=0,
    )
    return len(history.epoch)


def _features(classifier: Classifier, rows: Rows, recipe: Recipe) -> np.ndarray:
    """Pooled features of the rows in use, float32 `(N, D)`; zeros in rows that are not."""
    used = np.sort(np.concatenate([rows.train, rows.validation]))
    predict = image_predictor(classifier.features, recipe.input_size)
    values = predict(rows.canvases, used, recipe.training.batch_size)
    features = np.zeros((len(rows.canvases), values.shape[1]), np.float32)
    features[used] = values
    return features


def _watchers(phase: Phase) -> list[keras.callbacks.Callback]:
    watchers: list[keras.callbacks.Callback] = []
    if phase.schedule == "plateau":
        watchers.append(
            keras.callbacks.ReduceLROnPlateau(
                MONITOR, phase.factor, phase.plateau_patience, mode="max"
            )
        )
    if phase.early_stopping:
        watchers.append(
            keras.callbacks.EarlyStopping(MONITOR, patience=phase.early_stopping, mode="max")
        )
    return watchers
