"""TensorBoard gets each tone band's scores every epoch, and figures that cost little time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, f1_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ajl_tf.training import tensorboard
from ajl_tf.training.tensorboard import Pictures

NAMES = ("acne, mild", "$x_1$ <b>", "tinea")
EPOCHS = 3


class Clock:
    """Time that passes only in training: so many seconds an epoch."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def trained(folder: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Runs a callback through epochs of so many seconds; returns what validation saw in each."""
    clock = Clock()
    monkeypatch.setattr(tensorboard, "time", clock)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    tones = np.where(np.arange(90) % 3 == 0, rng.integers(1, 3, 90), rng.integers(3, 5, 90))
    validation = SimpleNamespace(labels=labels, tones=tones, logits=None)
    callback = Pictures(folder, None, None, 32, NAMES, validation)  # type: ignore[arg-type] # as one
    callback.on_train_begin()
    seen = []
    for epoch in range(EPOCHS):
        callback.on_epoch_begin(epoch)
        clock.now += seconds
        validation.logits = rng.normal(size=(90, 3)) + 2.0 * np.eye(3)[labels]
        seen.append(validation.logits)
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    return [labels, tones, seen]


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "pictures"), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def steps(found: EventAccumulator, name: str) -> list[int]:
    return [point.step for point in found.Tensors(name)]


def test_every_epoch_has_the_scores_of_each_tone_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, tones, seen = trained(tmp_path, 0.1, monkeypatch)
    found = events(tmp_path)
    names = {name for name in found.Tags()["tensors"] if name.startswith("by_band/")}
    scores = ("weighted_f1", "standardised_recall", "accuracy", "calibration_error")
    assert names == {f"by_band/{score}/{band}" for score in scores for band in ("1-2", "3-4")}
    dark = tones >= 3
    for score, expected in (
        ("weighted_f1", lambda a, b: f1_score(a, b, average="weighted")),
        ("accuracy", accuracy_score),
    ):
        points = found.Tensors(f"by_band/{score}/3-4")
        assert [point.step for point in points] == [0, 1, 2]
        shown = [float(tf.make_ndarray(point.tensor_proto)) for point in points]
        by_hand = [expected(labels[dark], logits.argmax(1)[dark]) for logits in seen]
        np.testing.assert_allclose(shown, by_hand, atol=1e-6)


def test_figures_are_drawn_each_epoch_where_that_is_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "long", 60.0, monkeypatch)
    found = events(tmp_path / "long")
    for name in ("confusion matrix", "scores by tone band", "reliability"):
        assert steps(found, name) == [0, 1, 2]
        picture = tf.make_ndarray(found.Tensors(name)[0].tensor_proto)[2]
        assert tf.io.decode_png(picture).shape[0] > 100
    trained(tmp_path / "short", 0.1, monkeypatch)
    assert steps(events(tmp_path / "short"), "reliability") == [EPOCHS - 1]


def test_without_validation_rows_there_is_nothing_to_draw(tmp_path: Path) -> None:
    callback = Pictures(tmp_path, None, None, 32, NAMES, None)  # type: ignore[arg-type] # no batch
    callback.on_train_begin()
    callback.on_epoch_end(0)
    callback.on_train_end()
    assert not events(tmp_path).Tags()["tensors"]
