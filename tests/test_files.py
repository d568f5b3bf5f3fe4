"""Files appear whole or not at all, and what a user made is not replaced unasked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.errors import UserError
from ajl_tf.files import atomic_path, photo_file, write_text


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


@pytest.fixture(params=["EPERM", "EOPNOTSUPP", "ENOSYS"])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links, as memory sticks and network drives have."""

    def link(*_: object) -> None:
        raise OSError(getattr(errno, request.param), "no links here")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_a_new_file_is_written_and_an_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "it.txt"
    write_text(path, "mine", overwrite=False)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match="exists already"):
        write_text(path, "other", overwrite=False)
    late = tmp_path / "late.txt"

    def beaten() -> None:
        with atomic_path(late, overwrite=False) as temporary:
            temporary.write_text("slow")
            late.write_text("quick")

    with pytest.raises(UserError, match="exists already"):
        beaten()
    assert late.read_text() == "quick"
    assert sorted(tmp_path.iterdir()) == [path, late]


@given(st.text(st.sampled_from("ab./\\:~ %é"), min_size=1, max_size=12))
def test_a_picture_of_a_photo_never_leaves_its_folder(image_id: str) -> None:
    folder = Path("/results/overlays")
    path = os.path.normpath(photo_file(folder, image_id))
    assert path.startswith(f"{folder}{os.sep}")
    assert path.endswith(".png")


def test_pictures_of_photos_have_their_names() -> None:
    folder = Path("of")
    assert photo_file(folder, "0a1b") == Path("of/0a1b.png")
    assert photo_file(folder, "nevus/0a1b.v2") == Path("of/nevus/0a1b.v2.png")
    assert photo_file(folder, "/data/a") == Path("of/%2Fdata%2Fa.png")
    assert photo_file(folder, "../a") == Path("of/..%2Fa.png")
    assert photo_file(folder, "C:\\a") == Path("of/C%3A%5Ca.png")
