"""Photos are read in order, a bounded number ahead, and what is wrong with one is its answer."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf.dataset.canvases import preprocessor
from ajl_tf.dataset.reading import Preprocess, read_photos
from ajl_tf.dataset.refusals import NOT_A_PHOTO

PREPROCESS = preprocessor(8, "cover")


@pytest.fixture
def numbered(tmp_path: Path) -> list[Path]:
    """Sixty photos, each of one shade: its number."""
    paths = [tmp_path / f"{number}.png" for number in range(60)]
    for shade, path in enumerate(paths):
        Image.new("L", (9, 7), shade).save(path)
    return paths


def shades(photos: Iterator[np.ndarray | str]) -> list[int]:
    return [int(photo.max()) for photo in photos if not isinstance(photo, str)]


def counting(count: list[int], wait: float = 0) -> Preprocess:
    """The preprocessing of photos, which counts them and waits at each eighth."""

    def began(data: bytes) -> bytes:
        count.append(1)
        time.sleep(wait if len(count) % 8 == 0 else 0)
        return data

    def preprocess(data: tf.Tensor) -> tf.Tensor:
        return PREPROCESS(tf.ensure_shape(tf.numpy_function(began, [data], tf.string), ()))

    return preprocess


def test_photos_come_in_the_order_of_their_paths(numbered: list[Path]) -> None:
    assert shades(read_photos(numbered * 5, counting([], wait=0.01))) == list(range(60)) * 5
    assert shades(read_photos(list(map(str, numbered)) * 5, PREPROCESS)) == list(range(60)) * 5
    assert shades(read_photos(numbered, counting([], wait=0.02))) == list(range(60))


def test_it_takes_no_more_than_it_may_ahead(numbered: list[Path]) -> None:
    begun: list[int] = []
    photos = read_photos(numbered * 10, counting(begun))
    for taken in range(1, 120):
        next(photos)
        assert taken <= len(begun) <= taken + 64
    photos.close()


def test_a_reader_that_is_closed_reads_no_more(numbered: list[Path]) -> None:
    begun: list[int] = []
    photos = read_photos(numbered * 10, counting(begun, wait=0.01))
    next(photos)
    photos.close()
    time.sleep(0.2)
    seen = len(begun)
    time.sleep(0.2)
    assert len(begun) == seen < 65


def test_bad_photos_come_between_good_ones_however_many(numbered: list[Path]) -> None:
    gone = [path.with_name(f"gone-{path.name}") for path in numbered]
    order = [*gone, *numbered[:3], gone[0], *numbered[3:], *gone * 3]
    assert len(order) > 256
    read = list(read_photos(order, PREPROCESS))
    assert shades(iter(read)) == list(range(60))
    for path, photo in zip(order, read, strict=True):
        assert isinstance(photo, str) == path.name.startswith("gone-")


def test_a_photo_that_failed_once_is_read_again(numbered: list[Path]) -> None:
    def failing(data: bytes) -> bytes:
        if failures:
            raise failures.pop()
        return data

    def preprocess(data: tf.Tensor) -> tf.Tensor:
        return PREPROCESS(tf.ensure_shape(tf.numpy_function(failing, [data], tf.string), ()))

    failures: list[Exception] = [OSError(), MemoryError()]
    assert shades(read_photos(numbered * 5, preprocess)) == list(range(60)) * 5
    assert failures == []


def test_a_path_that_looks_like_an_address_is_a_file(
    numbered: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = numbered[7].with_name("gs:")
    folder.mkdir()
    numbered[7].rename(folder / "é\udcff.png")
    monkeypatch.chdir(folder.parent)
    assert shades(read_photos(["gs://é\udcff.png"] * 300, PREPROCESS)) == [7] * 300


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
    photos = [*read_photos(paths, PREPROCESS), *read_photos(paths * 12, PREPROCESS)]
    for photo, reason in zip(photos, expected * 13, strict=True):
        if reason:
            assert isinstance(photo, str)
            assert photo.startswith(reason)
            assert "\n" not in photo
        else:
            assert photo.shape == (8, 8, 3)


@pytest.mark.parametrize("number", [1, 5])
def test_an_error_that_is_no_photos_fault_is_raised(numbered: list[Path], number: int) -> None:
    def broken(data: tf.Tensor) -> tf.Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_photos(numbered * number, broken))


def test_no_paths_give_no_photos() -> None:
    assert list(read_photos([], PREPROCESS)) == []


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("graph", [False, True])
def test_where_the_memory_is_used_up_the_photo_is_not_blamed(
    numbered: list[Path], graph: bool, number: int
) -> None:
    def no_room(data: bytes) -> bytes:
        raise MemoryError

    def greedy(data: tf.Tensor) -> tf.Tensor:
        return PREPROCESS(tf.ensure_shape(tf.numpy_function(no_room, [data], tf.string), ()))

    error = tf.errors.ResourceExhaustedError if graph else MemoryError
    with pytest.raises(error):
        list(read_photos(numbered * number, tf.function(greedy) if graph else greedy))


def test_an_end_waits_for_no_thread_that_tunes(
    numbered: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def iterated(dataset: tf.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        read.append(dataset.options())
        return iter([])

    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", iterated)
    assert len(list(read_photos(numbered * 5, PREPROCESS))) == len(numbered) * 5
    assert [options.autotune.enabled for options in read] == [False]
    assert [options.threading.max_intra_op_parallelism for options in read] == [1]
