"""A faster form of a network: convolutions with the normalisation behind them.

A BatchNormalization that holds still multiplies and shifts every activation by constants. Folded
into the convolution's kernel and a bias, the same function of the same weights needs one pass over
memory instead of three. TensorFlow itself does so in inference, but not behind a depthwise
convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
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

    def kernel_and_bias(self) -> tuple[Any, Any]:
        """What the convolution multiplies with and adds, the normalisation's share included."""
        layer, norm = self.convolution, self.norm
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        bias = -norm.moving_mean * scale
        if norm.center:
            bias = bias + norm.beta
        if layer.use_bias:
            bias = bias + layer.bias * scale
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            scale = ops.reshape(scale, (1, 1, *layer.kernel.shape[2:]))
        return layer.kernel * scale, bias

    def call(self, x: Any) -> Any:
        """What `norm(convolution(x))` is, with the same gradients."""
        kernel, bias = self.kernel_and_bias()
        return _with_bias(self._convolved(x, kernel), bias)

    def _convolved(self, x: Any, kernel: Any) -> Any:
        layer = self.convolution
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        if is_depthwise and keras.backend.backend() == "tensorflow":
            from ajl_tf.training import depthwise

            if depthwise.is_quicker(layer, x):
                return depthwise.convolve(x, kernel, layer.strides[0], layer.padding)
        return (ops.depthwise_conv if is_depthwise else ops.conv)(
            x,
            kernel,
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
            data_format=layer.data_format,
        )

    def baked(self, x: Any) -> Any:
        """What `call` gives, by a plain convolution with weights of its own."""
        layer = self.convolution
        plain = type(layer).from_config(layer.get_config() | {"use_bias": True})
        y = plain(x)
        plain.set_weights([ops.convert_to_numpy(each) for each in self.kernel_and_bias()])
        return y


def folded(model: keras.Model, *, inference: bool = False) -> keras.Model:
    """A view of a functional model whose normalisations are folded; it shares all weights.

    Args:
        model: With BatchNormalization layers; those that directly follow a convolution that nothing
            else reads are folded, where both compute in float32.
        inference: The view is for calls with `training=False` alone, so that normalisations that
            train hold still as well; else only those that are frozen are folded.

    Returns:
        A model of the same function and the same trainable weights, to be called, not saved.
    """
    return _without_norms(model, inference, NormalizedConvolution.__call__)


def baked(model: keras.Model) -> keras.Model:
    """What a functional model answers in inference, as a network that has fewer weights.

    Folded as `folded` does it, into plain convolutions with weights of their own; all other layers
    and their weights are shared.
    """
    return _without_norms(model, True, NormalizedConvolution.baked)


def _without_norms(
    model: keras.Model,
    inference: bool,
    joined: Callable[[NormalizedConvolution, Any], Any],
) -> keras.Model:
    pairs = dict(_pairs(model, inference))
    norms = set(pairs.values())

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer in pairs:
            return joined(NormalizedConvolution(layer, pairs[layer]), *args)
        return args[0] if layer in norms else layer(*args, **kwargs)

    if not pairs:
        return model
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _pairs(
    model: keras.Model, inference: bool
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Each convolution with the normalisation to fold into it."""
    # A layer may also have nodes of other models, so that only this model's count.
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    calls = Counter(node.operation for node in nodes)
    reads = Counter(parent.operation for node in nodes for parent in node.parent_nodes)
    for node in nodes:
        norm = node.operation
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        if norm.trainable and not inference:
            continue
        (parent,) = node.parent_nodes
        layer = parent.operation
        if (
            type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
            and layer.activation is keras.activations.linear
            # Half precision keeps Keras' own normalisation, which computes in float32.
            and layer.compute_dtype == norm.compute_dtype == "float32"
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
