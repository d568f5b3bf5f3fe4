"""Small copies of photos: upright, small, and free of what the file says of its camera."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from ajl_tf.orientation import is_turned, upright
from ajl_tf.pages.photos import thumbnail


def opened(data: str | None) -> Image.Image:
    assert data is not None
    start = "data:image/jpeg;base64,"
    assert data.startswith(start)
    return Image.open(io.BytesIO(base64.b64decode(data.removeprefix(start))))


def test_a_copy_is_upright_small_and_says_nothing_of_its_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    exif[0x010F] = "camera"
    picture = Image.new("RGB", (600, 300), "red")
    picture.paste("blue", (0, 0, 300, 300))  # left; upright: on top
    picture.save(tmp_path / "it.jpg", exif=exif)
    copy = opened(thumbnail(tmp_path / "it.jpg", 100))
    assert copy.size == (50, 100)
    assert not copy.getexif()
    pixels = np.asarray(copy, int)
    assert pixels[10, 25, 2] > 200 > 50 > pixels[10, 25, 0]
    assert pixels[90, 25, 0] > 200 > 50 > pixels[90, 25, 2]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_is_shown(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("it.jpg" if mode == "CMYK" else "it.png")
    Image.new(mode, (20, 10)).save(path)
    copy = opened(thumbnail(path))
    assert (copy.size, copy.mode) == ((20, 10), "RGB")  # never enlarged


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "it.png")
    assert np.asarray(opened(thumbnail(tmp_path / "it.png"))).min() > 250


def test_a_grey_photo_of_16_bits_is_as_grey_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 10), 0x4080, np.uint16)).save(tmp_path / "it.png")
    assert np.abs(np.asarray(opened(thumbnail(tmp_path / "it.png")), int) - 0x40).max() <= 2


def test_what_the_package_does_not_take_is_not_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "it.jpg", "GIF")
    assert thumbnail(tmp_path / "it.jpg") is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_pillow_has_it(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "it.png", exif=exif)
    with Image.open(tmp_path / "it.png") as photo:
        expected = np.asarray(ImageOps.exif_transpose(photo))
        np.testing.assert_array_equal(np.asarray(upright(photo)), expected)
        assert is_turned(photo) == (expected.shape[:2] == (4, 6))


@pytest.mark.parametrize("damage", ["empty", "text", "cut jpg", "cut png", "missing"])
def test_what_cannot_be_read_has_no_copy(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    if damage.startswith("cut"):
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "JPEG" if damage.endswith("jpg") else "PNG")
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    elif damage != "missing":
        path.write_text("" if damage == "empty" else "dear diary")
    assert thumbnail(path) is None
