"""Several views of a photo, whose answers are averaged: test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from ajl_tf.dataset.images import to_input

# The photo alone; its eight flips and quarter turns; these of the photo and of its middle.
Views = Literal["none", "flips", "flips+crops"]
CROP = 0.875  # side of the middle, as a share of the canvas
_REVERSED: tuple[list[int], ...] = ([], [1], [2], [1, 2])


def averaged(
    answer: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    canvases: tf.Tensor,
    size: int,
    views: Views,
    widths: Sequence[int],
) -> list[tf.Tensor]:
    """What a network answers to photos, each output the mean over the views of a photo.

    Args:
        answer: float32 images `(N, size, size, 3)` -> outputs `(N, W)`.
        canvases: `(N, C, C, 3)`.
        size: Side of the network's input in pixels.
        views: Of each photo.
        widths: The W of each output.
    """
    if views == "none":
        return list(answer(to_input(canvases, size)))
    # One view after the other, so that eight take no more memory than one.
    outputs = tf.map_fn(
        lambda view: tuple(answer(view)),
        _seen(canvases, size, views),
        fn_output_signature=tuple(tf.TensorSpec((None, width)) for width in widths),
        parallel_iterations=1,
    )
    return [tf.reduce_mean(output, axis=0) for output in outputs]


def _seen(canvases: tf.Tensor, size: int, views: Views) -> tf.Tensor:
    """float32 `(V, N, size, size, 3)`."""
    seen = [to_input(canvases, size)]
    if views == "flips+crops":
        side = canvases.shape[1]
        edge = round(side * (1 - CROP) / 2)
        seen.append(to_input(canvases[:, edge : side - edge, edge : side - edge], size))
    seen += [tf.transpose(image, (0, 2, 1, 3)) for image in seen]
    # Height and width, exchanged or not, each reversed or not: all flips and quarter turns.
    return tf.stack([tf.reverse(image, axes) for image in seen for axes in _REVERSED])
