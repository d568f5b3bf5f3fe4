"""What is recorded of a photo, inside the network: from codes to numbers that the head takes.

The encoding stands beside the pooled features before dropout and the dense layer, as in Gessert et
al. 2020 (arXiv:1910.03910) and Pacheco and Krohling 2020 (arXiv:1909.12912). What is unknown is 0
there and adds nothing to a logit, so that without metadata the photo alone answers. The logits are
a sum of what the photo says and what the metadata say: these move the odds of each condition by as
much whatever the photo shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from ajl_tf.dataset.metadata import Column

ENCODING = "metadata_encoding"
_HIDDEN = 32
_FARTHEST = 5.0  # deviations from the mean; a slip of the pen must not drown the photo


class MetadataEncoding(keras.layers.Layer):
    """Codes (N, M), see `dataset.metadata.coded`, as a vector (N, W); W is the sum of the widths.

    A category is one number a value, 1 at its own; a number is standardised, at most 5 deviations
    to either side, with a 1 beside it. NaN, which is unknown, gives only zeros.

    Args:
        columns: M, or what their `get_config` was.
    """

    def __init__(self, columns: Sequence[Column | Mapping[str, Any]], **options: Any) -> None:
        super().__init__(**options)
        self.columns = tuple(
            each
            if isinstance(each, Column)
            else Column(**{**each, "values": tuple(each["values"])})
            for each in columns
        )

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to make the layer again."""
        told = [asdict(column) | {"values": list(column.values)} for column in self.columns]
        return {**super().get_config(), "columns": told}

    def call(self, codes: Any) -> Any:
        """Returns the encoding."""
        parts = []
        for place, column in enumerate(self.columns):
            own = codes[:, place : place + 1]
            if column.kind == "category":
                values = ops.arange(len(column.values), dtype=own.dtype)
                parts.append(ops.cast(ops.equal(own, values), own.dtype))
                continue
            known = ops.isfinite(own)
            far = (ops.where(known, own, column.mean) - column.mean) / column.deviation
            parts += [ops.clip(far, -_FARTHEST, _FARTHEST), ops.cast(known, own.dtype)]
        return ops.concatenate(parts, axis=-1)


def columns_of(model: keras.Model) -> tuple[Column, ...]:
    """The columns that a classifier takes beside the photo; none of one that takes the photo."""
    if len(model.inputs) == 1:
        return ()
    columns: tuple[Column, ...] = model.get_layer(ENCODING).columns
    return columns


def beside(pooled: Any, encoded: Any) -> Any:
    """Pooled features (N, D) with what a hidden layer makes of the encoding (N, W): (N, D + 32).

    The hidden layer has no bias, so that nothing in is nothing out.
    """
    hidden = keras.layers.Dense(
        _HIDDEN, "relu", use_bias=False, name="metadata_features", dtype="float32"
    )(encoded)
    return keras.layers.Concatenate(name="with_metadata", dtype="float32")([pooled, hidden])


def photo_only(model: keras.Model) -> keras.Model:
    """The same network with all metadata unknown: float32 images -> logits.

    Args:
        model: `Classifier.model`.

    Returns:
        A view that shares all weights, to be called, not saved; `model` itself where it takes no
        metadata.
    """
    if not columns_of(model):
        return model
    features = model.get_layer("pooled_features").output
    head, width = model.get_layer("head"), sum(column.width for column in columns_of(model))
    pooled = keras.Input(features.shape[1:], name="pooled_features")
    nothing = ops.zeros_like(ops.repeat(pooled[:, :1], width, axis=1))
    alone = keras.Model(pooled, head([pooled, nothing]), name="head")
    return keras.Model(model.inputs[0], alone(features), name=model.name)
