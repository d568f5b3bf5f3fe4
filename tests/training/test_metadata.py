"""Training with metadata: what is forgotten when, what is blended, and that it is learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.dataset.metadata import Column
from ajl_tf.models.classifier import build_classifier
from ajl_tf.models.metadata import MetadataEncoding
from ajl_tf.training import augment as augmentation
from ajl_tf.training.fitting import Recipe, Rows, fit
from ajl_tf.training.plan import EpochPlan, forgotten
from ajl_tf.training.predicting import image_predictor
from ajl_tf.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
N, CLASSES, SIZE = 48, 3, 32
COLUMNS = (Column("site", "category", ("arm", "face", "leg")), Column("age", "number", (), 50, 20))
KEYS = np.arange(4000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
PLAN = EpochPlan(3, np.arange(4000), KEYS, None, None, SIZE, SIZE, None, 2, 0.3)


def test_each_photo_forgets_what_seed_epoch_and_its_name_say() -> None:
    rows, gone = PLAN(5)
    assert gone.shape == (4000, PLAN.draws) == (4000, 2)
    assert set(np.unique(gone)) == {0, 1}
    again = replace(PLAN, rows=np.arange(0, 4000, 7))
    fewer, same = again(5)
    by_row = dict(zip(rows, gone.tolist(), strict=True))
    assert [by_row[row] for row in fewer] == same.tolist()
    assert (PLAN(6)[1][np.argsort(PLAN(6)[0])] != gone[np.argsort(rows)]).any()
    augmented = replace(PLAN, augment=Augment(rotation=20.0))
    order, drawn = augmented(5)
    np.testing.assert_array_equal(order, rows)
    np.testing.assert_array_equal(drawn[:, augmentation.WIDTH :], gone)
    plain = replace(augmented, metadata=0)(5)[1]
    np.testing.assert_array_equal(drawn[:, : augmentation.WIDTH], plain)


def test_all_is_forgotten_at_the_rate_and_of_several_each_by_itself_too() -> None:
    gone = PLAN(0)[1]
    kept = 1 - gone.mean(axis=0)
    np.testing.assert_allclose(kept, 0.7 * 0.7, atol=0.03)
    assert gone.all(axis=1).mean() == pytest.approx(0.3 + 0.7 * 0.09, abs=0.03)
    one = replace(PLAN, metadata=1)(0)[1]
    assert one.mean() == pytest.approx(0.3, abs=0.03)
    assert not forgotten(np.zeros((5, 3)), 0.0).any()


class Second(keras.layers.Layer):
    """Of two inputs the second."""

    def call(self, inputs: list[Any]) -> Any:
        return inputs[1]


def test_the_train_step_encodes_what_is_left_and_blends_it_as_the_photos() -> None:
    augment = Augment(mixup=0.8)
    u = np.random.default_rng(0).random((5, augmentation.UNIFORMS))
    drawn = augmentation.draw(augment, u, SIZE, SIZE)
    gone = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0]], np.float32)
    codes = np.array([[0, 70], [1, 30], [2, 50], [1, 90], [np.nan, 10]], np.float32)
    encoded = np.array(
        [[1, 0, 0, 1, 1], [0, 0, 0, -1, 1], [0, 0, 1, 0, 0], [0] * 5, [0, 0, 0, -2, 1]]
    )
    images, inputs = keras.Input((SIZE, SIZE, 3)), keras.Input((5,))
    network = keras.Model([images, inputs], Second()([images, inputs]))
    encoding = MetadataEncoding(COLUMNS, dtype="float32")
    trainer = Trainer(network, augment, SIZE, None, False, encoding=encoding)
    batch = {
        "source": np.zeros((5, SIZE, SIZE, 3), np.uint8),
        "drawn": np.concatenate([drawn, gone], axis=1),
        "metadata": codes,
    }
    own = drawn[:, augmentation.MIX][:, :1]
    expected = own * encoded + (1 - own) * encoded[[1, 0, 3, 2, 4]]
    assert own.min() < 0.9
    np.testing.assert_allclose(trainer(batch), expected, atol=1e-5)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Photos that say nothing of their label; the site says it all, where it is known."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % CLASSES
    codes = np.stack([labels, rng.normal(50, 20, N)], axis=1).astype(np.float32)
    codes[rng.random((N, 2)) < 0.1] = np.nan
    return Rows(
        rng.integers(0, 256, (N, 36, 36, 3)).astype(np.uint8),
        np.arange(N, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.full(N, -1),
        ("acne", "eczema", "scabies"),
        np.arange(N // 2),
        np.arange(N // 2, N),
        codes,
    )


@pytest.mark.parametrize("cached", [True, False])
def test_what_decides_the_label_is_learnt_and_can_be_done_without(
    rows: Rows, tmp_path: Path, cached: bool
) -> None:
    keras.utils.set_random_seed(0)
    classifier = build_classifier("tiny", "none", SIZE, CLASSES, 0.0, metadata=COLUMNS)
    phase = Phase(
        name="only",
        epochs=16 if cached else 8,
        augment=not cached,
        unfreeze=0.0 if cached else 1.0,
        learning_rate=3e-2,
        schedule="constant",
    )
    augment = Augment(horizontal_flip=True, mixup=0.2)
    training = Training(batch_size=12, keep="last")
    recipe = Recipe(1, SIZE, (phase,), Loss(), Balance(), augment, training, metadata_dropout=0.3)
    fit(classifier, rows, recipe, tmp_path, announce=False)

    def answers(codes: Any) -> np.ndarray:
        predict = image_predictor(classifier.model, SIZE, codes)
        return predict(rows.canvases, rows.validation, 8)

    known = ~np.isnan(rows.metadata[rows.validation, 0])
    labels = rows.labels[rows.validation]
    logits, nothing = answers(rows.metadata), answers(np.full_like(rows.metadata, np.nan))
    assert (logits.argmax(axis=1) == labels)[known].mean() > 0.95
    assert (nothing.argmax(axis=1) == labels)[known].mean() < 0.7
    # Where nothing is known it is unsure, having learnt that then it cannot tell.
    chances = np.exp(nothing) / np.exp(nothing).sum(axis=1, keepdims=True)
    sure = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert chances.max(axis=1).mean() < 0.75 < sure[known].max(axis=1).mean()
