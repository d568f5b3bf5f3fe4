"""Logits of many rows, batch after batch."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.dataset.images import to_input
from ajl_tf.dataset.pipeline import evaluation_batches


class Predictor:
    """Logits of rows of an array, for a network whose function is traced once."""

    def __init__(self, model: keras.Model, prepare: Callable[[tf.Tensor], tf.Tensor]):
        """`prepare` turns a batch of the array's rows into the model's input."""
        self._step = tf.function(
            lambda batch: model(prepare(batch), training=False), reduce_retracing=True
        )

    def __call__(self, source: np.ndarray, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """float32 `(len(rows), …)`, in the order of `rows`, each once."""
        outputs = [self._step(b).numpy() for b in evaluation_batches(source, rows, batch_size)]
        return np.concatenate(outputs).astype(np.float32)


def image_predictor(model: keras.Model, size: int) -> Predictor:
    """A predictor from canvases, resized to the model's input as a SavedModel does it."""
    return Predictor(model, lambda canvases: to_input(canvases, size))
