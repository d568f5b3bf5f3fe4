"""The classifier with metadata: its encoding against NumPy, and what it does without them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ajl_tf.dataset.metadata import Column
from ajl_tf.models.classifier import (
    Classifier,
    at_size,
    build_classifier,
    load_classifier,
    unfreeze,
)
from ajl_tf.models.metadata import columns_of, photo_only

pytestmark = pytest.mark.usefixtures("tiny_backbone")
COLUMNS = (
    Column("sex", "category", ("female", "male", "other")),
    Column("age", "number", (), 40.0, 16.0),
)
NAN = float("nan")
CODES = np.array([[0, 56], [2, NAN], [NAN, 24], [1, 1000], [NAN, NAN]], np.float32)
ENCODED = [[1, 0, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, -1, 1], [0, 1, 0, 5, 1], [0, 0, 0, 0, 0]]


@pytest.fixture(scope="module")
def classifier(tiny_backbone: str) -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier(tiny_backbone, "none", 32, 3, 0.0, metadata=COLUMNS)


@pytest.fixture(scope="module")
def photos() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)), tf.float32)


def test_the_encoding_is_one_hot_or_standardised_and_nothing_where_unknown(
    classifier: Classifier,
) -> None:
    assert classifier.encoding is not None
    np.testing.assert_allclose(classifier.encoding(CODES), ENCODED, atol=1e-6)


def test_logits_are_those_of_photo_and_metadata_added_up(
    classifier: Classifier, photos: tf.Tensor
) -> None:
    hidden, kernel, bias = classifier.head.get_weights()
    pooled = classifier.features(photos).numpy()
    size = pooled.shape[1]
    told = np.maximum(np.array(ENCODED) @ hidden, 0) @ kernel[size:]
    expected = pooled @ kernel[:size] + bias + told
    logits = classifier.model([photos, tf.constant(CODES)])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert np.abs(told[:4]).max(axis=1).min() > 1e-3


def test_nothing_known_is_the_photo_alone_to_the_bit(
    classifier: Classifier, photos: tf.Tensor
) -> None:
    alone, codes = photo_only(classifier.model), tf.constant(CODES)
    np.testing.assert_array_equal(
        alone(photos), classifier.model([photos, tf.fill(codes.shape, NAN)])
    )
    assert (alone.get_layer("head").output.shape, len(alone.inputs)) == ((None, 3), 1)
    plain = build_classifier("tiny", "none", 32, 3, 0.0)
    assert photo_only(plain.model) is plain.model
    assert columns_of(plain.model) == ()


def test_what_it_knows_is_in_the_file(
    classifier: Classifier, photos: tf.Tensor, tmp_path: Path
) -> None:
    classifier.model.save(tmp_path / "model.keras")
    loaded = load_classifier(tmp_path / "model.keras")
    assert columns_of(loaded) == COLUMNS
    codes = tf.constant(CODES)
    np.testing.assert_array_equal(loaded([photos, codes]), classifier.model([photos, codes]))
    np.testing.assert_array_equal(photo_only(loaded)(photos), photo_only(classifier.model)(photos))


def test_a_view_of_it_takes_smaller_photos(classifier: Classifier, photos: tf.Tensor) -> None:
    small = at_size(classifier.fused, 24)
    seen, encoded = photos[:, :24, :24], tf.constant(ENCODED, tf.float32)
    pooled = at_size(classifier.features, 24)(seen)
    np.testing.assert_allclose(
        small([seen, encoded]), classifier.head([pooled, encoded]), atol=1e-5
    )


def test_a_frozen_backbone_leaves_what_reads_the_metadata_to_train(classifier: Classifier) -> None:
    assert unfreeze(classifier, 0.0) == 0
    trained = [weight.path for weight in classifier.model.trainable_weights]
    assert trained == ["metadata_features/kernel", "logits/kernel", "logits/bias"]
