"""Pooling that learns where to look: against NumPy, in both kinds of phases, saved and loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.models.classifier import Classifier, build_classifier, load_classifier, unfreeze
from ajl_tf.models.layers import AttentionPooling
from ajl_tf.training.fitting import Recipe, Rows, fit

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
SIZE, CLASSES = 32, 2
RNG = np.random.default_rng(0)


def classifier(pooling: Any) -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier("tiny", "none", SIZE, CLASSES, 0.0, pooling=pooling)


def test_it_is_the_softmax_weighted_mean_by_hand_and_begins_as_the_average() -> None:
    x = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    pool = AttentionPooling()
    np.testing.assert_allclose(pool(x), x.mean(axis=(1, 2)), atol=1e-6)
    seen, wanted = RNG.normal(size=(5, 64)), RNG.normal(size=64)
    pool.set_weights([seen, wanted])
    for photo, pooled, placed in zip(x, pool(x), pool.weights_of_places(x), strict=True):
        score = {
            (i, j): np.exp(np.tanh(photo[i, j] @ seen) @ wanted) for i in range(3) for j in range(4)
        }
        total = sum(score.values())
        expected = sum(photo[place] * value / total for place, value in score.items())
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-5)
        assert float(placed[1, 2]) == pytest.approx(score[1, 2] / total, rel=1e-3)


def photos(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one small spot, red or blue, anywhere: the label is its colour."""
    labels = np.arange(n) % 2
    canvases = RNG.integers(80, 120, (n, SIZE, SIZE, 3))
    for canvas, label, (top, left) in zip(
        canvases, labels, RNG.integers(0, SIZE - 9, (n, 2)), strict=True
    ):
        canvas[top : top + 9, left : left + 9, 2 * label] = 250
    return canvases.astype(np.uint8), labels


@pytest.mark.parametrize("unfrozen", [0.0, 1.0])
def test_it_learns_in_a_frozen_phase_too_and_is_kept(tmp_path: Path, unfrozen: float) -> None:
    canvases, labels = photos(24)
    rows = Rows(
        canvases,
        np.arange(24, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.ones(24, np.int64),
        ("blue", "red"),
        np.arange(16),
        np.arange(16, 24),
    )
    phase = Phase(
        name="only",
        epochs=3,
        unfreeze=unfrozen,
        augment=False,
        learning_rate=0.05,
        schedule="constant",
    )
    recipe = Recipe(
        1, SIZE, (phase,), Loss(), Balance(), Augment(), Training(batch_size=8, keep="last")
    )
    network = classifier("attention")
    pool = network.features.get_layer("pooled_features")
    before = [w.copy() for w in pool.get_weights()]
    backbone = [w.copy() for w in network.model.get_layer("conv_1").get_weights()]
    fit(network, rows, recipe, tmp_path, announce=False)
    assert np.abs(pool.get_weights()[1] - before[1]).max() > 1e-3
    moved = not np.array_equal(network.model.get_layer("conv_1").get_weights()[0], backbone[0])
    assert moved == bool(unfrozen)
    # What was scored while training is what the network says: no feature was out of date.
    last = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])
    logits = network.model(canvases[16:].astype(np.float32)).numpy().astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = chances[np.arange(8), labels[16:]]
    assert last["val_loss"] == pytest.approx(-np.log(own).mean(), rel=1e-3)
    network.model.save(tmp_path / "model.keras")
    loaded = load_classifier(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(canvases[:3]), network.model(canvases[:3]), rtol=1e-5)


def test_freezing_everything_leaves_the_pooling_to_learn_and_counts_only_the_backbone() -> None:
    network = classifier("attention")
    assert unfreeze(network, 0.0) == 0
    assert len(network.features.trainable_weights) == 2
    assert unfreeze(network, 1.0) == unfreeze(classifier("average"), 1.0) == 2
