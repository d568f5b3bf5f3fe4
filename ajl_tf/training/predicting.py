"""Logits of many rows, batch after batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.dataset.images import to_input
from ajl_tf.dataset.pipeline import evaluation_batches
from ajl_tf.training.folding import folded


class Predictor:
    """Logits of rows of an array, for a network whose function is traced once."""

    def __init__(
        self,
        model: keras.Model,
        prepare: Callable[[tf.Tensor], tf.Tensor],
        beside: np.ndarray | None = None,
    ):
        """Traces nothing yet.

        Args:
            model: What answers.
            prepare: Turns a batch of the array's rows into the model's input.
            beside: The model's second input, for every row of the array; None: it has one input.
        """

        def step(batch: Any) -> Any:
            inputs = prepare(batch) if beside is None else [prepare(batch[0]), batch[1]]
            return model(inputs, training=False)

        self._beside = beside
        self._step = tf.function(step, reduce_retracing=True)

    def __call__(self, source: np.ndarray, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """float32 `(len(rows), …)`, in the order of `rows`, each once."""
        batches = evaluation_batches(source, rows, batch_size, self._beside)
        outputs = [self._step(batch).numpy() for batch in batches]
        return np.concatenate(outputs).astype(np.float32)


def image_predictor(model: keras.Model, size: int, metadata: np.ndarray | None = None) -> Predictor:
    """A predictor from canvases, resized to the model's input as a SavedModel does it.

    Args:
        model: A classifier, or another model of its inputs.
        size: Side of its input in pixels.
        metadata: Codes `(N, M)` of all canvases, for a classifier that takes them.
    """
    network = folded(model, inference=True)
    return Predictor(network, lambda canvases: to_input(canvases, size), metadata)
