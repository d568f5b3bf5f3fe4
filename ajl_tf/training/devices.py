"""Several GPUs of one machine: the network on each of them, and a share of every batch."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import tensorflow as tf
from keras import ops

from ajl_tf.config import Mitigation


def strategy(mitigation: Mitigation) -> tf.distribute.Strategy:
    """How this machine trains: on all of its GPUs where it has several, else as TensorFlow does.

    `CUDA_VISIBLE_DEVICES` says which GPUs there are. Several train as one does with the same batch,
    within rounding, but that each draws its own dropout and mixes photos of its own share. What
    mitigates gaps between tones compares the groups of a whole batch, and so has one GPU.
    """
    several = gpus()
    if len(several) < 2:
        return tf.distribute.get_strategy()
    if mitigation != Mitigation():
        print("note: with mitigation one GPU trains, the others rest", file=sys.stderr)
        return tf.distribute.get_strategy()
    return _mirrored(several)


def gpus() -> tuple[str, ...]:
    """Names of the devices that a batch can be divided between."""
    return tuple(device.name for device in tf.config.list_logical_devices("GPU"))


@cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    # One for all networks of a run: they would not have variables in common otherwise.
    return tf.distribute.MirroredStrategy(names)


def is_shared() -> bool:
    """Whether what runs now is one of several that have a batch between them."""
    return bool(tf.distribute.get_strategy().num_replicas_in_sync > 1)


def filled_size(batch_size: int) -> int | None:
    """What a batch is filled up to, so that all devices have equally many rows; None: as it is.

    TensorFlow leaves a device without any otherwise (of 4 rows, three have 2, 2 and 0), and some
    kernels fail on none.
    """
    count: int = tf.distribute.get_strategy().num_replicas_in_sync
    return -(-batch_size // count) * count if count > 1 else None


def batch_mean(losses: Any, counts: Any) -> Any:
    """This device's part of the mean of a batch's losses; over all devices the parts sum to it.

    Keras' own mean of the devices' means would count the rows that only fill a batch.

    Args:
        losses: `(n,)`, of this device's share.
        counts: float32 `(n,)`: 1, or 0 for a row that only fills.
    """
    context, count = tf.distribute.get_replica_context(), ops.sum(counts)
    if context is not None:
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return ops.sum(losses * counts) / count
