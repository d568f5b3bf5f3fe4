"""Soft labels of the label tree and adjusted logits, by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.training.targets import adjust_logits, soft_targets

NAMES = ("acne", "rosacea", "eczema", "melanoma")
PARENTS = {
    "acne": "follicles",
    "rosacea": "follicles",
    "eczema": "inflamed",
    "melanoma": "inflamed",
}


def test_a_share_of_the_label_goes_to_the_same_partition() -> None:
    expected = [[0.7, 0.3, 0, 0], [0.3, 0.7, 0, 0], [0, 0, 0.7, 0.3], [0, 0, 0.3, 0.7]]
    np.testing.assert_allclose(soft_targets(NAMES, PARENTS, 0.3), expected, rtol=1e-6)


def test_siblings_share_alike_and_an_only_child_keeps_its_own() -> None:
    parents = {**PARENTS, "eczema": "follicles"}
    targets = soft_targets(NAMES, parents, 0.3)
    np.testing.assert_allclose(targets[0], [0.7, 0.15, 0.15, 0], rtol=1e-6)
    np.testing.assert_allclose(targets[3], [0, 0, 0, 1])
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)


def test_without_a_share_labels_are_one_hot_and_no_tree_is_needed() -> None:
    np.testing.assert_array_equal(soft_targets(NAMES, None, 0.0), np.eye(4))


@pytest.mark.parametrize("parents", [None, {"acne": "follicles"}])
def test_a_share_needs_the_partition_of_every_condition(parents: dict[str, str] | None) -> None:
    with pytest.raises(UserError, match=r"hierarchy_level(.|\n)*melanoma"):
        soft_targets(NAMES, parents, 0.1)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_adjusted_logits_are_as_if_classes_were_equally_common(strength: float) -> None:
    pooled = keras.Input((4,))
    head = keras.Model(pooled, keras.layers.Dense(3)(keras.layers.Dropout(0.5)(pooled)))
    features = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    before = np.asarray(head(features, training=False))
    adjust_logits(head, np.repeat([0, 1, 2], [1, 2, 5]), strength)
    after = np.asarray(head(features, training=False))
    expected = before - strength * np.log(np.array([1, 2, 5]) / 8)
    np.testing.assert_allclose(after, expected, atol=1e-5)
