"""The networks that answer for a photo, seen as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf

from ajl_tf.training.folding import folded

Images = np.ndarray  # float32 (N, S, S, 3), RGB in [0, 255]
Maps = np.ndarray  # float32 (N, S, S): what each pixel does for a class
_BATCH = 32


class Network:
    """One classifier, or several whose logits are averaged as a SavedModel does it."""

    def __init__(self, models: Sequence[keras.Model], input_size: int):
        """Traces nothing yet.

        Args:
            models: As `models.classifier.build_classifier` makes them, all of one input size.
            input_size: S, in pixels.
        """
        self.input_size = input_size
        self._parts = [_parts(model) for model in models]
        photos = tf.TensorSpec((None, input_size, input_size, 3), tf.float32)
        labels = tf.TensorSpec((None,), tf.int64)
        self._answer = tf.function(self._mean_probabilities, [photos], autograph=False)
        self._evidence = tf.function(self._mean_evidence, [photos, labels], autograph=False)
        self._weights = tf.function(self._mean_weights, [photos], autograph=False)

    def probabilities(self, images: Images) -> np.ndarray:
        """float32 `(N, C)`; batches are cut here, N may be large."""
        return _batched(lambda rows: self._answer(images[rows]), len(images))

    def probability(self, images: Images, label: int) -> np.ndarray:
        """float32 `(N,)`: the probability of one class."""
        return np.ascontiguousarray(self.probabilities(images)[:, label])

    def features(self, images: Images) -> np.ndarray:
        """Pooled features, float32 `(N, D)`; of several networks, side by side."""

        def pooled(rows: slice) -> tf.Tensor:
            return tf.concat([p(e(images[rows], training=False)) for e, p, _ in self._parts], 1)

        return _batched(pooled, len(images))

    def evidence(self, images: Images, labels: np.ndarray) -> Maps:
        """Each place's part of a class's logit, on the grid of the feature map `(N, h, w)`.

        The sum over channels of the feature map, each weighted with the mean gradient of the logit
        by it: Grad-CAM before its ReLU. See `grad_cam`.
        """
        return _batched(lambda rows: self._evidence(images[rows], labels[rows]), len(images))

    def attention(self, images: Images) -> Maps:
        """What each place of the feature map counts in the pooling, `(N, h, w)`; sums to one.

        For networks with `models.layers.AttentionPooling`.
        """
        return _batched(lambda rows: self._weights(images[rows]), len(images))

    def _mean_probabilities(self, images: tf.Tensor) -> tf.Tensor:
        each = [
            head(pool(extractor(images, training=False))) for extractor, pool, head in self._parts
        ]
        return tf.nn.softmax(tf.add_n(each) / len(each), axis=-1)

    def _mean_evidence(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        each = [_class_evidence(part, images, labels) for part in self._parts]
        return tf.add_n(each) / len(each)

    def _mean_weights(self, images: tf.Tensor) -> tf.Tensor:
        maps = [tf.cast(e(images, training=False), tf.float32) for e, _, _ in self._parts]
        pools = [pool for _, pool, _ in self._parts]
        each = [pool.weights_of_places(x) for pool, x in zip(pools, maps, strict=True)]
        return tf.add_n(each) / len(each)


_Part = tuple[keras.Model, keras.layers.Layer, keras.Model]


def _parts(model: keras.Model) -> _Part:
    """Image to feature map, feature map to pooled features, pooled features to logits."""
    pool = model.get_layer("pooled_features")
    extractor = keras.Model(model.input, pool.input)
    return folded(extractor, inference=True), pool, model.get_layer("head")


def _class_evidence(part: _Part, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    extractor, pool, head = part
    features = tf.cast(extractor(images, training=False), tf.float32)  # (N, h, w, C)
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = head(pool(features), training=False)
        chosen = tf.reduce_sum(tf.gather(logits, labels, axis=1, batch_dims=1))
    gradient = tape.gradient(chosen, features)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    # A channel that is the same everywhere, as a transformer's class token beside each patch, says
    # nothing about where.
    spread = tf.reduce_max(features, axis=(1, 2)) - tf.reduce_min(features, axis=(1, 2))
    placed = tf.cast(spread > 0, tf.float32)[:, None, None]
    return tf.reduce_sum(features * weights * placed, axis=-1)


def _batched(call: Callable[[slice], tf.Tensor], count: int) -> np.ndarray:
    starts = range(0, count, _BATCH)
    return np.concatenate([call(slice(start, start + _BATCH)).numpy() for start in starts])


def enlarged(grids: np.ndarray, size: int) -> Maps:
    """Grids `(N, h, w)` as smooth maps `(N, size, size)`, bilinear."""
    return np.stack(
        [
            cv2.resize(grid.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
            for grid in grids
        ]
    )
