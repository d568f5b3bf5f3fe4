"""Optimizers against sums in NumPy: steps, decay, clipping, schedules, rates by depth."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.config import Loss, Phase
from ajl_tf.models.classifier import Classifier
from ajl_tf.training.optimizers import depth_rates, make_optimizer, make_schedule
from ajl_tf.training.trainer import Trainer, make_loss

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(8, 4)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 0, 1, 2, 2]]
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)
BIAS = np.array([0.1, -0.2, 0.3], np.float32)


def phase(**values: Any) -> Phase:
    return Phase(name="it", **{"epochs": 4, "schedule": "constant", **values})


def batch(rows: slice = slice(None)) -> tuple[dict[str, np.ndarray], np.ndarray]:
    n = len(FEATURES[rows])
    return {"source": FEATURES[rows], "drawn": np.empty((n, 0), np.float32)}, LABELS[rows]


def compiled(model: keras.Model, optimizer: Any) -> Trainer:
    trainer = Trainer(model, None, 1, None, xla=False)
    trainer.compile(optimizer, make_loss(Loss()), run_eagerly=True, jit_compile=False)
    return trainer


def trainer_on_features(optimizer: Any) -> Trainer:
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3, name="logits")(x))
    model.set_weights([KERNEL, BIAS])
    return compiled(model, optimizer)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def sgd_step(kernel: np.ndarray, bias: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    error = (softmax(FEATURES @ kernel + bias) - LABELS) / len(LABELS)
    return kernel - rate * FEATURES.T @ error, bias - rate * error.sum(axis=0)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_small_batches_gathered_make_the_step_of_a_large_one(accumulate: int) -> None:
    optimizer = make_optimizer(
        phase(optimizer="sgd", momentum=0.0, learning_rate=0.5, accumulate=accumulate), 1, ema=0.0
    )
    trainer = trainer_on_features(optimizer=optimizer)
    size = 8 // accumulate
    for start in range(0, 8, size):
        np.testing.assert_allclose(trainer.model.get_weights()[0], KERNEL)  # no step before the end
        trainer.train_on_batch(*batch(slice(start, start + size)))
    for ours, expected in zip(
        trainer.model.get_weights(), sgd_step(KERNEL, BIAS, 0.5), strict=True
    ):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_weight_decay_shrinks_kernels_and_spares_biases(optimizer: str, decay: float) -> None:
    trainer = trainer_on_features(
        optimizer=make_optimizer(
            phase(optimizer=optimizer, momentum=0.0, learning_rate=0.1, weight_decay=decay), 1, 0.0
        )
    )
    inputs, _ = batch()
    # Without features and with the predicted shares as labels there is no gradient at all.
    labels = np.repeat(softmax(BIAS[None]), 8, axis=0)
    trainer.train_on_batch({**inputs, "source": np.zeros_like(FEATURES)}, labels)
    kernel, bias = trainer.model.get_weights()
    np.testing.assert_allclose(kernel, KERNEL * (1 - 0.1 * decay), rtol=1e-5)
    if optimizer == "sgd":  # Adam makes a full step of the rounding error that is left
        np.testing.assert_allclose(bias, BIAS, atol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients_together() -> None:
    clipped = phase(optimizer="sgd", momentum=0.0, learning_rate=1.0, clip_norm=0.01)
    trainer = trainer_on_features(optimizer=make_optimizer(clipped, 1, 0.0))
    trainer.train_on_batch(*batch())
    moves = [
        after - before
        for after, before in zip(trainer.model.get_weights(), (KERNEL, BIAS), strict=True)
    ]
    assert math.sqrt(sum((move**2).sum() for move in moves)) == pytest.approx(0.01, rel=1e-3)


def rates(steps_an_epoch: int, **values: Any) -> list[float]:
    it = phase(learning_rate=0.5, **values)
    schedule = make_schedule(it, steps_an_epoch)
    return [
        float(schedule(step)) if callable(schedule) else schedule
        for step in range(it.epochs * steps_an_epoch)
    ]


def test_constant_and_plateau_start_at_the_rate_and_stay() -> None:
    assert rates(3, schedule="constant") == [0.5] * 12
    assert rates(3, schedule="plateau") == [0.5] * 12


def test_cosine_falls_from_the_rate_to_nothing() -> None:
    expected = [0.25 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]
    np.testing.assert_allclose(rates(3, schedule="cosine"), expected, atol=1e-6)


def test_cosine_after_a_warm_up() -> None:
    # 4 epochs of 3 batches; 1.5 epochs, so 4 batches (4.5 rounded to even), warm up.
    rise = [0.5 * step / 4 for step in range(4)]
    fall = [0.25 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    np.testing.assert_allclose(
        rates(3, schedule="cosine", warmup_epochs=1.5), rise + fall, atol=1e-6
    )


def test_step_drops_with_the_first_batch_of_an_epoch() -> None:
    expected = [0.5] * 6 + [0.1] * 6 + [0.02] * 3
    got = rates(3, schedule="step", step_epochs=2, factor=0.2, epochs=5)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_step_without_a_drop_in_time_is_constant() -> None:
    assert rates(3, schedule="step", step_epochs=4) == [0.5] * 12


def deep_classifier() -> Classifier:
    """Four layers with weights, the last of them the head."""
    x = keras.Input((4,))
    y = x
    for name in ("first", "second", "third"):
        y = keras.layers.Dense(4, name=name)(y)
    pooled = keras.Input((4,))
    head = keras.Model(pooled, keras.layers.Dense(3, name="logits")(pooled))
    return Classifier(keras.Model(x, head(y)), keras.Model(x, y), head)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_a_layer_learns_the_slower_the_nearer_it_is_to_the_photo(kind: str) -> None:
    values = {"optimizer": kind, "momentum": 0.0, "learning_rate": 0.01}
    keras.utils.set_random_seed(3)
    classifier = deep_classifier()
    start = classifier.model.get_weights()
    moves = {}
    for decay in (1.0, 0.125):
        classifier.model.set_weights(start)
        shares = depth_rates(classifier, decay)
        compiled(classifier.model, make_optimizer(phase(**values), 1, 0.0, shares)).train_on_batch(
            *batch()
        )
        moves[decay] = {
            variable.path: after - before
            for variable, after, before in zip(
                classifier.model.variables, classifier.model.get_weights(), start, strict=True
            )
        }
    expected = {"first": 0.125, "second": 0.25, "third": 0.5, "logits": 1.0}
    for path, move in moves[0.125].items():
        share = expected[path.split("/")[-2]]
        np.testing.assert_allclose(move, share * moves[1.0][path], rtol=1e-3, atol=2e-7)


def test_rates_by_depth_work_with_half_precision_scaling_and_averages() -> None:
    classifier = deep_classifier()
    shares = depth_rates(classifier, 0.5)
    inner = make_optimizer(phase(accumulate=2), 1, 0.9, shares)
    trainer = compiled(classifier.model, keras.optimizers.LossScaleOptimizer(inner))
    before = classifier.model.get_weights()
    for _ in range(2):
        trainer.train_on_batch(*batch())
    assert any((a != b).any() for a, b in zip(classifier.model.get_weights(), before, strict=True))
