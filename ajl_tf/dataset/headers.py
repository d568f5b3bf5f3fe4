"""What a photo's file says of itself before its pixels: size, inks, transparency, orientation.

TensorFlow's decoders do not tell. Read here, in TensorFlow operations, so that a SavedModel refuses
and turns the same photos as training does, without this package. Each operation costs as much as
another, whether it takes one number or a thousand: so several segments are looked at together.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_APP1, _APP14, _START_OF_SCAN, _FILL = 0xFFE1, 0xFFEE, 0xFFDA, 0xFFFF
# What begins a frame; between them are Huffman tables, arithmetic coding and what is reserved.
_FRAMES = [0xFFC0 + kind for kind in range(16) if kind not in (4, 8, 12)]
_EXIF = [_APP1, 0x4578, 0x6966, 0]  # marker and "Exif\0\0", as 16-bit numbers
_ADOBE = 0x4164  # "Ad"
_TRNS, _EXIF_CHUNK = (int.from_bytes(kind) for kind in (b"tRNS", b"eXIf"))
_SEGMENTS, _CHUNKS = 9, 8  # in one step of a loop: as many as a plain photo has before its pixels
_FILLED = 256  # bytes that are looked at for where a run of 0xFF ends
# Steps, past which a file is no photo but made to take time: 10,000 segments, of 64 KB where they
# are for something, and 100,000 chunks, of 8 KB in the smallest that programs write.
_MOST_OF_JPEG, _MOST_OF_PNG = 10_000 // _SEGMENTS, 100_000 // _CHUNKS


class JpegHeader(NamedTuple):
    """Scalars; 0, False or empty where the file does not say.

    Attributes:
        size: int64 `(2,)`, height and width.
        components: int64; 1 grey, 3 colours, 4 inks (CMYK).
        adobe: bool, whether Adobe's marker stands in it.
        exif: string, the EXIF block in TIFF form.
        endless: bool, whether it has so many segments that the rest was not looked at.
    """

    size: tf.Tensor
    components: tf.Tensor
    adobe: tf.Tensor
    exif: tf.Tensor
    endless: tf.Tensor


class PngHeader(NamedTuple):
    """Scalars; 0, False or empty where the file does not say.

    Attributes:
        pixels: int64, width times height.
        opaque: bool, whether every pixel is.
        exif: string, the EXIF block in TIFF form.
        endless: bool, whether it has so many chunks that the rest was not looked at.
    """

    pixels: tf.Tensor
    opaque: tf.Tensor
    exif: tf.Tensor
    endless: tf.Tensor


def jpeg_header(data: tf.Tensor) -> JpegHeader:
    """Walks a JPEG's segments up to its first scan (ITU-T T.81, annex B)."""
    end = _length(data)

    def step(
        _: tf.Tensor, at: tf.Tensor, frame: tf.Tensor, exif: tf.Tensor, adobe: tf.Tensor
    ) -> list[tf.Tensor]:
        places, heads = [], []
        for _ in range(_SEGMENTS):
            head = words(data, at, 5)
            places.append(at)
            heads.append(head)
            at = tf.add_n([at, tf.maximum(head[1], 2), tf.constant(2, tf.int64)])
        place, head = tf.stack(places), tf.stack(heads)
        marker = head[:, 0]
        # Behind the last segment, and behind a fill byte, what was read are no segments.
        is_none = (marker < 0xFF00) | (marker == _START_OF_SCAN) | (marker == _FILL)
        behind = tf.reduce_min(tf.where(is_none, place, at))
        is_one = place < behind
        is_frame = is_one & tf.reduce_any(marker[:, tf.newaxis] == _FRAMES, axis=1)
        # APP1 also carries XMP, told apart by its first bytes.
        is_exif = tf.reduce_all(tf.gather(head, [0, 2, 3, 4], axis=1) == _EXIF, axis=1)
        is_exif &= is_one & (head[:, 1] > 8)  # not empty
        is_adobe = is_one & (marker == _APP14) & (head[:, 2] == _ADOBE)
        # 0xFF may be repeated before a marker.
        run = _bytes(data, behind, _FILLED, tf.uint8, more=1)
        filled = tf.argmax(run != 0xFF)
        goes_on = (filled > 0) & (run[filled] != _START_OF_SCAN & 0xFF)
        return [
            goes_on,
            behind + tf.maximum(filled - 1, 0),
            tf.reduce_max(tf.where(is_frame, place, frame)),
            tf.reduce_min(tf.where(is_exif, place, exif)),
            adobe | tf.reduce_any(is_adobe),
        ]

    start = [tf.constant(True), tf.constant(2, tf.int64), tf.constant(0, tf.int64), end]
    endless, _, frame, exif, adobe = tf.while_loop(
        lambda goes_on, *_: goes_on,
        step,
        [*start, tf.constant(False)],
        maximum_iterations=_MOST_OF_JPEG,
    )
    # Marker 2, length 2, precision 1, height 2, width 2, components 1.
    told = words(data, tf.where(frame > 0, frame + 5, end), 3)
    length = words(data, exif + 2, 1)[0]  # itself 2, "Exif\0\0" 6
    block = _block(data, exif + 10, length - 8)
    return JpegHeader(told[:2], told[2] // 256, adobe, block, endless)


def png_header(data: tf.Tensor) -> PngHeader:
    """Walks a PNG's chunks (PNG, third edition, sections 5 and 11)."""
    end = _length(data)

    def step(_: tf.Tensor, at: tf.Tensor, cut_out: tf.Tensor, exif: tf.Tensor) -> list[tf.Tensor]:
        places, heads = [], []
        for _ in range(_CHUNKS):
            head = _bytes(data, at, 8, tf.int64)[0]  # length 4, kind 4
            places.append(at)
            heads.append(head)
            length = tf.bitwise.bitwise_and(tf.bitwise.right_shift(head, 32), 0xFFFFFFFF)
            at = tf.add_n([at, length, tf.constant(12, tf.int64)])
        head = tf.stack(heads)
        kind = tf.bitwise.bitwise_and(head, 0xFFFFFFFF)
        is_exif = (kind == _EXIF_CHUNK) & (head != kind)  # not empty
        first = tf.reduce_min(tf.where(is_exif, tf.stack(places), end))
        return [
            at < end,
            at,
            cut_out | tf.reduce_any(kind == _TRNS),
            tf.minimum(exif, first),
        ]

    start = [tf.constant(True), tf.constant(8, tf.int64), tf.constant(False), end]
    endless, _, cut_out, exif = tf.while_loop(
        lambda goes_on, *_: goes_on, step, start, maximum_iterations=_MOST_OF_PNG
    )
    header = words(data, 16, 5)  # of IHDR: width 4, height 4, depth 1, colour type 1
    has_alpha = header[4] % 256 >= 4
    pixels = (header[0] * 65536 + header[1]) * (header[2] * 65536 + header[3])
    length = words(data, exif, 2)
    block = _block(data, exif + 8, length[0] * 65536 + length[1])
    return PngHeader(pixels, ~has_alpha & ~cut_out, block, endless)


def words(data: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """16-bit numbers, the high byte first, from byte `at` of a scalar string.

    Returns:
        int64 `(count,)`; zeros behind the string's end.
    """
    return tf.cast(_bytes(data, at, 2 * count, tf.uint16), tf.int64)


def _bytes(
    data: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int, kind: tf.DType, more: int = 0
) -> tf.Tensor:
    """Some bytes as numbers of a kind; zeros behind the string's end, and `more` behind that."""
    begin = tf.minimum(tf.cast(at, tf.int64), _length(data))
    piece = tf.strings.substr(data, begin, tf.cast(count, tf.int64))
    length = tf.cast(count + more, tf.int32)
    return tf.io.decode_raw(piece, kind, little_endian=False, fixed_length=length)


def _block(data: tf.Tensor, at: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(data, tf.minimum(at, _length(data)), tf.maximum(length, 0))


def _length(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(data), tf.int64)
