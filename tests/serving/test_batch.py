"""Batch inference: each photo's answer in its row, bad photos aside, a bounded number in memory."""

from __future__ import annotations

import signal
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ajl_tf.serving import batch
from ajl_tf.serving.batch import predict_photos
from ajl_tf.serving.savedmodel import load


@pytest.fixture(scope="module")
def model(saved_model: Path) -> Any:
    return load(saved_model)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Ten photos of different shades."""
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for number, path in enumerate(paths):
        Image.new("RGB", (50, 50), (25 * number, 100, 255 - 25 * number)).save(path)
    return paths


@pytest.mark.parametrize("bad", [[], [0], [2, 3, 4, 5], [9], list(range(10))], ids=str)
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 64])
def test_each_photo_is_answered_once_in_its_row(
    model: Any, photos: list[Path], bad: list[int], batch_size: int
) -> None:
    images = np.stack([np.asarray(Image.open(path)) for path in photos])
    expected = model.signatures["serving_default"](images=images)["probabilities"].numpy()
    for number in bad:
        photos[number].write_bytes(b"")
    answers = list(predict_photos(model, photos, batch_size))
    rows = [row for answer in answers for row in answer.rows]
    assert rows == [row for row in range(10) if row not in bad]
    assert [e for a in answers for e in a.errors] == [(row, "the file is empty") for row in bad]
    assert all(len(answer.rows) + len(answer.errors) <= batch_size for answer in answers)
    got = np.concatenate([answer.probabilities for answer in answers])
    assert got.shape == (len(rows), 3)
    np.testing.assert_allclose(got, expected[rows], atol=1e-5)


def test_nothing_gives_nothing(model: Any) -> None:
    assert list(predict_photos(model, [], 4)) == []


def test_who_interrupts_waits_for_no_batch_that_has_not_begun(
    model: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def slow(*arguments: object) -> None:
        begun.append(1)
        while len(asked) < 2:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.5)

    asked: list[object] = []
    submit = ThreadPoolExecutor.submit

    def counted(self: ThreadPoolExecutor, *arguments: Any) -> Any:
        if arguments[0] is slow:
            asked.append(arguments)
        return submit(self, *arguments)

    monkeypatch.setattr(batch, "_answer", slow)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)
    with pytest.raises(KeyboardInterrupt):
        list(predict_photos(model, photos, 2))
    assert len(begun) == 1
    assert len(asked) == 2


def test_memory_does_not_grow_with_the_number_of_photos(model: Any, photos: list[Path]) -> None:
    def peak(count: int) -> int:
        paths = [photos[number % 10] for number in range(count)]
        tracemalloc.start()
        for _ in predict_photos(model, paths, 8):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(50)
    # 350 canvases more would be 1.7 MB.
    assert peak(400) - peak(50) < 300_000
