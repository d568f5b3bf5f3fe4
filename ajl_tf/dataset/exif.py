"""The EXIF orientation of a photo, read and undone inside the graph.

TensorFlow's decoders ignore it, so that a phone's portrait photo would reach the model lying on its
side; done here, in TensorFlow operations, a SavedModel does the same without this package.
"""

from __future__ import annotations

import tensorflow as tf

from ajl_tf.dataset.headers import words

_ORIENTATION, _SHORT = 0x0112, 3


def orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation tag of an EXIF block (EXIF 2.32, section 4.6).

    Args:
        exif: Scalar string in TIFF form, from `headers`; may be empty.

    Returns:
        Scalar int64 in 1…8; 1 (as stored) where there is no such tag or it is malformed.
    """
    start = words(exif, 0, 4)
    little = start[0] // 256 == ord("I")  # else the high byte comes first, as `words` reads it

    def numbers(values: tf.Tensor) -> tf.Tensor:
        return tf.where(little, values // 256 + values % 256 * 256, values)

    high, low = tf.unstack(numbers(start[2:]))
    directory = tf.where(little, high + 65536 * low, 65536 * high + low)
    count = numbers(words(exif, directory, 1))[0]
    behind = tf.cast(tf.strings.length(exif), tf.int64) - directory - 2
    whole = tf.clip_by_value((behind + 11) // 12, 1, tf.maximum(count, 1))  # at least one to gather
    entries = tf.reshape(numbers(words(exif, directory + 2, 6 * whole)), (-1, 6))
    # The first of them counts; where there is none, this is the first entry, of another tag.
    tag = tf.gather(entries, tf.argmax(entries[:, 0] == _ORIENTATION))
    is_tiff = numbers(start[1:2])[0] == 42
    value = tag[4]
    is_tag = (count > 0) & (tag[0] == _ORIENTATION) & (tag[1] == _SHORT)
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
