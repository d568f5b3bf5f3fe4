"""Photos with bytes changed, cut out, put in, doubled or swapped between files, or in many pieces.

Lengths and sizes are overwritten with extremes, and checksums of PNG made right again, so that
decoders get past them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def stored() -> list[bytes]:
    """One small picture in the ways in which JPEG and PNG can hold one."""
    y, x = np.mgrid[0:60, 0:72]
    waves = [np.sin(x / 13 + y / 29), np.cos(y / 11), np.sin(x / 7)]
    rgb = Image.fromarray(np.stack([127 + 100 * w for w in waves], axis=-1).astype(np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = rgb.copy()
    alpha.putalpha(rgb.convert("L"))
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    ways: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "JPEG", {"quality": 85}),
        (rgb, "JPEG", {"quality": 60, "progressive": True}),
        (rgb, "JPEG", {"subsampling": 0, "exif": turned, "icc_profile": b"x" * 300}),
        (rgb, "JPEG", {"restart_marker_rows": 1}),
        (rgb.convert("L"), "JPEG", {}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "PNG", {}),
        (rgb, "PNG", {"exif": turned}),
        (alpha, "PNG", {}),
        (deep, "PNG", {}),
        (rgb.convert("L"), "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 3}),
        (rgb.convert("1"), "PNG", {}),
    ]
    found = []
    for picture, kind, options in ways:
        out = io.BytesIO()
        picture.save(out, kind, **options)
        found.append(out.getvalue())
    return found


def broken(photos: list[bytes], number: int) -> bytes:
    """The file of a number: a photo with one to four changes."""
    rng = np.random.default_rng(number)
    data = bytearray(photos[rng.integers(len(photos))])
    for _ in range(rng.integers(1, 5)):
        other = photos[rng.integers(len(photos))]
        change = CHANGES[rng.integers(len(CHANGES))]
        data = change(data, rng, other) if data else data
    if rng.random() < 0.5 and data[:4] == b"\x89PNG":
        data = _checked(data)
    return bytes(data)


def _span(data: bytes | bytearray, rng: np.random.Generator) -> slice:
    start = int(rng.integers(len(data)))
    return slice(start, start + int(rng.integers(1, 65)))


def _flip(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    for at in rng.integers(len(data), size=rng.integers(1, 33)):
        data[at] = rng.integers(256)
    return data


def _flip_in_head(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    """Where sizes, depths and tables stand."""
    data[int(rng.integers(min(len(data), 200)))] = rng.integers(256)
    return data


def _extreme(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    value = EXTREMES[rng.integers(len(EXTREMES))]
    coded = struct.pack(">I" if rng.random() < 0.5 else "<I", value)[-int(rng.choice([1, 2, 4])) :]
    at = int(rng.integers(min(len(data), 300)))
    data[at : at + len(coded)] = coded
    return data


def _cut_short(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    return data[: rng.integers(len(data))]


def _cut_out(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    del data[_span(data, rng)]
    return data


def _double(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    span = _span(data, rng)
    data[span.start : span.start] = data[span] * int(rng.integers(1, 9))
    return data


def _put_in(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 65)))
    return data


def _from_another(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def _behind(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    """A file that is two at once."""
    return data + other


def _in_pieces(data: bytearray, rng: np.random.Generator, other: bytes) -> bytearray:
    """Fill bytes, empty segments or empty chunks before all others, up to a megabyte of them."""
    png = data[:4] == b"\x89PNG"
    kinds = [chunk(b"teXt")] if png else [b"\xff", b"\xff\xfe\0\2", b"\xff\xff\xfe\0\2"]
    piece = kinds[rng.integers(len(kinds))]
    at = 33 if png else 2  # behind IHDR
    data[at:at] = piece * int(10 ** rng.uniform(0, 6) / len(piece))
    return data


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


CHANGES: tuple[Callable[[bytearray, np.random.Generator, bytes], bytearray], ...] = (
    *(_flip, _flip_in_head, _flip_in_head, _extreme, _extreme),
    *(_cut_short, _cut_out, _double, _put_in, _from_another, _behind, _in_pieces),
)


def _checked(data: bytearray) -> bytearray:
    """A PNG with right checksums, as far as its chunks can be followed."""
    for start, length in _chunks(data):
        end = start + 8 + length
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[start + 4 : end]))
    return data


def _chunks(data: bytearray) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        if start + 12 + length > len(data):
            return
        yield start, length
        start += 12 + length
