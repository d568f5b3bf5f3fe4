"""A SavedModel that takes what is recorded of a photo beside it, or does without.

`serve_metadata` and `serve_bytes_metadata` have an input for each column, texts as they stand in a
CSV, "" where unknown; `serving_default` and `serve_bytes` answer by the photo alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ajl_tf.dataset.images import fit
from ajl_tf.dataset.metadata import BLANKS, UNKNOWN, WHOLE, Column
from ajl_tf.serving.network import Member
from ajl_tf.serving.savedmodel import Server

__all__ = ["MetadataServer", "coded_texts", "make_server", "served_columns"]


class MetadataServer(Server):
    """Also has `serve_metadata` and `serve_bytes_metadata`, and `metadata_columns`, JSON (M,)."""

    def __init__(self, members: Sequence[Member], *told: Any, **options: Any) -> None:
        """The arguments are those of `Server`; some members take metadata, not all of them must."""
        super().__init__(members, *told, **options)
        self._columns = [member.columns for member in members]
        columns = served_columns(members)
        with tf.device("CPU"):
            self.metadata_columns = tf.Variable(
                [json.dumps(column) for column in columns], trainable=False
            )
        self._texts = {
            column["name"]: tf.TensorSpec((None,), tf.string, column["name"]) for column in columns
        }
        self.serve_metadata = tf.function(self._by_images, autograph=False)
        self.serve_bytes_metadata = tf.function(self._by_bytes, autograph=False)

    def signatures(self) -> dict[str, Any]:
        """Those of the photo alone, and those with metadata."""
        images = tf.TensorSpec((None, None, None, 3), tf.uint8, "images")
        data = tf.TensorSpec((None,), tf.string, "bytes")
        by_bytes = self.serve_bytes_metadata.get_concrete_function(bytes=data, **self._texts)
        return super().signatures() | {
            "serve_metadata": self.serve_metadata.get_concrete_function(
                images=images, **self._texts
            ),
            "serve_bytes_metadata": by_bytes,
        }

    def _by_images(self, images: tf.Tensor, **texts: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer(fit(images, self._canvas, self._mode), self._codes(texts))

    def _by_bytes(self, bytes: tf.Tensor, **texts: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer(self._canvases(bytes), self._codes(texts))

    def _codes(self, texts: Mapping[str, tf.Tensor]) -> list[tf.Tensor | None]:
        """Of each member (N, M), M being its own columns; None of one that takes none."""
        return [
            tf.stack([coded_texts(column, texts[column.name]) for column in columns], axis=1)
            if columns
            else None
            for columns in self._columns
        ]


def make_server(members: Sequence[Member], *told: Any, **options: Any) -> Server:
    """A `Server`, or a `MetadataServer` where a member takes metadata."""
    kind = MetadataServer if any(member.columns for member in members) else Server
    return kind(members, *told, **options)


def served_columns(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Every column that a member takes, once: `name`, `kind`, and all `values` that one knows."""
    found: dict[str, dict[str, Any]] = {}
    for column in (column for member in members for column in member.columns):
        known = found.setdefault(column.name, {"name": column.name, "kind": column.kind})
        if column.kind == "number":
            known["kind"] = "number"  # or a member could not read its cells
        known["values"] = sorted({*known.get("values", ()), *column.values})
    return list(found.values())


def coded_texts(column: Column, texts: tf.Tensor) -> tf.Tensor:
    """Texts `(N,)` as float32 codes `(N,)`, NaN where unknown: `Column.codes` in the graph.

    Raises:
        tf.errors.InvalidArgumentError: A known cell of a number is none.
    """
    blanks = f"^[{BLANKS}]+|[{BLANKS}]+$"
    bare = tf.strings.regex_replace(texts, blanks, "")
    bare = tf.strings.regex_replace(tf.strings.lower(bare, encoding="utf-8"), WHOLE, r"\1")
    unknown = tf.reduce_any(bare[:, None] == tf.constant(UNKNOWN), axis=1)
    if column.kind == "number":
        return tf.strings.to_number(tf.where(unknown, "nan", bare))
    same = (bare[:, None] == tf.constant(column.values)) & ~unknown[:, None]  # (N, values)
    place = tf.cast(tf.argmax(same, axis=1), tf.float32)
    return tf.where(tf.reduce_any(same, axis=1), place, float("nan"))
