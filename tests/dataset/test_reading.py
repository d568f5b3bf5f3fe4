"""Photos are read in order, a bounded number ahead, and what is wrong with one is its answer."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf.dataset.canvases import preprocessor
from ajl_tf.dataset.reading import read_photos
from ajl_tf.dataset.refusals import NOT_A_PHOTO

PREPROCESS = preprocessor(8, "cover")


@pytest.fixture
def numbered(tmp_path: Path) -> list[Path]:
    """Thirty photos, each of one shade: its number."""
    paths = [tmp_path / f"{number}.png" for number in range(30)]
    for shade, path in enumerate(paths):
        Image.new("L", (9, 7), shade).save(path)
    return paths


def shades(photos: Iterator[np.ndarray | str]) -> list[int]:
    return [int(photo.max()) for photo in photos if not isinstance(photo, str)]


@pytest.mark.parametrize(("ahead", "workers"), [(1, 1), (4, 2), (64, 8), (64, None)])
def test_photos_come_in_the_order_of_their_paths(
    numbered: list[Path], ahead: int, workers: int | None
) -> None:
    def slow_at_first(data: tf.Tensor) -> tf.Tensor:
        canvas = PREPROCESS(data)
        time.sleep(0.02 if int(canvas[0, 0, 0]) % 8 == 0 else 0)
        return canvas

    photos = read_photos(numbered, slow_at_first, ahead=ahead, workers=workers)
    assert shades(photos) == list(range(30))


def test_it_takes_no_more_than_it_may_ahead() -> None:
    taken: list[int] = []

    def paths() -> Iterator[Path]:
        for number in range(100):
            taken.append(number)
            yield Path(f"/nowhere/{number}.png")

    photos = read_photos(paths(), PREPROCESS, ahead=5)
    for got in range(1, 20):
        assert "cannot be read: No such file" in next(photos)
        assert len(taken) == got - 1 + 5
    photos.close()


def test_a_reader_that_is_closed_ends_its_threads(numbered: list[Path]) -> None:
    before = set(threading.enumerate())
    started: list[int] = []

    def slow(data: tf.Tensor) -> tf.Tensor:
        started.append(1)
        time.sleep(0.01)
        return PREPROCESS(data)

    photos = read_photos(numbered, slow, ahead=20, workers=3)
    next(photos)
    assert set(threading.enumerate()) > before
    photos.close()
    assert set(threading.enumerate()) == before
    assert len(started) < 20  # what waited was cancelled


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "tan").save(out, "JPEG")
    return out.getvalue()


UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "text": (b"dear diary", f"{NOT_A_PHOTO} (it begins with b'dear dia')"),
    "cut": (jpeg()[:200], "damaged, cut short or of a rare kind"),
    "WebP": (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP file; convert it to JPEG or PNG"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file; convert it to JPEG or PNG"),
    "HEIF": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC file"),
    "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF file"),
    "GIF": (b"GIF89a\1\0\1\0", "a GIF file"),
    "BMP": (b"BM\x36\0\0\0", "a BMP file"),
    "TIFF": (b"II*\0\x08\0\0\0", "a TIFF file"),
    "PDF": (b"%PDF-1.7", "a PDF file"),
}


def test_what_is_wrong_with_a_photo_stands_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(jpeg())
    (tmp_path / "folder.jpg").mkdir()
    paths, expected = [tmp_path / "good.jpg"], [""]
    for name, (data, reason) in UNREADABLE.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
        paths += [tmp_path / f"{name}.jpg", tmp_path / "good.jpg"]
        expected += [reason, ""]
    paths += [tmp_path / "missing.jpg", tmp_path / "folder.jpg"]
    expected += ["cannot be read: No such file or directory", "cannot be read: Is a directory"]
    for photo, reason in zip(read_photos(paths, PREPROCESS), expected, strict=True):
        if reason:
            assert isinstance(photo, str)
            assert photo.startswith(reason)
            assert "\n" not in photo
        else:
            assert photo.shape == (8, 8, 3)


def test_an_error_that_is_no_photos_fault_is_raised(numbered: list[Path]) -> None:
    def broken(data: tf.Tensor) -> tf.Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_photos(numbered, broken))


def test_no_paths_give_no_photos() -> None:
    assert list(read_photos([], PREPROCESS)) == []


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
def test_where_the_memory_is_used_up_the_photo_is_not_blamed(
    numbered: list[Path], error: Exception
) -> None:
    def greedy(data: tf.Tensor) -> tf.Tensor:
        raise error

    with pytest.raises(type(error)):
        list(read_photos(numbered, greedy))
