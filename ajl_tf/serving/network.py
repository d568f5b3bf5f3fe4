"""One trained network as a SavedModel runs it: from the shared canvas to features and logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import keras
import tensorflow as tf

from ajl_tf.dataset.images import fit
from ajl_tf.dataset.metadata import Column
from ajl_tf.dataset.views import Views, averaged
from ajl_tf.models.metadata import columns_of
from ajl_tf.training.folding import baked

FEATURES = "pooled_features"  # the layer's name, see models.classifier

Outputs = Callable[..., tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Member:
    """One network of a SavedModel.

    Attributes:
        model: A classifier, float32 images `(N, S, S, 3)` in [0, 255] -> logits `(N, C)`; perhaps
            from images and codes of metadata.
        input_size: S.
        canvas: Side of the canvas that it was trained from; None: that of the SavedModel.
        views: Of each photo, whose logits and features are averaged, see `dataset.views`.
        weight: Of its logits among those of all members; weights are divided by their sum.
    """

    model: keras.Model
    input_size: int
    canvas: int | None = None
    views: Views = "none"
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
        widths = [output.shape[-1] for output in network.outputs]

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
            features, logits = averaged(both, canvases, self.input_size, self.views, widths)
            return features, logits

        return outputs
