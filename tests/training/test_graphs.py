"""What is traced in a training goes with it."""

from __future__ import annotations

import gc

import keras
import numpy as np
import pytest
from tensorflow.python.framework.func_graph import FuncGraph

from ajl_tf.training.graphs import released_graphs


def graphs() -> int:
    gc.collect()
    return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())


def trace() -> None:
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.AdamW(), "mse")
    model.train_on_batch(np.zeros((3, 4)), np.zeros((3, 2)))


@pytest.mark.parametrize("fails", [False, True])
def test_no_graph_stays(fails: bool) -> None:
    trace()
    before = graphs()
    for _ in range(2):
        try:
            with released_graphs():
                trace()
                assert graphs() > before
                if fails:
                    raise MemoryError
        except MemoryError:
            assert fails
    assert graphs() <= before


def test_without_it_they_would() -> None:
    # If TensorFlow or Keras has mended this, `released_graphs` can go.
    before = graphs()
    trace()
    keras.backend.clear_session()
    assert graphs() > before
