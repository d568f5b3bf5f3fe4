"""What a photo's file says of itself before its pixels: size, inks, transparency, orientation.

TensorFlow's decoders do not tell. Read here, in TensorFlow operations, so that a SavedModel refuses
and turns the same photos as training does, without this package.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_EXIF = [ord(letter) for letter in "Exif\0\0"]
_APP1, _APP14, _START_OF_SCAN = 0xE1, 0xEE, 0xDA
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # among 0xC0…0xCF: Huffman tables, reserved, arithmetic coding


class JpegHeader(NamedTuple):
    """Scalars; 0, False or empty where the file does not say.

    Attributes:
        size: int64 `(2,)`, height and width.
        components: int64; 1 grey, 3 colours, 4 inks (CMYK).
        adobe: bool, whether Adobe's marker stands in it.
        exif: string, the EXIF block in TIFF form.
    """

    size: tf.Tensor
    components: tf.Tensor
    adobe: tf.Tensor
    exif: tf.Tensor


class PngHeader(NamedTuple):
    """Scalars; 0, False or empty where the file does not say.

    Attributes:
        pixels: int64, width times height.
        opaque: bool, whether every pixel is.
        exif: string, the EXIF block in TIFF form.
    """

    pixels: tf.Tensor
    opaque: tf.Tensor
    exif: tf.Tensor


def numbers(data: tf.Tensor, at: tf.Tensor | int, count: int) -> tf.Tensor:
    """Bytes `at` to `at + count` of a scalar string as int64 `(count,)`; zeros behind its end."""
    begin = tf.minimum(tf.cast(at, tf.int64), _length(data))
    piece = tf.strings.substr(data, begin, tf.constant(count, tf.int64))
    found = tf.cast(tf.io.decode_raw(piece, tf.uint8), tf.int64)
    values = tf.pad(found, [[0, count - tf.size(found)]])
    values.set_shape((count,))
    return values


def big_endian(values: tf.Tensor) -> tf.Tensor:
    """The number that some bytes `(count,)` make, the highest first."""
    weights = [256**power for power in reversed(range(values.shape[0]))]
    return tf.reduce_sum(values * tf.constant(weights, tf.int64))


def jpeg_header(data: tf.Tensor) -> JpegHeader:
    """Walks a JPEG's segments up to its first scan (ITU-T T.81, annex B)."""

    def goes_on(at: tf.Tensor, head: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (head[0] == 0xFF) & (head[1] != _START_OF_SCAN)

    def step(
        at: tf.Tensor, head: tf.Tensor, frame: tf.Tensor, adobe: tf.Tensor, exif: tf.Tensor
    ) -> list[tf.Tensor]:
        marker, length = head[1], tf.maximum(big_endian(head[2:4]), 2)
        is_frame = (marker >= 0xC0) & (marker <= 0xCF)
        for other in _NO_FRAMES:
            is_frame &= marker != other
        # APP1 also carries XMP, told apart by its first bytes.
        is_exif = (marker == _APP1) & tf.reduce_all(head[4:10] == _EXIF) & (exif[1] == 0)
        is_adobe = (marker == _APP14) & tf.reduce_all(head[4:6] == [ord("A"), ord("d")])
        following = tf.where(marker == 0xFF, at + 1, at + 2 + length)  # 0xFF may be repeated
        return [
            following,
            numbers(data, following, 10),
            tf.where(is_frame, head, frame),
            adobe | is_adobe,
            tf.where(is_exif, [at + 10, length - 8], exif),  # length 2, "Exif\0\0" 6
        ]

    start = tf.constant(2, tf.int64)
    nothing = [tf.zeros(10, tf.int64), tf.constant(False), tf.zeros(2, tf.int64)]
    _, _, frame, adobe, exif = tf.while_loop(
        goes_on, step, [start, numbers(data, start, 10), *nothing]
    )
    size = tf.stack([big_endian(frame[5:7]), big_endian(frame[7:9])])
    return JpegHeader(size, frame[9], adobe, _block(data, exif))


def png_header(data: tf.Tensor) -> PngHeader:
    """Walks a PNG's chunks (PNG, third edition, sections 5 and 11)."""

    def goes_on(at: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return at < _length(data)

    def step(at: tf.Tensor, cut_out: tf.Tensor, exif: tf.Tensor) -> list[tf.Tensor]:
        head = numbers(data, at, 8)
        length = big_endian(head[:4])
        is_exif = _is(head, b"eXIf") & (exif[1] == 0)
        return [
            at + 12 + length,
            cut_out | _is(head, b"tRNS"),
            tf.where(is_exif, [at + 8, length], exif),
        ]

    start = [tf.constant(8, tf.int64), tf.constant(False), tf.zeros(2, tf.int64)]
    _, cut_out, exif = tf.while_loop(goes_on, step, start)
    first = numbers(data, 16, 10)  # of IHDR: width 4, height 4, depth 1, colour type 1
    has_alpha = first[9] >= 4
    pixels = big_endian(first[:4]) * big_endian(first[4:8])
    return PngHeader(pixels, ~has_alpha & ~cut_out, _block(data, exif))


def _is(head: tf.Tensor, chunk: bytes) -> tf.Tensor:
    return tf.reduce_all(head[4:8] == list(chunk))


def _block(data: tf.Tensor, at_and_length: tf.Tensor) -> tf.Tensor:
    begin = tf.minimum(at_and_length[0], _length(data))
    return tf.strings.substr(data, begin, tf.maximum(at_and_length[1], 0))


def _length(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(data), tf.int64)
