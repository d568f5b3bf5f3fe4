"""The only decode and resize: training, evaluation and serving all call these functions.

They hold no variables and use TensorFlow operations alone, so that a SavedModel carries them along.
A photo is accepted as JPEG (grey, RGB, or CMYK with the Adobe marker) or PNG (grey, palette or RGB,
1 to 16 bits; what is transparent is laid on white), of both the first picture, upright as EXIF
says. Everything else is refused with a reason; none is ever guessed at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

from ajl_tf.dataset.exif import orientation, reversals, swapped, upright
from ajl_tf.dataset.headers import jpeg_header, png_header
from ajl_tf.dataset.refusals import (
    MAX_PIXELS,
    NOT_A_PHOTO,
    TOO_LARGE,
    TOO_MANY_PIECES,
    UNKNOWN_INKS,
)

Fit = Literal["cover", "contain"]
PAD = 0  # black, as a viewer shows around a photo that does not fill the screen
# Free of quotation marks, which TensorFlow escapes in its messages.
REFUSALS = (NOT_A_PHOTO, TOO_LARGE, TOO_MANY_PIECES, UNKNOWN_INKS)
_REDUCTIONS = (1, 2, 4, 8)  # what libjpeg can scale a photo down by while it decodes
_AMPLE = 2  # a photo scaled down like that has at least so many times the canvas's side


class Photo(NamedTuple):
    """A decoded photo, perhaps scaled down.

    Attributes:
        image: uint8 `(h, w, 3)`, RGB in [0, 255], upright.
        size: int32 `(2,)`, height and width before it was scaled down.
        reduction: int32, by how much it was: a pixel stands for so many by so many.
        margin: int32 `(2,)`, rows and columns before the photo's first that its first pixel covers.
    """

    image: tf.Tensor
    size: tf.Tensor
    reduction: tf.Tensor
    margin: tf.Tensor


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
    return _decode(data, lambda _: tf.constant(1)).image


def read(data: tf.Tensor, size: int, mode: Fit) -> tf.Tensor:
    """Decodes one photo and fits it to a square canvas: faster than `fit(decode(data), …)`.

    A JPEG whose side is at least 4 times the canvas's is scaled down while it is decoded, to no
    less than twice the canvas's side. That changes its canvas, by less than 1.2 of 256 levels in
    the mean and 99 of 100 values by at most 6 (`tests/dataset/test_images.py`, on grain that is
    harsher than a photo's). Other photos keep their bits.

    Args:
        data: Scalar string, the file's bytes.
        size: Side of the canvas in pixels.
        mode: See `fit`.

    Returns:
        uint8 `(size, size, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: As `decode`.
    """
    side = tf.reduce_min if mode == "cover" else tf.reduce_max

    def reduction(shape: tf.Tensor) -> tf.Tensor:
        ample = [side(shape) >= _AMPLE * size * by for by in _REDUCTIONS[1:]]
        return tf.gather(_REDUCTIONS, tf.reduce_sum(tf.cast(ample, tf.int32)))

    return _fitted(_decode(data, reduction), size, mode)


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
    images = tf.convert_to_tensor(images)
    whole = Photo(images, tf.shape(images)[-3:-1], tf.constant(1), tf.zeros(2, tf.int32))
    return _fitted(whole, size, mode)


def _fitted(photo: Photo, size: int, mode: Fit) -> tf.Tensor:
    rank = photo.image.shape.rank
    if mode == "cover":
        side = tf.reduce_min(photo.size)
        extent, inner = tf.stack([side, side]), tf.constant([size, size])
    else:
        scale = size / tf.reduce_max(photo.size)
        extent = photo.size
        rounded = tf.round(tf.cast(extent, tf.float64) * scale)
        inner = tf.maximum(1, tf.cast(rounded, tf.int32))
    begin = photo.margin + (photo.size - extent) // 2
    canvas = _resized(photo, begin, extent, inner)
    if mode == "contain":
        before = (size - inner) // 2
        edges = tf.stack([before, size - inner - before], axis=1)
        rows = tf.pad(edges, [[rank - 3, 1], [0, 0]])
        canvas = tf.pad(canvas, rows, constant_values=PAD)
    canvas.set_shape((*photo.image.shape[:-3], size, size, 3))
    return canvas


def _resized(photo: Photo, begin: tf.Tensor, extent: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Part of a photo, antialiased as `tf.image.resize` does it: uint8 `(…, *size, 3)`.

    Args:
        photo: One, or several in its `image`.
        begin: int32 `(2,)`, first row and column, counted from its first pixel before it was scaled
            down.
        extent: int32 `(2,)`, rows and columns.
        size: int32 `(2,)`, of the result.
    """
    by = photo.reduction
    first, last = begin // by, -(-(begin + extent) // by)
    piece = photo.image[..., first[0] : last[0], first[1] : last[1], :]
    scale = tf.cast(size, tf.float32) / tf.cast(extent, tf.float32)
    # Part of a pixel, where the first one begins before `begin`.
    translation = -scale * tf.cast(begin - first * by, tf.float32)
    scale *= tf.cast(by, tf.float32)
    lying = _swapped(_rows_resized(piece, size[0], scale[0], translation[0]))
    resized = _rows_resized(lying, size[1], scale[1], translation[1])
    return _swapped(tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8))


def _rows_resized(
    images: tf.Tensor, size: tf.Tensor, scale: tf.Tensor, translation: tf.Tensor
) -> tf.Tensor:
    """Another number of rows: float32 `(…, size, W, C)`, antialiased.

    To the operation a row is one pixel of W·C channels. It gives the same bits as for `(H, W, C)`
    in half the time, because of its two loops only that over channels is a fast one.
    """
    shape = tf.shape(images)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(images, [-1, shape[-3], 1, shape[-2] * shape[-1]]),
        size=tf.stack([size, 1]),
        scale=tf.stack([scale, 1.0]),
        translation=tf.stack([translation, 0.0]),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(resized, tf.concat([shape[:-3], [size], shape[-2:]], axis=0))


def _swapped(images: tf.Tensor) -> tf.Tensor:
    """Rows and columns exchanged."""
    axes = list(range(images.shape.rank))
    return tf.transpose(images, [*axes[:-3], axes[-2], axes[-3], axes[-1]])


def to_input(canvases: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes canvases `(N, C, C, 3)` to a classifier's input: float32 `(N, size, size, 3)`.

    The evaluation counterpart of the training warp: bilinear, pixel centres aligned.
    """
    return tf.image.resize(canvases, (size, size))


def _decode(data: tf.Tensor, reduction: Callable[[tf.Tensor], tf.Tensor]) -> Photo:
    """One photo; a JPEG scaled down by what `reduction` says to its height and width `(2,)`."""
    is_jpeg = tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
    is_png = tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n"
    with tf.control_dependencies([tf.debugging.Assert(is_jpeg | is_png, [NOT_A_PHOTO])]):
        stored, size, by, exif = tf.cond(
            is_jpeg, lambda: _decode_jpeg(data, reduction), lambda: _decode_png(data)
        )
    turned = orientation(exif)
    image = upright(stored, turned)
    image.set_shape((None, None, 3))
    size = tf.where(swapped(turned), size[::-1], size)
    # The last pixel of a photo that was scaled down may stand for fewer; turned, it is the first.
    rest = tf.shape(image)[:2] * by - size
    margin = tf.where(tf.stack(reversals(turned)), rest, 0)
    return Photo(image, size, by, margin)


def _decode_jpeg(data: tf.Tensor, reduction: Callable[[tf.Tensor], tf.Tensor]) -> list[tf.Tensor]:
    """The pixels as they are stored or scaled down, their height and width, by how much, EXIF."""
    header = jpeg_header(data)
    known_inks = (header.components != 4) | header.adobe
    requirements = [
        tf.debugging.Assert(~header.endless, [TOO_MANY_PIECES]),
        tf.debugging.Assert(tf.reduce_prod(header.size) <= MAX_PIXELS, [TOO_LARGE]),
        tf.debugging.Assert(known_inks, [UNKNOWN_INKS]),
    ]

    def decoded(by: int) -> Callable[[], tf.Tensor]:
        # INTEGER_ACCURATE, so that pixels do not depend on the fast paths of a build of libjpeg.
        return lambda: tf.io.decode_jpeg(data, channels=3, ratio=by, dct_method="INTEGER_ACCURATE")

    size = tf.cast(header.size, tf.int32)
    with tf.control_dependencies(requirements):
        by = reduction(size)
        image = tf.case([(by == each, decoded(each)) for each in _REDUCTIONS[:0:-1]], decoded(1))
    size = tf.where(by == 1, tf.shape(image)[:2], size)
    return [image, size, by, header.exif]


def _decode_png(data: tf.Tensor) -> list[tf.Tensor]:
    """The same of a PNG, which is never scaled down."""
    header = png_header(data)
    requirements = [
        tf.debugging.Assert(~header.endless, [TOO_MANY_PIECES]),
        tf.debugging.Assert(header.pixels <= MAX_PIXELS, [TOO_LARGE]),
    ]
    with tf.control_dependencies(requirements):
        # Asked for four channels of an opaque file of less than 8 bits, TensorFlow 2.21 answers
        # with an alpha of 1, 3 or 15, and the photo would all but vanish.
        image = tf.cond(
            header.opaque,
            lambda: tf.io.decode_png(data, channels=3),
            lambda: _on_white(tf.io.decode_png(data, channels=4)),
        )
    return [image, tf.shape(image)[:2], tf.constant(1), header.exif]


def _on_white(rgba: tf.Tensor) -> tf.Tensor:
    opacity = tf.cast(rgba[..., 3:], tf.uint16)
    mixed = tf.cast(rgba[..., :3], tf.uint16) * opacity + 255 * (255 - opacity)  # up to 255 * 255
    return tf.cast((mixed + 127) // 255, tf.uint8)
