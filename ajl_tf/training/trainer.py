"""The train step: augment, mix, weigh; wrapped around a classifier that knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ajl_tf.config import Augment, Loss
from ajl_tf.training import augment as augmentation
from ajl_tf.training.devices import batch_mean, is_shared
from ajl_tf.training.folding import folded
from ajl_tf.training.mitigation import RobustLoss, ToneAdversary


class Trainer(keras.Model):
    """Trains `model` on batches of `dataset.pipeline.training_batches`.

    Its inputs are `{"source", "drawn"}`: canvases with what was drawn for each, augmented here, on
    the device that trains; or, with `augment=None`, cached features that go in as they are. With
    `robust` or `adversary` there are `"groups"` as well, see `mitigation.tone_groups`; with
    `encoding` `"metadata"`, codes that are forgotten as the last numbers drawn say; on several
    devices `"counts"`, see `devices.batch_mean`.
    Evaluation, checkpoints and export see only `model`.
    """

    def __init__(
        self,
        model: keras.Model,
        augment: Augment | None,
        size: int,
        class_weights: np.ndarray | None,
        xla: bool,
        robust: RobustLoss | None = None,
        adversary: ToneAdversary | None = None,
        encoding: keras.layers.Layer | None = None,
    ):
        """Wraps `model`.

        Args:
            model: A classifier `(N, size, size, 3)` -> logits, or a head `(N, D)` -> logits; with
                an adversary, -> logits and pooled features. With `encoding` it takes a list of that
                and the encoding.
            augment: What the draws apply; None for features.
            size: Side of the classifier's input in pixels.
            class_weights: float32 `(C,)`, or None. A blended label weighs as the blend.
            xla: Compile the network with XLA. Only the network: the warp has no XLA kernel.
            robust: Weighs tone groups; needs a loss without reduction, as several devices do.
            adversary: Makes the features forget the tone.
            encoding: Encodes the codes of metadata.
        """
        # float32 whatever the policy: a half-precision warp would be off by whole pixels.
        super().__init__(dtype="float32", name="trainer")
        self.model = model
        self.augment = augment
        self.size = size
        self.class_weights = class_weights
        self.robust, self.adversary, self.encoding = robust, adversary, encoding
        self._forward = _quick(model, xla)
        # Takes the place of Keras' figure of the same name, which counts what fills a batch too.
        self.shown_loss = keras.metrics.Mean("loss") if is_shared() else None

    @property
    def states(self) -> list[Any]:
        """What a phase moves beside the network: variables of `robust` and `adversary`."""
        parts = (part for part in (self.robust, self.adversary) if part is not None)
        return [variable for part in parts for variable in part.variables]

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits `(N, C)` of a batch, augmented as drawn; with an adversary, features as well."""
        x = inputs["source"]
        if self.augment is not None:
            x = augmentation.apply(x, inputs["drawn"], self.size, self.augment)
        if self.encoding is not None:
            codes, drawn = inputs["metadata"], inputs["drawn"]
            gone = drawn[:, -codes.shape[1] :] > 0
            encoded = self.encoding(ops.where(gone, np.float32(np.nan), codes))
            if self.augment is not None:  # blended as the photos are
                encoded = augmentation.apply_to_labels(encoded, drawn, self.augment)
            x = [x, encoded]
        return self._forward(x, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss on blended labels, weighted by class, and what mitigates gaps."""
        groups = x.get("groups")
        if self.augment is not None:
            y = augmentation.apply_to_labels(y, x["drawn"], self.augment)
            if groups is not None:
                groups = augmentation.apply_to_labels(groups, x["drawn"], self.augment)
        if self.class_weights is not None:
            sample_weight = ops.matmul(y, ops.convert_to_tensor(self.class_weights)[:, None])[:, 0]
        logits = y_pred if self.adversary is None else y_pred[0]
        if self.loss.reduction:
            loss = super().compute_loss(x, y, logits, sample_weight, training)
        else:
            losses = self.loss(y, logits)
            losses = losses if sample_weight is None else losses * sample_weight
            loss = self.robust(losses, groups) if self.robust else batch_mean(losses, x["counts"])
            if self.shown_loss:
                self.shown_loss.update_state(losses, x["counts"])
        return loss if self.adversary is None else loss + self.adversary(y_pred[1], groups)


def make_loss(loss: Loss, reduction: str | None = "sum_over_batch_size") -> keras.losses.Loss:
    """The loss on logits that an experiment names; without reduction, of each row."""
    if loss.name == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            # alpha is left at 1: balancing the classes is the balance table's business.
            alpha=1.0,
            gamma=loss.focal_gamma,
            from_logits=True,
            label_smoothing=loss.label_smoothing,
            reduction=reduction,
        )
    return keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=loss.label_smoothing, reduction=reduction
    )


def _quick(model: keras.Model, xla: bool) -> Callable[..., Any]:
    """The same function in the form that trains fastest; not a layer, so that nothing tracks it."""
    if xla:
        import tensorflow as tf

        compiled: Callable[..., Any] = tf.function(model, jit_compile=True)
        return compiled
    view = folded(model)
    return lambda x, training: view(x, training=training)
