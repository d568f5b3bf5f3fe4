"""Gives back the memory of graphs that a training has traced and that nobody needs any more."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops  # the registry has no public name


@contextmanager
def released_graphs() -> Iterator[None]:
    """Frees at its end what was traced in it, which must not be differentiated after that.

    TensorFlow registers the gradient of a `tf.custom_gradient` for as long as the process lives,
    and with it the graph around it. Keras' optimizers have one for each weight, whenever a step is
    traced: with each fold of EfficientNet-Lite0 some 130 MiB would stay.
    """
    gradients = ops.gradient_registry._registry
    before = set(gradients)
    try:
        yield
    finally:
        for name in set(gradients) - before:
            del gradients[name]
        gc.collect()  # a graph and its operations hold each other
