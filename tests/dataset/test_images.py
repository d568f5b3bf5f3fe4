"""Decode and fit against independent oracles: files packed by hand, and Pillow."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ajl_tf.dataset import headers, images
from ajl_tf.dataset.exif import orientation
from ajl_tf.dataset.headers import jpeg_header, png_header

BYTES = [tf.TensorSpec((), tf.string)]
DECODE = tf.function(images.decode, input_signature=BYTES, autograph=False)
ORIENTATION = tf.function(orientation, input_signature=BYTES, autograph=False)
# The colour types of a PNG (section 11.2.1), their channels and depths.
PNG_TYPES = {"grey": (0, 1), "RGB": (2, 3), "palette": (3, 1), "grey alpha": (4, 2), "RGBA": (6, 4)}
DEPTHS = [("grey", d) for d in (1, 2, 4, 8, 16)] + [("palette", d) for d in (1, 2, 4, 8)]
DEPTHS += [(name, depth) for name in ("RGB", "grey alpha", "RGBA") for depth in (8, 16)]
# Where each of the seven passes of an interlaced PNG begins, and its steps (section 8.1).
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
ADAM7 += ((1, 0, 2, 1),)


def picture(height: int, width: int) -> np.ndarray:
    """A smooth picture without any symmetry, uint8 `(height, width, 3)`."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 13 + y / 29), np.cos(y / 11), np.sin(x / 17) * np.cos(y / 23)]
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


