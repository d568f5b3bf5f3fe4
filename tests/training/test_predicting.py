"""Answers to many rows: those of a network called by hand, whatever the views of a photo."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ajl_tf.dataset.views import Views
from ajl_tf.training.predicting import Predictor, image_predictor

CANVASES = np.random.default_rng(0).integers(0, 256, (7, 40, 40, 3), np.uint8)


def eight(images: np.ndarray) -> list[np.ndarray]:
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(4)]
    return turned + [image[:, ::-1] for image in turned]


@pytest.mark.parametrize("views", ["none", "flips", "flips+crops"])
def test_answers_are_the_mean_over_the_views(tiny_classifiers: list[Any], views: Views) -> None:
    model = tiny_classifiers[0].model
    seen = [CANVASES]
    if views != "none":
        seen = eight(CANVASES)
    if views == "flips+crops":
        seen += eight(CANVASES[:, 2:38, 2:38])  # 0.875 of 40, to a pixel
    resized = [tf.image.resize(canvases, (32, 32)) for canvases in seen]
    expected = np.mean([model(images, training=False) for images in resized], axis=0)
    rows = np.array([5, 0, 6, 2])
    answers = image_predictor(model, 32, views=views)(CANVASES, rows, 3)
    np.testing.assert_allclose(answers, expected[rows], atol=1e-4)
    assert np.abs(np.diff(answers, axis=0)).max() > 0.01  # the photos differ


@pytest.mark.parametrize("has_beside", [False, True])
def test_a_smaller_last_batch_is_not_traced_again(has_beside: bool) -> None:
    source = np.arange(21, dtype=np.float32).reshape(7, 3)
    beside = np.arange(7, dtype=np.float32)[:, None] if has_beside else None
    traces = []

    def answer(batch: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
        traces.append(batch.shape)
        return batch + more[0] if more else batch

    predict = Predictor(answer, beside)
    expected = source if beside is None else source + beside
    for rows in (np.array([6, 0, 3, 1, 5]), np.arange(7), np.array([2])):
        np.testing.assert_array_equal(predict(source, rows, 2), expected[rows])
    assert len(traces) == 1


def test_answers_are_held_once() -> None:
    """Features of a million photos are gigabytes."""
    source, width = np.zeros((5_000, 1), np.float32), 500
    predict = Predictor(lambda batch: tf.tile(batch, (1, width)))
    predict(source, np.arange(2), 50)
    tracemalloc.start()
    try:
        answers = predict(source, np.arange(len(source)), 50)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answers.shape == (len(source), width)
    assert answers.nbytes < most < 1.3 * answers.nbytes
