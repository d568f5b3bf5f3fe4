"""The export verb: what it takes, and what it says it made; tests/serving has the exports."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import tensorflow as tf

from ajl_tf import export
from ajl_tf.config_tables import Model
from ajl_tf.dataset.views import Views
from ajl_tf.errors import run_verb
from ajl_tf.serving import export as exporting


def test_a_name_is_for_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(export.main, [str(tmp_path), "--name", "both"]) == 2
    assert "error: --name is for several runs" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for runs in ([tmp_path], [tmp_path, tmp_path / "other"]):
        assert run_verb(export.main, [*map(str, runs), "--saved-models", str(tmp_path / "s")]) == 2
        assert f"error: {tmp_path} is no run: it has no config.toml" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("strength", ["-0.1", "2.1", "nan", "half"])
def test_a_strength_that_is_none_is_refused(
    strength: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        export.main(["run", "--logit-adjustment", strength])
    assert ended.value.code == 2
    assert "0 to 2" in " ".join(capsys.readouterr().err.split())


def test_views_that_are_none_are_refused() -> None:
    assert get_args(Views) == get_args(Model.model_fields["views"].annotation) == export.VIEWS
    with pytest.raises(SystemExit):
        export.main(["run", "--tta", "mirrors"])


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/it", ".hidden", "a b", "", "n" * 81])
def test_a_name_leads_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run_verb(export.main, [str(tmp_path), str(tmp_path / "b"), "--name", name]) == 2
    assert "--name takes up to 80 letters" in capsys.readouterr().err


def test_out_of_memory_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "export_run", lambda *_: tf.zeros(1 << 50))  # petabytes
    assert run_verb(export.main, [str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory (")
    assert "CUDA_VISIBLE_DEVICES=-1" in said
