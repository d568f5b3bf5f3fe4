"""One line that tells how far a loop is, how fast it goes and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")
_WIDTH = 24
_EVERY = 0.2  # seconds between two drawings on a terminal
_EVERY_LOGGED = 60.0  # seconds between two lines of a log file


class ProgressLine:
    """Draws `label ━━━━     40%  812 photos/s  0:03 left  extra` in place.

    On a terminal the line is redrawn; a log file gets a line a minute, and the last state.
    """

    def __init__(self, total: int, label: str, unit: str = "photos", out: TextIO | None = None):
        """Starts the clock; `total` is in `unit`s."""
        self.total, self.label, self.unit = total, label, unit
        self.out = out or sys.stderr
        self.start = self.drawn = time.monotonic()
        self.live = self.out.isatty()

    @property
    def due(self) -> bool:
        """Whether `update` would draw now."""
        every = _EVERY if self.live else _EVERY_LOGGED
        return time.monotonic() - self.drawn >= every

    def update(self, done: int, extra: str = "") -> None:
        """Redraws the line, at most a few times a second; in a log file, once a minute."""
        # `close` cannot write over the last line of a log file.
        if self.due and (self.live or done < self.total):
            self.drawn = time.monotonic()
            self._write(done, extra, "\x1b[K")

    def close(self, done: int, extra: str = "") -> None:
        """Draws the last state and ends the line."""
        self._write(done, extra, "\x1b[K\n")

    def _write(self, done: int, extra: str, end: str) -> None:
        text = self._text(done, time.monotonic(), extra)
        self.out.write(f"\r{text}{end}" if self.live else f"{text}\n")
        self.out.flush()

    def _text(self, done: int, now: float, extra: str) -> str:
        share = done / self.total if self.total else 1.0
        seconds = max(now - self.start, 1e-9)
        rate = done / seconds
        left = (self.total - done) / rate if rate else 0.0
        bar = "━" * round(_WIDTH * share)
        clock = f"{_clock(left)} left" if done < self.total else f"in {_clock(seconds)}"
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        text = f"{self.label} {bar:<{_WIDTH}} {share:4.0%}  {speed} {self.unit}/s  {clock}"
        return f"{text}  {extra}" if extra else text


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yields `items` and shows how far it is."""
    line = ProgressLine(total, label)
    done = 0
    for item in items:
        yield item
        done += 1
        line.update(done)
    line.close(done)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
