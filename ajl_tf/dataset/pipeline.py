"""The two input pipelines, both tf.data: one for training, one for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ajl_tf.dataset.untuned import untuned

Plan = Callable[[int], tuple[np.ndarray, np.ndarray]]
_WAITING = 2  # batches made ready while the device works


def training_batches(
    source: np.ndarray,
    targets: np.ndarray,
    plan: Plan,
    *,
    draws: int,
    epochs: range,
    batch_size: int,
    done: int = 0,
    beside: Mapping[str, np.ndarray] | None = None,
    fill_to: int | None = None,
) -> tf.data.Dataset:
    """The batches of several epochs, one after the other.

    Order and draws of an epoch follow from its number alone, so that any epoch can be made again.

    Args:
        source: uint8 `(N, C, C, 3)` canvases, or float features `(N, D)`.
        targets: float32 `(N, classes)`, one-hot.
        plan: Epoch -> (rows of `source` in order, int64 `(n,)`; what was drawn for each, float32
            `(n, draws)`); n is the same for every epoch.
        draws: Numbers drawn for each row.
        epochs: Which epochs.
        batch_size: Rows a batch; an epoch's last batch may be smaller.
        done: Batches of the first of these epochs that are left out.
        beside: Name -> `(N, …)`: what else goes with each row.
        fill_to: Every batch is filled up to so many with its own rows, and `"counts"`, float32
            `(B,)`, is 1 for a row and 0 for one that fills; None: batches are as they are.

    Returns:
        Dataset of `({"source": (B, ...), "drawn": (B, draws), …}, (B, classes))`.
    """

    def planned(epoch: tf.Tensor) -> tf.data.Dataset:
        rows, drawn = tf.numpy_function(
            lambda number: plan(int(number)), [epoch], (tf.int64, tf.float32), stateful=False
        )
        rows.set_shape((None,))
        drawn.set_shape((None, draws))
        return tf.data.Dataset.from_tensor_slices((rows, drawn)).batch(batch_size)

    def gathered(rows: tf.Tensor, drawn: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        more = {}
        if fill_to is not None:
            places, there = tf.range(fill_to), tf.shape(rows)[0]
            more["counts"] = tf.cast(places < there, tf.float32)
            rows, drawn = tf.gather(rows, places % there), tf.gather(drawn, places % there)
        more |= {name: _take(array, rows) for name, array in (beside or {}).items()}
        return {"source": _take(source, rows), "drawn": drawn, **more}, _take(targets, rows)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    plans = numbers.flat_map(planned).skip(done)
    return untuned(plans.map(gathered, _WAITING).prefetch(_WAITING))


def evaluation_batches(
    source: np.ndarray, rows: np.ndarray, batch_size: int, beside: np.ndarray | None = None
) -> tf.data.Dataset:
    """Rows of `source` in the order given, each once, the last batch as small as it is.

    With `beside`, pairs of them and the same rows of it.
    """

    def taken(batch: tf.Tensor) -> Any:
        return (
            _take(source, batch) if beside is None else (_take(source, batch), _take(beside, batch))
        )

    order = tf.data.Dataset.from_tensor_slices(rows.astype(np.int64)).batch(batch_size)
    return untuned(order.map(taken, _WAITING).prefetch(_WAITING))


def _take(array: np.ndarray, rows: tf.Tensor) -> tf.Tensor:
    # Gathered by NumPy: a constant of this size would be copied into the graph, and a memory-mapped
    # file would be read as a whole.
    taken = tf.numpy_function(
        lambda indices: array[indices], [rows], tf.as_dtype(array.dtype), stateful=False
    )
    taken.set_shape((None, *array.shape[1:]))
    return taken
