"""The EXIF orientation of a JPEG, read and undone inside the graph.

TensorFlow's decoder ignores it, so that a phone's portrait photo would reach the model lying on its
side; done here, in TensorFlow operations, a SavedModel does the same without this package.
"""

from __future__ import annotations

import tensorflow as tf

_HEAD = 65536 + 1024  # one APP1 segment of the largest size, and what may stand before it
_APP1 = 0xE1
_ORIENTATION = 0x0112


def jpeg_orientation(data: tf.Tensor) -> tf.Tensor:
    """The orientation tag of a JPEG (EXIF 2.32, section 4.6.4).

    Args:
        data: Scalar string, a JPEG file's bytes.

    Returns:
        Scalar int32 in 1…8; 1 (as stored) where there is no such tag or it is malformed.
    """
    length = tf.minimum(tf.strings.length(data), _HEAD)
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, length), tf.uint8), tf.int32)
    # Zeros behind the end: a field that points past the file reads as 0, never out of bounds.
    head = tf.pad(head, [[0, 64]])
    limit = length + 32

    def byte(at: tf.Tensor) -> tf.Tensor:
        return head[tf.clip_by_value(at, 0, limit)]

    def is_segment(at: tf.Tensor) -> tf.Tensor:
        marker = byte(at + 1)
        metadata = ((marker >= 0xE0) & (marker <= 0xEF)) | (marker == 0xFE)
        return (byte(at) == 0xFF) & metadata & (at < length)

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        # APP1 also carries XMP, told apart by its first bytes.
        return (byte(at + 1) == _APP1) & (byte(at + 4) == ord("E")) & (byte(at + 5) == ord("x"))

    def next_segment(at: tf.Tensor) -> list[tf.Tensor]:
        return [at + 2 + tf.maximum(2, byte(at + 2) * 256 + byte(at + 3))]

    (segment,) = tf.while_loop(
        lambda at: is_segment(at) & ~is_exif(at), next_segment, [tf.constant(2)]
    )
    tiff = segment + 10  # marker 2, length 2, "Exif\0\0" 6
    little = byte(tiff) == ord("I")

    def short(at: tf.Tensor) -> tf.Tensor:
        first, second = byte(at), byte(at + 1)
        return tf.where(little, first + 256 * second, 256 * first + second)

    # The directory's offset has four bytes; one past 64 KiB cannot lie in this segment.
    low, high = tf.cond(
        little,
        lambda: (short(tiff + 4), short(tiff + 6)),
        lambda: (short(tiff + 6), short(tiff + 4)),
    )
    directory = tiff + tf.where(high == 0, low, length)

    def is_other(entry: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        return (left > 0) & (entry < length) & (short(entry) != _ORIENTATION)

    entry, left = tf.while_loop(
        is_other, lambda entry, left: [entry + 12, left - 1], [directory + 2, short(directory)]
    )
    value = short(entry + 8)
    found = is_segment(segment) & is_exif(segment) & (left > 0) & (entry < length)
    return tf.where(found & (value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image `(H, W, 3)` so that it stands as its EXIF `orientation` (1…8) says."""
    # 5 to 8 swap the axes; after that 3, 4, 7, 8 are upside down and 2, 3, 6, 7 mirrored.
    swapped = orientation >= 5
    upside_down = (orientation - 1) // 2 % 2 == 1
    mirrored = orientation // 2 % 2 == 1
    image = tf.cond(swapped, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
