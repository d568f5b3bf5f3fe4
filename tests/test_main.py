"""`python -m ajl_tf`: the list of commands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ajl_tf.__main__ import VERBS, main
from ajl_tf.errors import run_verb


def test_it_lists_every_verb_with_what_it_does() -> None:
    answer = subprocess.run([sys.executable, "-m", "ajl_tf"], capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "no diagnosis" in answer.stdout
    lines = [line.split() for line in answer.stdout.splitlines() if "-m ajl_tf." in line]
    assert [line[2] for line in lines] == [f"ajl_tf.{verb}" for verb in VERBS]
    assert all(len(line) > 6 for line in lines)  # a sentence, not a word


@pytest.mark.parametrize("argument", ["-h", "--help"])
def test_help_is_the_same_list(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listing = capsys.readouterr().out
    assert main([argument]) == 0
    assert capsys.readouterr().out == listing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "experiments/demo.toml"], "python -m ajl_tf.train experiments/demo.toml"),
        (["traim"], "python -m ajl_tf lists"),
        (["--version"], "python -m ajl_tf lists"),
    ],
)
def test_a_command_typed_otherwise_is_answered_with_how_to_type_it(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(main, arguments) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert said in answer.err


def test_a_reader_that_goes_early_is_told_nothing() -> None:
    gone, mouth = os.pipe()
    os.close(gone)
    answer = subprocess.run(
        [sys.executable, "-m", "ajl_tf"], stdout=mouth, stderr=subprocess.PIPE, text=True
    )
    os.close(mouth)
    assert (answer.returncode, answer.stderr) == (141, "")
