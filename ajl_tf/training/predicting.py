"""Logits of many rows, batch after batch."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.dataset.pipeline import evaluation_batches
from ajl_tf.dataset.views import Views, averaged
from ajl_tf.training.folding import folded


class Predictor:
    """Logits of rows of an array, by a function that is traced once."""

    def __init__(self, answer: Callable[..., tf.Tensor], beside: np.ndarray | None = None):
        """Traces nothing yet.

        Args:
            answer: A batch of the array's rows -> `(N, …)`.
            beside: Its second argument, for every row of the array; None: it has one.
        """
        self._answer = answer
        self._beside = beside
        self._step: Callable[..., tf.Tensor] | None = None

    def __call__(self, source: np.ndarray, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """Answers of some rows, in their order, each once.

        Args:
            source: `(N, …)`; of one shape and type in all calls, but for N.
            rows: Numbers of rows of it, at least one.
            batch_size: How many at a time.

        Returns:
            float32 `(len(rows), …)`.
        """
        batches = evaluation_batches(source, rows, batch_size, self._beside)
        alone = self._beside is None
        if self._step is None:
            # For batches of any size: the last one, smaller, would be traced once more.
            spec = (batches.element_spec,) if alone else batches.element_spec
            self._step = tf.function(self._answer, input_signature=spec)
        answers, done = np.empty((0, 0), np.float32), 0
        for batch in batches:
            output = (self._step(batch) if alone else self._step(*batch)).numpy()
            if not done:  # of a million photos answers are large: they are held once
                answers = np.empty((len(rows), *output.shape[1:]), np.float32)
            answers[done : done + len(output)] = output
            done += len(output)
        return answers


def feature_predictor(model: keras.Model, beside: np.ndarray | None = None) -> Predictor:
    """A predictor from rows as they are.

    Args:
        model: Of one input, or of two.
        beside: The second input, of all rows.
    """
    return Predictor(lambda *inputs: _answer(model, *inputs), beside)


def image_predictor(
    model: keras.Model, size: int, metadata: np.ndarray | None = None, views: Views = "none"
) -> Predictor:
    """A predictor from canvases, resized to the model's input as a SavedModel does it.

    Args:
        model: A classifier, or another model of its inputs; -> `(N, W)`.
        size: Side of its input in pixels.
        metadata: Codes `(N, M)` of all canvases, for a classifier that takes them.
        views: Of each photo, over which the answers are averaged.
    """
    network = folded(model, inference=True)
    widths = [model.output_shape[-1]]

    def answer(canvases: tf.Tensor, *codes: tf.Tensor) -> tf.Tensor:
        def answers(images: tf.Tensor) -> list[tf.Tensor]:
            return [_answer(network, images, *codes)]

        return averaged(answers, canvases, size, views, widths)[0]

    return Predictor(answer, metadata)


def _answer(model: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> tf.Tensor:
    return model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
