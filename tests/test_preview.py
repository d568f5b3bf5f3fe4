"""The preview verb draws what the network sees, and replaces nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf import preview
from ajl_tf.dataset import canvases
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.errors import run_verb

EXPERIMENT = """
name = "it"
[data]
canvas = 40
[model]
backbone = "mobilenet_v2"
weights = "none"
input_size = 32
[augment]
rotation = 90.0
brightness = 0.3
[[phases]]
name = "all"
epochs = 1
"""
SIDE = 32 + 2  # of a picture and its gap


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    (tmp_path / "it.toml").write_text(EXPERIMENT)
    return str(tmp_path / "it.toml")


def grid(path: Path) -> np.ndarray:
    """The pictures of a grid, (rows, columns, 32, 32, 3)."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture)
    rows, columns = (side // SIDE for side in pixels.shape[:2])
    assert pixels.shape == (rows * SIDE + 2, columns * SIDE + 2, 3)
    inner = pixels[2:, 2:].reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
    return inner[:, :, :32, :32]


def test_the_first_column_is_the_photo_as_evaluated(
    experiment: str,
    drawn_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "new" / "grid.png"
    arguments = [experiment, "--data", str(drawn_set), "--out", str(out), "--photos", "3"]
    assert preview.main([*arguments, "--epochs", "2"]) == 0
    assert str(out) in capsys.readouterr().out
    pictures = grid(out)
    assert pictures.shape[:2] == (3, 3)
    paths = labelled(read_manifest([drawn_set]))["path"]
    every = np.stack(
        [canvases.preprocessor(40, "cover")(tf.constant(Path(p).read_bytes())) for p in paths]
    )
    evaluated = np.round(tf.image.resize(every, (32, 32)).numpy())
    for row in pictures:
        assert (evaluated == row[0]).all(axis=(1, 2, 3)).any()
        assert np.abs(row[0].astype(int) - row[1]).max() > 5
        assert np.abs(row[1].astype(int) - row[2]).max() > 5
    assert not (tmp_path / "data").exists()


def test_a_picture_that_exists_stays(
    experiment: str, drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid.png").write_text("mine")
    arguments = [experiment, "--data", str(drawn_set), "--out", str(tmp_path / "grid.png")]
    assert run_verb(preview.main, arguments) == 2
    assert "grid.png exists already" in capsys.readouterr().err
    assert (tmp_path / "grid.png").read_text() == "mine"


@pytest.mark.parametrize("option", ["--photos", "--epochs"])
def test_a_grid_has_rows_and_columns(
    experiment: str, drawn_set: Path, tmp_path: Path, option: str
) -> None:
    arguments = [experiment, "--data", str(drawn_set), "--out", str(tmp_path / "grid.png")]
    assert run_verb(preview.main, [*arguments, option, "0"]) == 2
    assert not (tmp_path / "grid.png").exists()


def test_data_without_labels_are_told(
    experiment: str, drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(drawn_set / "test.csv")
    arguments = [experiment, "--data", data, "--out", str(tmp_path / "it.png")]
    assert run_verb(preview.main, arguments) == 2
    assert "no photo of the data has a label" in capsys.readouterr().err


def test_rare_conditions_are_shown_as_strongly_changed_as_they_are(
    experiment: str, drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How rare a condition is counts among all of the data, not among the photos shown."""
    monkeypatch.chdir(tmp_path)
    labels = labelled(read_manifest([drawn_set]))["label"]
    assert labels.value_counts().nunique() > 1
    pictures = []
    for boost in ("0.0", "0.5"):
        out = tmp_path / f"{boost}.png"
        arguments = [experiment, "--data", str(drawn_set), "--out", str(out), "--epochs", "1"]
        settings = ["--photos", str(len(labels)), "--set", f"augment.rare_boost={boost}"]
        assert run_verb(preview.main, [*arguments, *settings]) == 0
        pictures.append(grid(out))
    shown = labels.sample(len(labels), random_state=0)
    common = (shown == labels.value_counts().idxmax()).to_numpy()
    changed = (pictures[0][:, 1] != pictures[1][:, 1]).any(axis=(1, 2, 3))
    assert not changed[common].any()
    assert changed[~common].any()
