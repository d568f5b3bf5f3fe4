"""The only decode and resize: training, evaluation and serving all call these functions.

They hold no variables and use TensorFlow operations alone, so that a SavedModel carries them along.
A photo is accepted as JPEG (grey, RGB, or CMYK with the Adobe marker) or PNG (grey, palette or RGB,
1 to 16 bits; what is transparent is laid on white), of both the first picture, upright as EXIF
says. Everything else is refused with a reason; none is ever guessed at.
"""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from ajl_tf.dataset.exif import orientation, upright
from ajl_tf.dataset.headers import jpeg_header, png_header
from ajl_tf.dataset.refusals import MAX_PIXELS, NOT_A_PHOTO, TOO_LARGE, UNKNOWN_INKS

Fit = Literal["cover", "contain"]
PAD = 0  # black, as a viewer shows around a photo that does not fill the screen
# Free of quotation marks, which TensorFlow escapes in its messages.
REFUSALS = (NOT_A_PHOTO, TOO_LARGE, UNKNOWN_INKS)


def decode(data: tf.Tensor) -> tf.Tensor:
    """Decodes one photo.

    Args:
        data: Scalar string, the file's bytes.

    Returns:
        uint8 `(H, W, 3)`, RGB in [0, 255], upright.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are neither a whole JPEG nor a whole PNG, or one
            of `REFUSALS`, which then stands in the message.
    """
    is_jpeg = tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
    is_png = tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n"
    with tf.control_dependencies([tf.debugging.Assert(is_jpeg | is_png, [NOT_A_PHOTO])]):
        image, exif = tf.cond(is_jpeg, lambda: _decode_jpeg(data), lambda: _decode_png(data))
    image = upright(image, orientation(exif))
    image.set_shape((None, None, 3))
    return image


def fit(images: tf.Tensor, size: int, mode: Fit) -> tf.Tensor:
    """Fits photos to a square canvas, aspect ratio kept, with antialiasing.

    Args:
        images: uint8 `(H, W, 3)` or `(N, H, W, 3)`.
        size: Side of the canvas in pixels.
        mode: `"cover"` keeps the central square; `"contain"` keeps the whole photo and pads the
            shorter side evenly with black.

    Returns:
        uint8 `(size, size, 3)` or `(N, size, size, 3)`; a photo of just this size is unchanged.
    """
    height, width = tf.shape(images)[-3], tf.shape(images)[-2]
    if mode == "cover":
        side = tf.minimum(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        images = images[..., top : top + side, left : left + side, :]
        inner_height = inner_width = tf.constant(size)
    else:
        scale = size / tf.maximum(height, width)
        inner_height, inner_width = (
            tf.maximum(1, tf.cast(tf.round(tf.cast(side, tf.float64) * scale), tf.int32))
            for side in (height, width)
        )
    resized = tf.image.resize(images, (inner_height, inner_width), antialias=True)
    canvas = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
    if mode == "contain":
        top, left = (size - inner_height) // 2, (size - inner_width) // 2
        rows = [top, size - inner_height - top]
        columns = [left, size - inner_width - left]
        batch = [[0, 0]] * (images.shape.rank - 3)
        canvas = tf.pad(canvas, [*batch, rows, columns, [0, 0]], constant_values=PAD)
    canvas.set_shape((*images.shape[:-3], size, size, 3))
    return canvas


def to_input(canvases: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes canvases `(N, C, C, 3)` to a classifier's input: float32 `(N, size, size, 3)`.

    The evaluation counterpart of the training warp: bilinear, pixel centres aligned.
    """
    return tf.image.resize(canvases, (size, size))


def _decode_jpeg(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels as they are stored, and the EXIF block."""
    header = jpeg_header(data)
    known_inks = (header.components != 4) | header.adobe
    requirements = [
        tf.debugging.Assert(header.pixels <= MAX_PIXELS, [TOO_LARGE]),
        tf.debugging.Assert(known_inks, [UNKNOWN_INKS]),
    ]
    with tf.control_dependencies(requirements):
        # INTEGER_ACCURATE, so that pixels do not depend on the fast paths of a build of libjpeg.
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"), header.exif


def _decode_png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels as they are stored, and the EXIF block."""
    header = png_header(data)
    with tf.control_dependencies([tf.debugging.Assert(header.pixels <= MAX_PIXELS, [TOO_LARGE])]):
        # Asked for four channels of an opaque file of less than 8 bits, TensorFlow 2.21 answers
        # with an alpha of 1, 3 or 15, and the photo would all but vanish.
        image = tf.cond(
            header.opaque,
            lambda: tf.io.decode_png(data, channels=3),
            lambda: _on_white(tf.io.decode_png(data, channels=4)),
        )
    return image, header.exif


def _on_white(rgba: tf.Tensor) -> tf.Tensor:
    opacity = tf.cast(rgba[..., 3:], tf.uint16)
    mixed = tf.cast(rgba[..., :3], tf.uint16) * opacity + 255 * (255 - opacity)  # up to 255 * 255
    return tf.cast((mixed + 127) // 255, tf.uint8)
