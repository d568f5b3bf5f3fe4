"""A depthwise convolution of TensorFlow whose kernel's gradient is quick on a CPU."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ajl_tf.training.devices import gpus

_WIDEST = 3  # of the kernels for which oneDNN has a gradient of its own


def is_quicker(layer: Any, x: Any) -> bool:
    """Whether `convolve` can take the place of a Keras layer for `x`, and is worth it."""
    return (
        layer.trainable
        and max(layer.kernel_size) > _WIDEST
        and layer.strides[0] == layer.strides[1]
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
        and None not in x.shape[1:3]
        and not gpus()
    )


def convolve(x: Any, kernel: Any, stride: int, padding: str) -> Any:
    """What `tf.nn.depthwise_conv2d` is, with the same gradients.

    oneDNN has no gradient of its own for the kernel of a depthwise convolution wider than 3, and
    takes the one for grouped convolutions, which is two to three times as slow as TensorFlow's.
    With explicit padding the operation stays TensorFlow's.

    Args:
        x: float32 `(N, H, W, C)`.
        kernel: float32 `(h, w, C, M)`.
        stride: The same both ways.
        padding: `same` or `valid`.

    Returns:
        float32 `(N, H', W', C * M)`.
    """
    strides, padding = [1, stride, stride, 1], padding.upper()

    @tf.custom_gradient
    def convolved(x: Any, kernel: Any) -> Any:
        y = tf.nn.depthwise_conv2d(x, kernel, strides, padding)

        def gradients(dy: Any) -> tuple[Any, Any]:
            of_x = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), kernel, dy, strides, padding)
            around = [(0, 0), *_around(x, y, kernel, stride, padding), (0, 0)]
            of_kernel = tf.nn.depthwise_conv2d_backprop_filter(x, kernel.shape, dy, strides, around)
            return of_x, of_kernel

        return y, gradients

    return convolved(x, kernel)


def _around(x: Any, y: Any, kernel: Any, stride: int, padding: str) -> list[tuple[int, int]]:
    """Pixels that are added above and below, left and right."""
    if padding == "VALID":
        return [(0, 0), (0, 0)]
    missing = [
        max(0, (y.shape[axis] - 1) * stride + kernel.shape[axis - 1] - x.shape[axis])
        for axis in (1, 2)
    ]
    return [(number // 2, number - number // 2) for number in missing]
