"""Ctrl-C and a cluster's SIGTERM wait until the training stands where it can be saved."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from ajl_tf.errors import Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Raised where `Stops.at_once` allows it: the training is to be saved and ended."""


class Stops:
    """Holds the first signal back while it is entered; a second one is not held.

    Python delivers signals to the main thread; in any other this does nothing.
    """

    def __init__(self) -> None:
        """Nothing is held yet."""
        self.asked: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Takes the signals over."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hold) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets a signal end the block within with `Stopped`: it changes nothing that is saved."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def deliver(self) -> None:
        """Raises what the signal that was held back means, if there was one."""
        if self.asked is not None:
            _raise(self.asked)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            _raise(self.asked)
        self.asked = number
        print(
            "\nstopping: saving where the training stands; once more to stop without that",
            file=sys.stderr,
        )
        if self._at_once:
            raise Stopped


def _raise(number: int) -> None:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
