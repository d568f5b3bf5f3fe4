"""One trained network as a SavedModel runs it: from the shared canvas to features and logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import keras
import tensorflow as tf

from ajl_tf.dataset.images import fit, to_input
from ajl_tf.dataset.metadata import Column
from ajl_tf.models.metadata import columns_of
from ajl_tf.training.folding import baked

Views = Literal["none", "flips", "flips+crops"]
FEATURES = "pooled_features"  # the layer's name, see models.classifier
CROP = 0.875  # side of the crop, as a share of the canvas
_REVERSED: tuple[list[int], ...] = ([], [1], [2], [1, 2])

Outputs = Callable[..., tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Member:
    """One network of a SavedModel.

    Attributes:
        model: A classifier, float32 images `(N, S, S, 3)` in [0, 255] -> logits `(N, C)`; perhaps
            from images and codes of metadata.
        input_size: S.
        canvas: Side of the canvas that it was trained from; None: that of the SavedModel.
        views: Of each photo, whose logits and features are averaged: the photo alone; its eight
            flips and quarter turns (`flips`); these of the photo and of its middle (`flips+crops`).
        temperature: What its logits are divided by.
        weight: Of its probabilities among those of all members; they are divided by their sum.
    """

    model: keras.Model
    input_size: int
    canvas: int | None = None
    views: Views = "none"
    temperature: float = 1.0
    weight: float = 1.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """The M columns that it takes beside the photo."""
        return columns_of(self.model)

    @cached_property
    def network(self) -> keras.Model:
        """What answers: `model` -> pooled features and logits, its normalisations folded in."""
        outputs = [self.model.get_layer(FEATURES).output, self.model.outputs[0]]
        return baked(keras.Model(self.model.inputs, outputs))

    def outputs(self) -> Outputs:
        """A function of canvases, uint8 `(N, C, C, 3)` -> features `(N, D)`, logits `(N, C)`.

        Its second argument are codes `(N, M)` of the metadata, NaN where unknown; without it, or
        with None, nothing is known.
        """
        network = self.network

        def outputs(
            canvases: tf.Tensor, codes: tf.Tensor | None = None
        ) -> tuple[tf.Tensor, tf.Tensor]:
            if codes is None and self.columns:
                codes = tf.fill((tf.shape(canvases)[0], len(self.columns)), float("nan"))

            def both(images: tf.Tensor) -> list[tf.Tensor]:
                answered: list[tf.Tensor] = network(
                    [images, codes] if self.columns else images, training=False
                )
                return answered

            if self.canvas is not None:
                canvases = fit(canvases, self.canvas, "cover")
            if self.views == "none":
                features, logits = both(to_input(canvases, self.input_size))
                return features, logits
            kinds = (tf.TensorSpec((None, output.shape[-1])) for output in network.outputs)
            # One view after the other, so that eight take no more memory than one.
            features, logits = tf.map_fn(
                lambda view: tuple(both(view)),
                self._views(canvases),
                fn_output_signature=tuple(kinds),
                parallel_iterations=1,
            )
            return tf.reduce_mean(features, axis=0), tf.reduce_mean(logits, axis=0)

        return outputs

    def _views(self, canvases: tf.Tensor) -> tf.Tensor:
        """float32 `(V, N, S, S, 3)`."""
        seen = [to_input(canvases, self.input_size)]
        if self.views == "flips+crops":
            side = canvases.shape[1]
            edge = round(side * (1 - CROP) / 2)
            middle = canvases[:, edge : side - edge, edge : side - edge]
            seen.append(to_input(middle, self.input_size))
        seen += [tf.transpose(image, (0, 2, 1, 3)) for image in seen]
        # Height and width, exchanged or not, each reversed or not: all flips and quarter turns.
        return tf.stack([tf.reverse(image, axes) for image in seen for axes in _REVERSED])
