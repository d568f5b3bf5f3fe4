"""A folder of results is made again without ever costing a user a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ajl_tf.errors import UserError
from ajl_tf.pages.folder import RECORD, check_folder, result_folder


def make(folder: Path, **texts: str) -> None:
    with result_folder(folder) as drafts:
        for name, text in texts.items():
            path = drafts / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def test_results_are_replaced_and_what_is_no_longer_made_goes(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    make(out, page_html="1", sub__a_csv="2", old_csv="3")
    (out / "notes.txt").write_text("mine")
    make(out, page_html="4", sub__a_csv="5")
    assert contents(out) == {"page.html": "4", "sub/a.csv": "5", "notes.txt": "mine"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_record_is_what_sha256sum_reads(tmp_path: Path) -> None:
    make(tmp_path / "out", a_csv="1", sub__b_csv="2")
    command = ["sha256sum", "--check", "--strict", RECORD]
    assert subprocess.run(command, cwd=tmp_path / "out", capture_output=True).returncode == 0


@pytest.mark.parametrize("made_before", [False, True])
def test_a_users_files_are_never_replaced(tmp_path: Path, made_before: bool) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if made_before:
        make(out, other_csv="1")
    (out / "manifest.csv").write_text("mine")
    before = contents(out)
    with pytest.raises(UserError, match=r"your own|no FILES\.sha256"):
        make(out, manifest_csv="2")
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_was_edited_is_the_users(tmp_path: Path) -> None:
    make(tmp_path, manifest_csv="1", page_html="1")
    (tmp_path / "manifest.csv").write_text("edited")
    with pytest.raises(UserError, match=r"changed since(.|\n)*- manifest\.csv"):
        make(tmp_path, manifest_csv="2", page_html="2")
    assert contents(tmp_path) == {"manifest.csv": "edited", "page.html": "1"}


def test_one_edited_meanwhile_too(tmp_path: Path) -> None:
    make(tmp_path, a_csv="1")

    def edit_while_making() -> None:
        with result_folder(tmp_path) as drafts:
            (drafts / "a.csv").write_text("2")
            (tmp_path / "a.csv").write_text("edited")

    with pytest.raises(UserError, match="changed since"):
        edit_while_making()
    assert contents(tmp_path) == {"a.csv": "edited"}


def test_a_deleted_result_comes_back(tmp_path: Path) -> None:
    make(tmp_path, a_csv="1")
    (tmp_path / "a.csv").unlink()
    make(tmp_path, a_csv="2")
    assert contents(tmp_path) == {"a.csv": "2"}


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, a_csv="1")

    def fail() -> None:
        with result_folder(out) as drafts:
            (drafts / "a.csv").write_text("2")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert contents(out) == {"a.csv": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        check_folder(tmp_path / "out")


def test_a_record_written_by_hand_reaches_no_other_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    out = tmp_path / "out"
    make(out, a_csv="1")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    with (out / RECORD).open("a") as record:
        record.write(f"{digest}  ../victim.txt\n{digest}  {victim}\n")
    make(out, a_csv="2")
    assert victim.read_text() == "mine"
