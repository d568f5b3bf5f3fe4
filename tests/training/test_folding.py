"""The folded view is the network: the same outputs and gradients, of the same weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ajl_tf.models.classifier import build_classifier, unfreeze
from ajl_tf.training.folding import NormalizedConvolution, baked, folded

RNG = np.random.default_rng(0)


def network(convolution: Any, **norm: Any) -> keras.Model:
    """A convolution and a frozen normalisation whose numbers are far from its first ones."""
    inputs = keras.Input((9, 8, 4))
    x = convolution(layers.Activation("relu")(inputs))
    frozen = layers.BatchNormalization(trainable=False, **norm)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Activation("tanh")(frozen(x))))
    frozen.set_weights([RNG.uniform(0.5, 2, weight.shape) for weight in frozen.weights])
    return model


def gradients(model: Any, variables: Any, x: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = tf.reduce_sum(outputs**2)
    found = tape.gradient(loss, [variable.value for variable in variables])
    return outputs.numpy(), [gradient.numpy() for gradient in found]


def joined(model: keras.Model) -> int:
    return sum(isinstance(layer, NormalizedConvolution) for layer in folded(model).layers)


def assert_same_function(model: keras.Model, size: tuple[int, ...]) -> None:
    x = tf.constant(RNG.normal(size=size), tf.float32)
    outputs, expected = gradients(model, model.trainable_variables, x)
    again, found = gradients(folded(model), model.trainable_variables, x)
    np.testing.assert_allclose(again, outputs, rtol=1e-4, atol=1e-4)
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-3 * np.abs(theirs).max())


CONVOLUTIONS = [
    lambda: layers.DepthwiseConv2D(5, padding="same", use_bias=False),
    lambda: layers.DepthwiseConv2D((4, 5), strides=2, padding="same", depth_multiplier=2),
    lambda: layers.DepthwiseConv2D((5, 3), strides=2),
    lambda: layers.DepthwiseConv2D(5, dilation_rate=2, padding="same"),
    lambda: layers.Conv2D(6, 3, use_bias=False),
    lambda: layers.Conv2D(6, 3, strides=2, padding="same"),
    lambda: layers.Conv2D(6, 2, dilation_rate=2, groups=2),
    lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
    lambda: layers.DepthwiseConv2D(2, depth_multiplier=3),
]


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_convolutions(convolution: Any) -> None:
    model = network(convolution())
    assert joined(model) == 1
    assert_same_function(model, (3, 9, 8, 4))


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_inference_folds_what_trains_as_well(convolution: Any) -> None:
    model = network(convolution())
    for layer in model.layers:
        layer.trainable = True
    x = tf.constant(RNG.normal(size=(3, 9, 8, 4)), tf.float32)
    expected = model(x, training=False).numpy()
    for view in (folded(model, inference=True), baked(model)):
        assert not any(isinstance(each, layers.BatchNormalization) for each in view.layers)
        np.testing.assert_allclose(view(x, training=False), expected, rtol=1e-4, atol=1e-4)


def test_what_is_baked_keeps_its_weights() -> None:
    model = network(layers.DepthwiseConv2D(3, use_bias=False))
    x = tf.constant(RNG.normal(size=(2, 9, 8, 4)), tf.float32)
    plain = baked(model)
    before = plain(x).numpy()
    # The rest is shared: only convolution and normalisation get other numbers.
    for layer in model.layers[2:4]:
        layer.set_weights([weight * 1.5 for weight in layer.get_weights()])
    np.testing.assert_array_equal(plain(x), before)
    assert not np.allclose(model(x), before)


def test_half_precision_keeps_its_normalisation() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(layers.Conv2D(5, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    assert joined(model) == 0


@pytest.mark.parametrize("norm", [{"scale": False}, {"center": False}, {"epsilon": 0.3}])
def test_normalisations(norm: dict[str, Any]) -> None:
    model = network(layers.Conv2D(5, 3), **norm)
    assert joined(model) == 1
    assert_same_function(model, (2, 9, 8, 4))


def test_a_whole_classifier() -> None:
    classifier = build_classifier("efficientnet_lite0", "imagenet", 64, 3, 0.0)
    unfreeze(classifier, 0.5)
    assert joined(classifier.model) == 49  # every normalisation of the network
    x = tf.constant(RNG.uniform(0, 255, (2, 64, 64, 3)), tf.float32)
    plain, expected = gradients(classifier.model, classifier.model.trainable_variables, x)
    view, found = gradients(folded(classifier.model), classifier.model.trainable_variables, x)
    np.testing.assert_allclose(view, plain, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() <= 0.01 * np.abs(theirs).max()


def test_what_cannot_be_folded_stays() -> None:
    trains = network(layers.Conv2D(5, 3))
    for layer in trains.layers:
        layer.trainable = True
    assert folded(trains) is trains
    assert joined(network(layers.Conv2D(5, 3, activation="relu"))) == 0

    inputs = keras.Input((9, 8, 4))
    x = layers.Conv2D(4, 1)(inputs)
    norm = layers.BatchNormalization(trainable=False)
    shared = keras.Model(inputs, layers.Add()([x, norm(x)]))  # reads the convolution itself, too
    assert joined(shared) == 0
    convolution = layers.Conv2D(4, 1)
    twice = keras.Model(inputs, norm(convolution(convolution(inputs))))
    assert joined(twice) == 0


def test_a_second_view_of_the_same_layers() -> None:
    model = network(layers.Conv2D(5, 3))
    folded(model)
    assert joined(model) == 1
    assert_same_function(model, (2, 9, 8, 4))


def test_it_follows_the_weights() -> None:
    model = network(layers.Conv2D(5, 3))
    view = folded(model)
    x = RNG.normal(size=(1, 9, 8, 4)).astype(np.float32)
    before = view(x).numpy()
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    assert not np.allclose(view(x).numpy(), before)
    np.testing.assert_allclose(view(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-4)
