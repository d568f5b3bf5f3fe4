"""The verb `python -m ajl_tf.draw`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ajl_tf.draw import main
from ajl_tf.errors import run_verb


def test_it_draws_and_says_that_it_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "set"
    assert main([str(out), "--images", "100", "--size", "48", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("DRAWN")
    assert str(out) in said
    assert "nothing about dermatology" in said
    assert len(list(out.rglob("*.jpg"))) == 100
    assert "--images 100 --size 48 --seed 4" in (out / "README.txt").read_text(encoding="utf-8")


def test_a_refusal_is_one_message_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run_verb(main, [str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert str(tmp_path) in said
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_help_says_drawn_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, ajl_tf.draw\n"
        "try: ajl_tf.draw.main(['--help'])\n"
        "finally: assert not {'numpy', 'tensorflow', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "DRAWN" in done.stdout
