"""tf.data with as many threads as it is told, which ends when it ends."""

from __future__ import annotations

import tensorflow as tf


def untuned(dataset: tf.data.Dataset, *, alone: bool = False) -> tf.data.Dataset:
    """The dataset, without the thread that tunes how parallel it is.

    That thread sleeps for twice as long each time. In TensorFlow 2.21 it often misses that its
    iterator is let go of, which then waits for its next round: about half of the iterators that
    were 7 seconds old took 3 more to end (`benchmarks/README.md`).

    Args:
        dataset: Its elements stay as they are.
        alone: Operations are not shared out to several threads: for elements that are many enough
            to keep all cores busy, where sharing costs more than it brings.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    if alone:
        options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)
