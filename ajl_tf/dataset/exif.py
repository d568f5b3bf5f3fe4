"""The EXIF orientation of a photo, read and undone inside the graph.

TensorFlow's decoders ignore it, so that a phone's portrait photo would reach the model lying on its
side; done here, in TensorFlow operations, a SavedModel does the same without this package.
"""

from __future__ import annotations

import tensorflow as tf

from ajl_tf.dataset.headers import big_endian, numbers

_ORIENTATION, _SHORT = 0x0112, 3


def orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation tag of an EXIF block (EXIF 2.32, section 4.6).

    Args:
        exif: Scalar string in TIFF form, from `headers`; may be empty.

    Returns:
        Scalar int64 in 1…8; 1 (as stored) where there is no such tag or it is malformed.
    """
    start = numbers(exif, 0, 8)
    little = start[0] == ord("I")

    def number(values: tf.Tensor) -> tf.Tensor:
        return big_endian(tf.where(little, values[::-1], values))

    def is_other(at: tf.Tensor, left: tf.Tensor, entry: tf.Tensor) -> tf.Tensor:
        inside = at < tf.cast(tf.strings.length(exif), tf.int64)
        return (left > 0) & inside & (number(entry[:2]) != _ORIENTATION)

    def following(at: tf.Tensor, left: tf.Tensor, entry: tf.Tensor) -> list[tf.Tensor]:
        return [at + 12, left - 1, numbers(exif, at + 12, 12)]

    directory = number(start[4:8])
    first = directory + 2
    entries = number(numbers(exif, directory, 2))
    _, left, entry = tf.while_loop(is_other, following, [first, entries, numbers(exif, first, 12)])
    value = number(entry[8:10])
    is_tiff = number(start[2:4]) == 42
    is_tag = (left > 0) & (number(entry[:2]) == _ORIENTATION) & (number(entry[2:4]) == _SHORT)
    return tf.where(is_tiff & is_tag & (value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image `(H, W, 3)` so that it stands as its EXIF `orientation` (1…8) says."""
    upside_down, mirrored = reversals(orientation)
    image = tf.cond(swapped(orientation), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)


def swapped(orientation: tf.Tensor) -> tf.Tensor:
    """Scalar bool: whether height and width are exchanged, before anything else."""
    return orientation >= 5


def reversals(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scalar bools: whether the rows are reversed, and whether the columns are."""
    return (orientation - 1) // 2 % 2 == 1, orientation // 2 % 2 == 1
