"""The progress line, on a terminal and in a log file, by a clock that the test moves."""

from __future__ import annotations

import io
import itertools

import pytest

from ajl_tf import progress
from ajl_tf.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def run(line: ProgressLine, clock: list[float], photos: int, seconds_each: float) -> None:
    for done in range(1, photos + 1):
        clock[0] += seconds_each
        line.update(done, "loss 1.0")
    line.close(photos)


def test_a_log_file_gets_a_line_a_minute_and_the_last(clock: list[float]) -> None:
    out = io.StringIO()
    run(ProgressLine(100, "predicting", out=out), clock, 100, 2.0)
    said = out.getvalue()
    assert said.count("\n") == 4
    assert "\r" not in said
    assert "\x1b" not in said
    first, *_, last = said.splitlines()
    assert first.startswith("predicting ━━━━━━━ ")
    assert first.endswith(" 30%  0.5 photos/s  2:20 left  loss 1.0")
    assert last.endswith("100%  0.5 photos/s  in 3:20")


def test_a_last_photo_that_falls_on_the_minute_is_told_once(clock: list[float]) -> None:
    out = io.StringIO()
    run(ProgressLine(3, "explaining", out=out), clock, 3, 80.0)
    *_, before, last = out.getvalue().splitlines()
    assert out.getvalue().count("\n") == 3
    assert " 67%  0.013 photos/s  1:20 left" in before
    assert last.endswith("100%  0.013 photos/s  in 4:00")


def test_what_is_over_at_once_is_one_line_of_a_log_file(clock: list[float]) -> None:
    out = io.StringIO()
    run(ProgressLine(1000, "decoding photos", out=out), clock, 1000, 0.02)
    assert out.getvalue() == f"decoding photos {'━' * 24} 100%  50 photos/s  in 0:20\n"


def test_a_terminal_is_drawn_on_a_few_times_a_second(clock: list[float]) -> None:
    out = Terminal()
    run(ProgressLine(100, "predicting", out=out), clock, 100, 0.0625)
    drawn = out.getvalue().split("\r")[1:]
    assert len(drawn) == 26  # every fourth, and the last state
    assert all("\n" not in text for text in drawn[:-1])
    assert drawn[-1].endswith("in 0:06\x1b[K\n")
    shares = [int(text.split("%")[0][-3:]) for text in drawn]
    assert all(before <= after for before, after in itertools.pairwise(shares))
