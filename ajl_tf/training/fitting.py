"""Trains one classifier: phase after phase, from frozen features to the last unfrozen layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ajl_tf.config import Phase
from ajl_tf.dataset.pipeline import training_batches
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, at_size, unfreeze
from ajl_tf.runs import HISTORY
from ajl_tf.training.balance import class_weights, sampling_weights, strengths
from ajl_tf.training.callbacks import EpochLog, Validation, watchers
from ajl_tf.training.devices import filled_size, is_shared
from ajl_tf.training.keeping import Keeper
from ajl_tf.training.kept import BestWeights, Diverged, FiniteWeights
from ajl_tf.training.mitigation import RobustLoss, ToneAdversary, check_tones, tone_groups
from ajl_tf.training.optimizers import depth_rates, make_optimizer
from ajl_tf.training.plan import EpochPlan
from ajl_tf.training.probe import RateProbe
from ajl_tf.training.recipe import Recipe, Rows
from ajl_tf.training.stages import make_stage
from ajl_tf.training.stopping import Stopped, Stops
from ajl_tf.training.tensorboard import Pictures
from ajl_tf.training.trainer import Trainer, make_loss

__all__ = ["Recipe", "Rows", "fit"]


def fit(
    classifier: Classifier,
    rows: Rows,
    recipe: Recipe,
    folder: Path,
    *,
    epochs: Sequence[int] | None = None,
    announce: bool = True,
    probe: RateProbe | None = None,
) -> list[int]:
    """Runs all phases and leaves the kept weights in the classifier.

    Writes `history.jsonl`, `tensorboard/`, checkpoints and, where validation rows select,
    `best.weights.h5`; where nothing selects and the training diverges, `last_finite.weights.h5`.
    Where the folder has a checkpoint, it goes on from it, to the same bits as one never ended.

    Args:
        classifier: Trained in place.
        rows: The photos.
        recipe: How.
        folder: An existing folder of this training alone.
        epochs: Of each phase, where other trainings fixed them; its schedule stays as it is.
        announce: Whether to show progress.
        probe: Takes the last phase over, which validates nothing, and ends it with `Ended`.

    Returns:
        The epochs of each phase that made the kept weights.

    Raises:
        UserError: A phase names a layer that is not there, mitigation has no tones to go by, or the
            training diverges.
        KeyboardInterrupt: Ctrl-C or SIGTERM, with a checkpoint written.
    """
    check_tones(recipe.mitigation, rows.tones[rows.train])
    for phase in recipe.phases:
        # An unknown layer, or a size that will not do, is told before the first phase.
        unfreeze(classifier, phase.unfreeze)
        at_size(classifier.model, phase.input_size or recipe.input_size)
    best = None
    if recipe.training.keep == "best" and len(rows.validation):
        best = BestWeights(classifier.model, folder / "best.weights.h5")
    # A range test keeps nothing, and may well end with weights that are not finite.
    minutes = math.inf if probe else recipe.training.checkpoint_minutes
    keeper = Keeper(folder, classifier.model, best, minutes, Stops())
    finite = FiniteWeights(classifier.model, best, folder)
    if keeper.has_gone_on:
        finite.hold("the checkpoint that it went on from")
    for number, phase in enumerate(recipe.phases):
        if number < len(keeper.took):
            continue
        start = sum(keeper.took)
        last = probe if phase is recipe.phases[-1] else None
        length = phase.epochs if epochs is None else epochs[number]
        span = range(start, start + (last.batches if last else length))
        keeper.phase_done(
            _fit_phase(classifier, rows, recipe, phase, span, keeper, finite, announce, last)
            if span
            else 0
        )
    if not best:
        return keeper.took
    classifier.model.load_weights(best.path)
    kept: list[int] = []
    for length in keeper.took:
        kept.append(min(length, best.epoch + 1 - sum(kept)))
    return kept


def _fit_phase(
    classifier: Classifier,
    rows: Rows,
    recipe: Recipe,
    phase: Phase,
    epochs: range,
    keeper: Keeper,
    finite: FiniteWeights,
    announce: bool,
    probe: RateProbe | None = None,
) -> int:
    """Runs one phase, or the rest of it, and returns how many epochs it took."""
    stage = make_stage(classifier, rows, recipe, phase)
    size, batch_size = phase.input_size or recipe.input_size, recipe.training.batch_size
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
        0 if rows.metadata is None else rows.metadata.shape[1],
        recipe.metadata_dropout,
    )
    steps, mitigation = math.ceil(len(rows.train) / batch_size), recipe.mitigation
    groups, robust, adversary = tone_groups(rows.tones), None, None
    if mitigation.group_dro:
        robust = RobustLoss(mitigation.group_dro, groups[rows.train])
    if stage.adversary:
        adversary = ToneAdversary(
            mitigation.tone_adversary,
            phase.epochs * steps,
            groups[rows.train],
            classifier.features.output.shape[1],
            recipe.seed,
        )
    is_amid = keeper.is_amid
    left = range(keeper.epoch, epochs.stop) if is_amid else epochs
    batches = training_batches(
        stage.source,
        rows.targets,
        plan,
        draws=plan.draws,
        epochs=left,
        batch_size=batch_size,
        done=keeper.batch,
        beside={
            **({"groups": groups} if robust or adversary else {}),
            **({} if rows.metadata is None else {"metadata": rows.metadata}),
        },
        fill_to=filled_size(batch_size),
    )
    weights = class_weights(labels, classes, balance.class_weights, balance.effective_number_beta)
    trainer = Trainer(
        stage.model,
        stage.augment,
        size,
        weights,
        recipe.training.xla,
        robust,
        adversary,
        classifier.encoding,
    )
    rates = depth_rates(classifier, phase.layer_decay)
    optimizer = make_optimizer(phase, steps, recipe.training.ema, rates)
    if recipe.training.precision == "mixed_float16":
        # Keras sees to this where the compiled model is half precision; the trainer is not.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    trainer.compile(
        optimizer,
        make_loss(recipe.loss, None if robust or is_shared() else "sum_over_batch_size"),
        # fit would choose XLA by itself, many times slower on a CPU and unable to compile the warp.
        jit_compile=False,
    )
    if keeper.batch:
        trainer.make_train_function()
        trainer.train_function = keeper.go_on(trainer.train_function)

    def predict() -> np.ndarray:
        with keeper.stops.at_once():
            return stage.predictor(stage.source, rows.validation, batch_size)

    validation = None
    if len(rows.validation) and not probe:
        own = rows.validation
        validation = Validation(predict, rows.labels[own], rows.tones[own], keeper.best)
    board, log = keeper.folder / "tensorboard", keeper.folder / HISTORY
    lines = EpochLog(log, phase.name, len(rows.train), batch_size, announce and not probe)
    keeper.counters = [lines, *(watchers(phase) if validation else [])]
    keeper.states = trainer.states
    shown = None if is_amid else stage.augment
    try:
        with keeper.stops:
            history = trainer.fit(
                batches,
                initial_epoch=left.start,
                epochs=left.stop,
                steps_per_epoch=steps,
                callbacks=[
                    probe or finite,
                    *([validation] if validation else []),
                    *([robust.callback()] if robust else []),
                    *keeper.counters,
                    keras.callbacks.TensorBoard(str(board), write_graph=False),
                    Pictures(board, batches, shown, size, rows.class_names, validation),
                    keeper,
                ],
                shuffle=False,  # the plan has shuffled
                verbose=0,
            )
    except Stopped:  # while the validation rows were scored
        keeper.keep()
        keeper.stops.deliver()
        raise
    except Diverged as error:
        raise UserError(
            f"the training diverged in {phase.name!r}: {error}; the loss was finite until "
            f"{lines.finite}. {finite.rescue()}. Lower phases.learning_rate, set phases.clip_norm "
            "= 1.0, or use float32, and train anew."
        ) from None
    return int(history.epoch[-1]) + 1 - epochs.start