def encoded(array: np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(row: np.ndarray, depth: int) -> bytes:
    """A PNG's filter byte and one row of samples."""
    bits = "".join(format(sample, f"0{depth}b") for sample in row.ravel())
    bits += "0" * (-len(bits) % 8)
    return b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def png(
    samples: np.ndarray, name: str, depth: int, *, before: bytes = b"", interlaced: bool = False
) -> bytes:
    """A PNG made without any library; samples `(H, W, channels)`, `before` stands before IDAT."""
    height, width = samples.shape[:2]
    colour_type = PNG_TYPES[name][0]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [samples[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(packed(row, depth) for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    body = before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def decoded(data: bytes) -> np.ndarray:
    array: np.ndarray = DECODE(tf.constant(data)).numpy()
    return array


def refusal(data: bytes) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        DECODE(tf.constant(data))
    return str(caught.value)


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize(("name", "depth"), DEPTHS)
def test_a_png_of_any_depth_has_the_pixels_it_was_made_of(
    name: str, depth: int, interlaced: bool
) -> None:
    rng = np.random.default_rng(depth)
    top = 2**depth - 1
    samples = rng.integers(0, top + 1, (11, 13, PNG_TYPES[name][1]))
    palette = rng.integers(0, 256, (top + 1, 3), np.uint8) if name == "palette" else np.empty(0)
    before = chunk(b"PLTE", palette.tobytes()) if name == "palette" else b""
    if name == "palette":
        expected = palette[samples[..., 0]].astype(float)
    else:
        scaled = samples * 255 / top
        colours = scaled if name.startswith("RGB") else np.repeat(scaled[..., :1], 3, axis=-1)
        opacity = samples[..., -1:] / top if PNG_TYPES[name][0] >= 4 else 1.0
        expected = colours[..., :3] * opacity + 255 * (1 - opacity)
    got = decoded(png(samples, name, depth, before=before, interlaced=interlaced))
    # 16 bits are cut to 8, not rounded: up to one step off, of the colour and of the alpha.
    assert np.abs(got - expected).max() <= (2 if depth == 16 else 0.5)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_entries_of_a_palette_are_laid_on_white(depth: int) -> None:
    samples = np.arange(2**depth).reshape(1, -1, 1)
    palette = np.random.default_rng(0).integers(0, 256, (2**depth, 3), np.uint8)
    alphas = np.array([0, 100], np.uint8)  # of the first two; the others are opaque
    before = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", alphas.tobytes())
    expected = palette.astype(float)
    expected[:2] += (255 - expected[:2]) * (1 - alphas[:, None] / 255)
    got = decoded(png(samples, "palette", depth, before=before))
    assert np.abs(got[0] - expected).max() <= 0.5


def test_a_transparent_colour_becomes_white() -> None:
    data = encoded(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), "PNG", transparency=(4, 5, 6))
    assert decoded(data).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def without_adobe(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) :]


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_inks_marked_by_adobe_are_inverted(transform: int) -> None:
    cmyk = np.concatenate([picture(40, 60), picture(40, 60)[::-1, :, :1] // 2], axis=-1)
    out = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(out, "JPEG", quality=95, subsampling=0)
    data = bytearray(out.getvalue())
    data[data.index(b"Adobe") + 11] = transform  # Pillow writes only 0
    with Image.open(io.BytesIO(data)) as opened:
        inks = np.asarray(opened).astype(float)
    if transform == 0:
        assert np.abs(inks - cmyk).max() < 40  # else the oracle below reads them upside down
    expected = 255 * (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)
    assert np.abs(decoded(bytes(data)) - expected).max() <= 1.0


def test_inks_without_a_marker_are_refused_rather_than_guessed() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (8, 8), (10, 200, 30, 40)).save(out, "JPEG")
    assert images.UNKNOWN_INKS in refusal(without_adobe(out.getvalue()))


def tiff(entries: list[tuple[int, int, int]], order: str) -> bytes:
    """An EXIF block of entries (tag, type 3 or 4, value), `order` "<" or ">"."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    forms = {3: "HHIHxx", 4: "HHII"}
    body = b"".join(struct.pack(order + forms[k], tag, k, 1, v) for tag, k, v in entries)
    return head + body + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little endian", "big endian"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("value", range(10))
def test_exif_stands_a_photo_upright(kind: str, order: str, value: int) -> None:
    block = b"Exif\0\0" + tiff([(0x010F, 4, 77), (0x0112, 3, value), (0x0131, 4, 1)], order)
    data = encoded(picture(20, 30), kind, exif=block)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert expected.shape == ((30, 20, 3) if 5 <= value <= 8 else (20, 30, 3))
    np.testing.assert_array_equal(decoded(data), expected)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


TURNED = segment(0xE1, b"Exif\0\0" + tiff([(0x0112, 3, 6)], ">"))
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
PROFILE = segment(0xE2, b"ICC_PROFILE\0" + bytes(65000))


@pytest.mark.parametrize(
    "before",
    [b"", XMP, PROFILE * 3, segment(0xFE, b"a comment"), b"\xff\xff", segment(0xDB, bytes(65))],
    ids=["first", "after XMP", "after 195 KB", "after a comment", "after fill", "after a table"],
)
def test_exif_is_found_wherever_it_stands(before: bytes) -> None:
    jpeg = encoded(picture(20, 30), "JPEG")
    data = jpeg[:2] + before + TURNED + jpeg[2:]
    np.testing.assert_array_equal(decoded(data), np.rot90(decoded(jpeg), -1))


def test_the_exif_of_a_png_may_stand_after_the_pixels() -> None:
    data = encoded(picture(20, 30), "PNG")
    end = data.index(b"IEND") - 4
    turned = data[:end] + chunk(b"eXIf", tiff([(0x0112, 3, 8)], "<")) + data[end:]
    np.testing.assert_array_equal(decoded(turned), np.rot90(picture(20, 30)))


entries = st.tuples(st.integers(0x0100, 0x0120), st.sampled_from([3, 4]), st.integers(0, 12))


@given(entries=st.lists(entries, max_size=6, unique_by=lambda e: e[0]), order=st.sampled_from("<>"))
@settings(max_examples=60)
def test_the_orientation_is_pillows(entries: list[tuple[int, int, int]], order: str) -> None:
    entries = [(tag, 3 if tag == 0x0112 else kind, value) for tag, kind, value in entries]
    exif = Image.Exif()
    exif.load(tiff(entries, order))
    value = exif.get(0x0112, 1)
    got = ORIENTATION(tf.constant(tiff(entries, order))).numpy()
    assert got == (value if 1 <= value <= 8 else 1)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda b: b"II*\0" + b)))
@settings(max_examples=60)
def test_a_malformed_exif_never_breaks_a_photo(block: bytes) -> None:
    assert 1 <= ORIENTATION(tf.constant(block)).numpy() <= 8


def test_only_an_orientation_as_the_standard_has_it_counts() -> None:
    good = tiff([(0x0112, 3, 6)], "<")
    assert ORIENTATION(tf.constant(good)).numpy() == 6
    long_number = tiff([(0x0112, 4, 6)], "<")  # browsers leave such a photo as it is
    no_tiff = good.replace(b"II*\0", b"II+\0")
    for block in (long_number, no_tiff, good[:18], b""):
        assert ORIENTATION(tf.constant(block)).numpy() == 1


PIECES = {
    "fill bytes": ("JPEG", b"\xff", 200_000, 600_000),
    "segments": ("JPEG", b"\xff\xfe\0\2", 5_000, 20_000),
    "segments after fill bytes": ("JPEG", b"\xff\xff\xfe\0\2", 500, 20_000),
    "chunks": ("PNG", chunk(b"teXt", b""), 50_000, 150_000),
}


def in_pieces(name: str, count: int) -> bytes:
    """A photo with empty pieces before its own."""
    kind, piece, *_ = PIECES[name]
    data, at = encoded(picture(20, 30), kind), 2 if kind == "JPEG" else 33
    return data[:at] + piece * count + data[at:]


@pytest.mark.parametrize("name", PIECES)
def test_more_pieces_than_any_photo_has_are_refused_and_fewer_change_nothing(name: str) -> None:
    *_, many, too_many = PIECES[name]
    np.testing.assert_array_equal(decoded(in_pieces(name, many)), decoded(in_pieces(name, 0)))
    assert images.TOO_MANY_PIECES in refusal(in_pieces(name, too_many))


@pytest.mark.parametrize("name", PIECES)
def test_a_file_of_ever_more_pieces_is_not_read_for_longer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, substr = [], tf.strings.substr
    monkeypatch.setattr(tf.strings, "substr", lambda *given: reads.append(1) or substr(*given))
    read = jpeg_header if PIECES[name][0] == "JPEG" else png_header

    def count(pieces: int) -> int:
        reads.clear()
        read(tf.constant(in_pieces(name, pieces)))
        return len(reads)

    for header in (headers, "_MOST_OF_JPEG"), (headers, "_MOST_OF_PNG"):
        monkeypatch.setattr(*header, 20)  # steps run one by one here, which takes its time
    assert count(100_000) == count(10_000) > 100
    assert count(0) <= count(1) < 30


def test_what_follows_the_first_picture_is_left_alone() -> None:
    jpeg = encoded(picture(20, 30), "JPEG")
    second = encoded(picture(40, 30), "JPEG")  # as in the MPO files of some phones
    np.testing.assert_array_equal(decoded(jpeg + second), decoded(jpeg))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"kind": "PNG"}], ids=str)
def test_a_file_cut_short_is_refused_wherever_it_ends(options: dict[str, Any]) -> None:
    data = encoded(picture(48, 64), **{"kind": "JPEG", **options})
    for length in [*range(3, len(data) - 2, 53), len(data) - 2]:
        refusal(data[:length])
        refusal(data[:length] + bytes(len(data) - length))  # the rest lost, the size kept


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"a text", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x18ftypheic", b"BM6\0"],
    ids=repr,
)
def test_what_is_no_jpeg_or_png_is_refused(data: bytes) -> None:
    assert images.NOT_A_PHOTO in refusal(data)


def bomb(side: int) -> bytes:
    squeezer = zlib.compressobj(1)
    rows = b"".join(squeezer.compress(bytes(1 + side)) for _ in range(side)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    jpeg = bytearray(encoded(picture(16, 16), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 20_000, 20_000)
    data = bomb(20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert images.TOO_LARGE in refusal(data)
    assert images.TOO_LARGE in refusal(bytes(jpeg))
    # 400 million pixels take 400 MB even in grey.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_a_photo_30000_pixels_wide_is_fitted() -> None:
    wide = np.tile(picture(20, 300), (1, 100, 1))
    data = encoded(wide, "PNG")
    assert np.array_equal(decoded(data), wide)
    cover = images.fit(tf.constant(decoded(data)), 20, "cover").numpy()
    assert np.array_equal(cover, wide[:, 14990:15010])
    contain = images.fit(tf.constant(wide), 60, "contain").numpy()
    # One row of 0.04 rounded up, in the middle; every pixel is the mean of some 500 columns.
    assert np.array_equal(np.flatnonzero(contain.any(axis=(1, 2))), [29])
    assert np.abs(contain[29].mean(axis=0) - wide.mean(axis=(0, 1))).max() < 3


def pillow_fit(array: np.ndarray, size: int, mode: images.Fit) -> np.ndarray:
    height, width = array.shape[:2]
    photo = Image.fromarray(array)
    if mode == "cover":
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        square = photo.crop((left, top, left + side, top + side))
        return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    inner = [max(1, round(size * side / max(height, width))) for side in (width, height)]
    canvas = Image.new("RGB", (size, size))
    resized = photo.resize((inner[0], inner[1]), Image.Resampling.BILINEAR)
    canvas.paste(resized, ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return np.asarray(canvas)


sizes = st.sampled_from([1, 2, 3, 20, 31, 32, 33, 64, 101, 150])


@given(height=sizes, width=sizes, size=st.sampled_from([1, 32, 45]))
@settings(max_examples=60)
@pytest.mark.parametrize("mode", ["cover", "contain"])
def test_fit_is_pillows_antialiased_resize(
    mode: images.Fit, height: int, width: int, size: int
) -> None:
    array = picture(height, width)
    got = images.fit(tf.constant(array), size, mode)
    assert got.shape == (size, size, 3)
    assert got.dtype == tf.uint8
    # Pillow rounds after each of its two passes.
    assert np.abs(got.numpy().astype(int) - pillow_fit(array, size, mode)).max() <= 1


@given(height=sizes, width=sizes, size=st.sampled_from([1, 32, 45]))
@settings(max_examples=30)
def test_fit_has_the_bits_of_tensorflows_own_resize(height: int, width: int, size: int) -> None:
    array, side = picture(height, width), min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = tf.constant(array[None, top : top + side, left : left + side])
    scale = tf.fill([2], size / side)
    # tf.image.resize, and what it calls with a scale that is rounded as ours is.
    resized = tf.image.resize(square, (size, size), antialias=True)
    exact = tf.raw_ops.ScaleAndTranslate(
        images=square,
        size=(size, size),
        scale=scale,
        translation=(0.0, 0.0),
        kernel_type="triangle",
        antialias=True,
    )
    np.testing.assert_allclose(resized, exact, atol=1e-3)
    got = images.fit(tf.constant(array), size, "cover")
    np.testing.assert_array_equal(got, np.round(exact[0]).clip(0, 255))


def test_fit_by_hand() -> None:
    row = np.array([[0, 0, 10, 20, 30, 50, 90, 90]], np.uint8)
    photo = np.repeat(np.repeat(row, 4, axis=0)[..., None], 3, axis=-1)  # 4 × 8
    cover = images.fit(tf.constant(photo), 4, "cover").numpy()
    assert cover[:, :, 0].tolist() == [[10, 20, 30, 50]] * 4
    contain = images.fit(tf.constant(photo), 8, "contain").numpy()
    assert contain[2:6, :, 0].tolist() == [row[0].tolist()] * 4
    assert not contain[:2].any()
    assert not contain[6:].any()


@pytest.mark.parametrize("mode", ["cover", "contain"])
@given(size=st.integers(1, 80), seed=st.integers(0, 9))
@settings(max_examples=30)
def test_a_photo_of_just_the_size_is_unchanged(mode: images.Fit, size: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    np.testing.assert_array_equal(images.fit(tf.constant(noise), size, mode), noise)


@pytest.mark.parametrize("mode", ["cover", "contain"])
@pytest.mark.parametrize("shape", [(50, 70), (70, 50), (1, 90), (90, 1), (1, 1), (32, 32)])
def test_eager_graph_tf_data_and_batch_give_the_same(
    mode: images.Fit, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    photos = tf.constant(rng.integers(0, 256, (3, *shape, 3), np.uint8))
    one_by_one = np.stack([images.fit(photo, 32, mode) for photo in photos])
    np.testing.assert_array_equal(images.fit(photos, 32, mode), one_by_one)
    graph = tf.function(lambda photos: images.fit(photos, 32, mode))
    np.testing.assert_array_equal(graph(photos), one_by_one)
    data = tf.data.Dataset.from_tensor_slices(photos).map(lambda p: images.fit(p, 32, mode))
    np.testing.assert_array_equal(np.stack(list(data.as_numpy_iterator())), one_by_one)


def test_decode_gives_the_same_eagerly_and_inside_tf_data() -> None:
    files = [encoded(picture(20, 30), kind) for kind in ("JPEG", "PNG")]
    files.append(files[0][:2] + TURNED + files[0][2:])
    plain = tf.autograph.experimental.do_not_convert(images.decode)  # which takes seconds
    data = tf.data.Dataset.from_tensor_slices(files).map(plain)
    for file, array in zip(files, data.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(images.decode(tf.constant(file)), array)
        np.testing.assert_array_equal(decoded(file), array)


@pytest.mark.parametrize("size", [40, 32, 17])
def test_the_input_is_read_from_the_canvas_at_pixel_centres(size: int) -> None:
    canvas = picture(40, 40)
    at = np.clip((np.arange(size) + 0.5) * 40 / size - 0.5, 0, 39)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, 39), at - low
    rows = canvas[low] * (1 - share)[:, None, None] + canvas[high] * share[:, None, None]
    expected = rows[:, low] * (1 - share)[:, None] + rows[:, high] * share[:, None]
    got = images.to_input(tf.constant(canvas[None]), size)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got[0], expected, atol=1e-3)


READ = {
    (mode, size): tf.function(
        partial(images.read, size=size, mode=mode), input_signature=BYTES, autograph=False
    )
    for mode in ("cover", "contain")
    for size in (64, 48)
}


def grainy(height: int, width: int) -> np.ndarray:
    """A picture with large and small detail, as a photo has."""
    rng = np.random.default_rng(height + width)
    coarse = rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    photo = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 3))
    return np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8)


def both_ways(data: bytes, size: int, mode: images.Fit) -> tuple[np.ndarray, np.ndarray]:
    """The canvas as it is read, and from the photo decoded as it is stored."""
    whole = images.fit(tf.constant(decoded(data)), size, mode).numpy()
    return READ[mode, size](tf.constant(data)).numpy().astype(int), whole.astype(int)


@given(
    height=st.integers(330, 900),
    width=st.integers(330, 900),
    turned=st.integers(1, 8),
    mode=st.sampled_from(["cover", "contain"]),
)
@settings(max_examples=40)
def test_a_large_jpeg_is_scaled_down_while_it_is_decoded_to_much_the_same_canvas(
    height: int, width: int, turned: int, mode: images.Fit
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = encoded(grainy(height, width), "JPEG", quality=90, exif=exif)
    read, whole = both_ways(data, 64, mode)
    apart = np.abs(read - whole)
    assert apart.mean() < 1.2
    assert np.quantile(apart, 0.99) <= 6
    # It lies where the whole one does: moved by a tenth of a pixel to any side, it fits worse.
    for axis in (0, 1):
        for step in (-1, 1):
            moved = 0.9 * read + 0.1 * np.roll(read, step, axis)
            assert np.abs(moved - whole)[3:-3, 3:-3].mean() > apart[3:-3, 3:-3].mean()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["cover", "contain"])
def test_what_is_not_much_larger_than_its_canvas_keeps_its_bits(
    kind: str, mode: images.Fit
) -> None:
    for height, width in ((60, 80), (191, 170), (191, 191)):
        read, whole = both_ways(encoded(grainy(height, width), kind), 48, mode)
        np.testing.assert_array_equal(read, whole)
    # From 4 times on a JPEG is scaled down; a PNG never is.
    read, whole = both_ways(encoded(grainy(400, 400), kind), 48, mode)
    assert (read != whole).any() == (kind == "JPEG")


def test_a_damaged_large_jpeg_is_refused_as_a_small_one_is() -> None:
    whole = encoded(grainy(400, 400), "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        READ["cover", 48](tf.constant(whole[: len(whole) // 2]))
