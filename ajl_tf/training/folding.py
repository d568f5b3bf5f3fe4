"""A faster view of a network in training: convolutions with the frozen normalisation behind them.

A BatchNormalization that holds still multiplies and shifts every activation by constants. Folded
into the convolution's kernel and a bias, the same function of the same weights needs one pass over
memory instead of three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops


class NormalizedConvolution(keras.layers.Layer):
    """A convolution and the frozen BatchNormalization that alone reads it, in one operation."""

    def __init__(self, convolution: keras.layers.Layer, norm: keras.layers.BatchNormalization):
        """The weights stay those of the two layers."""
        super().__init__(name=f"{convolution.name}_normalized")
        self.convolution = convolution
        self.norm = norm

    def call(self, x: Any) -> Any:
        """What `norm(convolution(x))` is, with the same gradients."""
        layer, norm = self.convolution, self.norm
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        bias = -norm.moving_mean * scale
        if norm.center:
            bias = bias + norm.beta
        if layer.use_bias:
            bias = bias + layer.bias * scale
        kernel = layer.kernel
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = kernel * ops.reshape(scale, (1, 1, *kernel.shape[2:]))
            convolve = ops.depthwise_conv
        else:
            kernel = kernel * scale
            convolve = ops.conv
        y = convolve(
            x,
            kernel,
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
            data_format=layer.data_format,
        )
        return _with_bias(y, bias)


def folded(model: keras.Model) -> keras.Model:
    """A view of a functional model whose frozen normalisations are folded; it shares all weights.

    Args:
        model: Float32, with BatchNormalization layers that are frozen or not; only those that are,
            and directly follow a convolution that nothing else reads, are folded.

    Returns:
        A model of the same function and the same trainable weights, to be called, not saved.
    """
    pairs = dict(_pairs(model))
    norms = set(pairs.values())

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer in pairs:
            return NormalizedConvolution(layer, pairs[layer])(*args)
        return args[0] if layer in norms else layer(*args, **kwargs)

    if not pairs:
        return model
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _pairs(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Each convolution with the normalisation to fold into it."""
    # A layer may also have nodes of other models, so that only this model's count.
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    calls = Counter(node.operation for node in nodes)
    reads = Counter(parent.operation for node in nodes for parent in node.parent_nodes)
    for node in nodes:
        norm = node.operation
        if not isinstance(norm, keras.layers.BatchNormalization) or norm.trainable:
            continue
        (parent,) = node.parent_nodes
        layer = parent.operation
        if (
            type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
            and layer.activation is keras.activations.linear
            and calls[layer] == calls[norm] == reads[layer] == 1
        ):
            yield layer, norm


def _with_bias(y: Any, bias: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.bias_add(
            y, bias
        )  # the form that its graph optimiser merges with what is around
    return y + bias
