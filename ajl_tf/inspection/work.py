"""Doing the same to many things: in threads, in order, with a line that tells how far it is.

Threads and not processes: OpenCV, Pillow and hashing leave Python's lock while they work, nothing
is copied, and it goes the same way in a notebook, in a script and beside TensorFlow.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from ajl_tf.progress import ProgressLine

T = TypeVar("T")
Result = TypeVar("Result")

_QUIET = 3.0  # seconds that need no progress line


def in_threads(function: Callable[[T], Result], items: Sequence[T]) -> Iterator[Result]:
    """Yields `function` of each item, in order; few results wait at any time."""
    workers = os.cpu_count() or 1
    with _one_thread_each(), ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class SlowProgress:
    """A progress line that appears only when the work takes more than a few seconds."""

    def __init__(self, total: int, label: str, unit: str = "photos") -> None:
        """Starts the clock."""
        self._line = ProgressLine(total, label, unit)
        self._done = 0

    def add(self, count: int) -> None:
        """Says that so much more is done."""
        self._done += count
        if self._slow:
            self._line.update(self._done)

    def close(self) -> None:
        """Ends the line, if there is one."""
        if self._slow:
            self._line.close(self._done)

    @property
    def _slow(self) -> bool:
        return time.monotonic() - self._line.start > _QUIET


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keeps OpenCV and NumPy from threads of their own, which would get in each other's way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        cv2.setNumThreads(before)
