"""Files appear whole or not at all, and what a user made is not replaced unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajl_tf.errors import UserError
from ajl_tf.files import atomic_path, write_text


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "it.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # one file system, or the move is a copy
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_meets_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "it.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_block_that_fails_leaves_what_was_there(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "it.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["best.weights.h5", "canvases.npy", "table.csv", "LICENSE"])
def test_the_temporary_name_ends_as_the_file_does(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.name.endswith(name)
        assert temporary.name.startswith(".")
        temporary.touch()


def test_without_overwrite_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "it.txt"
    write_text(path, "the user's", overwrite=False)
    with pytest.raises(UserError, match=r"it\.txt exists already"):
        write_text(path, "ours", overwrite=False)
    assert path.read_text() == "the user's"


def test_without_overwrite_a_file_that_appeared_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "it.txt"

    def write() -> None:
        with atomic_path(path, overwrite=False) as temporary:
            temporary.write_text("ours")
            path.write_text("the user's")

    with pytest.raises(UserError, match=r"it\.txt exists already"):
        write()
    assert path.read_text() == "the user's"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    text = "café\r\nline\n\ttab 🙂"
    write_text(tmp_path / "it.txt", text)
    assert (tmp_path / "it.txt").read_bytes() == text.encode()
