"""Several views of a photo: what they average, what they cannot tell apart, whatever the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ajl_tf.serving.network import Member, Outputs

CANVASES = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def outputs(tiny_classifiers: list[Any]) -> dict[str, Outputs]:
    """By name of the views, of a network that tells a photo from its mirror image."""
    model = tiny_classifiers[0].model
    spec = tf.TensorSpec((None, 40, 40, 3), tf.uint8)
    return {
        views: tf.function(Member(model, 32, views=views).outputs(), input_signature=[spec])
        for views in ("none", "flips", "flips+crops")
    }


def resized(canvases: np.ndarray) -> np.ndarray:
    array: np.ndarray = tf.image.resize(canvases, (32, 32)).numpy()
    return array


def eight(images: np.ndarray) -> list[np.ndarray]:
    """Every flip and quarter turn, by NumPy."""
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(4)]
    return turned + [image[:, ::-1] for image in turned]


def test_the_logits_and_features_of_all_views_are_averaged(
    outputs: dict[str, Outputs], tiny_classifiers: list[Any]
) -> None:
    whole, middle = resized(CANVASES), resized(CANVASES[:, 2:38, 2:38])  # 0.875 of 40, to a pixel
    seen = {
        "none": [whole],
        "flips": eight(whole),
        "flips+crops": [*eight(whole), *eight(middle)],
    }
    classifier = tiny_classifiers[0]
    for name, views in seen.items():
        features, logits = outputs[name](tf.constant(CANVASES))
        by_hand = np.mean([classifier.model(view, training=False) for view in views], axis=0)
        np.testing.assert_allclose(logits, by_hand, atol=1e-4)
        by_hand = np.mean([classifier.features(view, training=False) for view in views], axis=0)
        np.testing.assert_allclose(features, by_hand, atol=1e-4)


@pytest.mark.parametrize("views", ["flips", "flips+crops"])
def test_a_flipped_or_turned_photo_gets_the_same_answer(
    outputs: dict[str, Outputs], views: str
) -> None:
    plain = outputs["none"](tf.constant(CANVASES))[1].numpy()
    expected = outputs[views](tf.constant(CANVASES))[1].numpy()
    for turned in eight(CANVASES)[1:]:
        assert np.abs(outputs["none"](tf.constant(turned))[1] - plain).max() > 0.01
        got = outputs[views](tf.constant(turned))[1]
        np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("views", ["flips", "flips+crops"])
def test_the_answer_does_not_depend_on_the_batch(outputs: dict[str, Outputs], views: str) -> None:
    together = outputs[views](tf.constant(CANVASES))[1].numpy()
    alone = [outputs[views](tf.constant(CANVASES[i : i + 1]))[1].numpy()[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_canvas_of_its_own_is_made_from_the_shared_one(tiny_classifiers: list[Any]) -> None:
    model = tiny_classifiers[0].model
    shared = np.random.default_rng(1).integers(0, 256, (2, 60, 60, 3), np.uint8)
    smaller = tf.cast(tf.round(tf.image.resize(shared, (40, 40), antialias=True)), tf.uint8)
    got = Member(model, 32, canvas=40).outputs()(tf.constant(shared))[1]
    np.testing.assert_allclose(got, Member(model, 32).outputs()(smaller)[1], atol=1e-4)
