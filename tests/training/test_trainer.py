"""The train step against sums in NumPy: losses, weights of blends, optimizers, schedules."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.config import Augment, Loss
from ajl_tf.training import augment as augmentation
from ajl_tf.training.trainer import Trainer, make_loss

RNG = np.random.default_rng(0)


def uniform(n: int) -> np.ndarray:
    return np.random.default_rng(1).random((n, augmentation.UNIFORMS))


FEATURES = RNG.normal(size=(8, 4)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 0, 1, 2, 2]]
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)
BIAS = np.array([0.1, -0.2, 0.3], np.float32)
WEIGHTS = np.array([0.5, 1.0, 2.5], np.float32)


def head() -> keras.Model:
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3, name="logits")(x))
    model.set_weights([KERNEL, BIAS])
    return model


def batch(rows: slice = slice(None)) -> tuple[dict[str, np.ndarray], np.ndarray]:
    n = len(FEATURES[rows])
    return {"source": FEATURES[rows], "drawn": np.empty((n, 0), np.float32)}, LABELS[rows]


def trainer_on_features(
    loss: Loss = Loss(),  # noqa: B008 - frozen
    optimizer: Any = None,
    class_weights: np.ndarray | None = None,
) -> Trainer:
    trainer = Trainer(head(), None, 1, class_weights, xla=False)
    trainer.compile(
        optimizer or keras.optimizers.SGD(0.0), make_loss(loss), run_eagerly=True, jit_compile=False
    )
    return trainer


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def loss_by_hand(
    logits: np.ndarray, labels: np.ndarray, loss: Loss, weights: np.ndarray | None = None
) -> float:
    own = np.ones(len(labels)) if weights is None else labels @ weights
    smooth = loss.label_smoothing
    targets = labels * (1 - smooth) + smooth / labels.shape[1]
    p = softmax(logits.astype(np.float64))
    focus = (1 - p) ** loss.focal_gamma if loss.name == "focal" else 1.0
    return float(np.mean(own * -(targets * focus * np.log(p)).sum(axis=1)))


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    "loss",
    [
        Loss(),
        Loss(label_smoothing=0.1),
        Loss(name="focal"),
        Loss(name="focal", focal_gamma=0.5, label_smoothing=0.2),
    ],
    ids=str,
)
def test_the_loss_is_the_one_by_hand(loss: Loss, class_weights: np.ndarray | None) -> None:
    trainer = trainer_on_features(loss, class_weights=class_weights)
    expected = loss_by_hand(FEATURES @ KERNEL + BIAS, LABELS, loss, class_weights)
    assert trainer.train_on_batch(*batch()) == pytest.approx(expected, rel=1e-5)


def test_focal_without_focus_is_the_crossentropy() -> None:
    losses = [
        trainer_on_features(loss).train_on_batch(*batch())
        for loss in (Loss(), Loss(name="focal", focal_gamma=0.0))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def image_model() -> keras.Model:
    x = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(3)(pooled))
    model.set_weights([KERNEL[:3], BIAS])
    return model


def test_a_blend_weighs_as_the_blend_of_its_classes() -> None:
    augment = Augment(mixup=0.8, brightness=0.2)
    canvases = RNG.integers(0, 256, (7, 10, 10, 3), dtype=np.uint8)
    drawn = augmentation.draw(augment, uniform(7), 10, 8)
    trainer = Trainer(image_model(), augment, 8, WEIGHTS, xla=False)
    loss = Loss(label_smoothing=0.1)
    trainer.compile(keras.optimizers.SGD(0.0), make_loss(loss), run_eagerly=True, jit_compile=False)
    got = trainer.train_on_batch({"source": canvases, "drawn": drawn}, LABELS[:7])

    images = keras.ops.convert_to_numpy(augmentation.apply(canvases, drawn, 8, augment))
    labels = keras.ops.convert_to_numpy(augmentation.apply_to_labels(LABELS[:7], drawn, augment))
    assert 0.05 < labels[0].max() < 0.95 or 0.05 < labels[2].max() < 0.95  # there are blends
    logits = images.mean(axis=(1, 2)) / 255 @ KERNEL[:3] + BIAS
    assert got == pytest.approx(loss_by_hand(logits, labels, loss, WEIGHTS), rel=1e-4)


def test_the_wrapped_model_knows_nothing_of_augmentation() -> None:
    model = image_model()
    before = len(model.layers)
    Trainer(model, Augment(rotation=20.0), 8, None, xla=False)
    assert len(model.layers) == before
    assert model.input_shape == (None, 8, 8, 3)


def test_xla_gives_the_same_step() -> None:
    augment = Augment(rotation=10.0, brightness=0.1)
    canvases = RNG.integers(0, 256, (6, 10, 10, 3), dtype=np.uint8)
    drawn = augmentation.draw(augment, uniform(6), 10, 8)
    losses, weights = [], []
    for xla in (False, True):
        trainer = Trainer(image_model(), augment, 8, WEIGHTS, xla=xla)
        trainer.compile(keras.optimizers.SGD(0.5), make_loss(Loss()), jit_compile=False)
        for _ in range(2):
            loss = trainer.train_on_batch({"source": canvases, "drawn": drawn}, LABELS[:6])
        losses.append(loss)
        weights.append(trainer.model.get_weights())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(plain, compiled, atol=1e-5)
