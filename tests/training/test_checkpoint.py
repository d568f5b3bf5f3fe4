"""A checkpoint is read back to the bit, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ajl_tf import files
from ajl_tf.training import checkpoint
from ajl_tf.training.checkpoint import forget_checkpoint, read_checkpoint, write_checkpoint

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    np.array(-3, dtype=np.int64),
    np.empty((0, 4), np.float32),
    np.frombuffer(b"\n\n{}", np.uint8),
    np.arange(24.0).reshape(4, 6)[::2, ::-1],  # as no file would hold it
]


def arrays(number: int) -> list[np.ndarray]:
    return [array + array.dtype.type(number) for array in ARRAYS]


def check(found: Any, number: int) -> None:
    state, read = found
    assert state == {"number": number, "text": "a\nb ü", "score": 0.1 + 0.2}
    for array, expected in zip(read, arrays(number), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected, strict=True)


def write(folder: Path, number: int) -> None:
    state = {"number": number, "text": "a\nb ü", "score": 0.1 + 0.2}
    write_checkpoint(folder, state, arrays(number))


def test_the_last_one_counts_until_it_is_forgotten(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    for number in range(3):
        write(tmp_path, number)
        check(read_checkpoint(tmp_path), number)
    assert len(list(tmp_path.iterdir())) == 2
    forget_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())
    assert read_checkpoint(tmp_path) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_one_is_told_of_and_the_one_before_is_used(
    at: float, bit: int, cut: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    path = tmp_path / checkpoint.CURRENT
    data = bytearray(path.read_bytes())
    place = int(at * len(data))
    data[place] ^= 1 << bit
    path.write_bytes(data[:place] if cut else data)
    check(read_checkpoint(tmp_path), 1)
    assert capsys.readouterr().err == f"warning: {path} was damaged and is deleted\n"
    (tmp_path / checkpoint.PREVIOUS).write_bytes(b"")
    assert read_checkpoint(tmp_path) is None
    assert not list(tmp_path.iterdir())
    capsys.readouterr()


@pytest.mark.parametrize("number", range(1, 4))
def test_a_kill_while_one_is_written_leaves_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the write, after it, and between the two moves."""
    write(tmp_path, 1)
    write(tmp_path, 2)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    place = [(checkpoint.hashlib, "sha256"), (Path, "replace"), (files.os, "fsync")]
    with monkeypatch.context() as patch:
        patch.setattr(*place[number - 1], kill)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, 3)
    check(read_checkpoint(tmp_path), 2)
