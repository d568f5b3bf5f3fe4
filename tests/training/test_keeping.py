"""A training that is killed, again and again, ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.errors import Terminated, UserError
from ajl_tf.models.classifier import build_classifier
from ajl_tf.training import keeping, predicting
from ajl_tf.training.checkpoint import read_checkpoint, write_checkpoint
from ajl_tf.training.fitting import Recipe, Rows, fit
from ajl_tf.training.stopping import Stops

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
N, TRAIN, CLASSES, SIZE, CANVAS = 26, 16, 3, 32, 36
STEPS = 3  # batches an epoch
# All that has a state: slots, averages, sums of gradients, dropout, plateau, early stopping.
RECIPE = Recipe(
    5,
    SIZE,
    (
        Phase(
            name="cached",
            epochs=3,
            augment=False,
            schedule="plateau",
            plateau_patience=1,
            factor=0.5,
            learning_rate=0.1,
        ),
        Phase(
            name="fine",
            epochs=9,
            unfreeze=1.0,
            learning_rate=0.03,
            accumulate=2,
            early_stopping=2,
            weight_decay=0.01,
        ),
    ),
    Loss(),
    Balance(sampler="class"),
    Augment(rotation=10.0, brightness=0.1, cutmix=1.0),
    Training(batch_size=6, ema=0.6, checkpoint_minutes=0.0),
)


OK, LOST = "ok", "lost"


class Killed(BaseException):
    """Not caught by anything, as a kill is not."""


@pytest.fixture(scope="module")
def rows() -> Rows:
    rng = np.random.default_rng(0)
    labels = np.arange(N) % CLASSES
    canvases = rng.integers(0, 256, (N, CANVAS, CANVAS, 3))
    canvases[np.arange(N), :, :, labels] += 40
    return Rows(
        np.clip(canvases, 0, 255).astype(np.uint8),
        np.arange(N, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.array([-1, 1, 2, 3, 4, 5, 6] * 4)[:N],
        ("acne", "eczema", "scabies"),
        np.arange(TRAIN),
        np.arange(TRAIN, N),
    )


def train(rows: Rows, folder: Path) -> tuple[list[int], list[np.ndarray]]:
    """Epochs kept, and all variables of the network, as a new process would come to them."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    classifier = build_classifier("tiny", "none", SIZE, CLASSES, dropout=0.4)
    folder.mkdir(exist_ok=True)
    kept = fit(classifier, rows, RECIPE, folder, announce=False)
    return kept, [keras.ops.convert_to_numpy(v) for v in classifier.model.variables]


def history(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    timing = ("seconds", "images_per_second")
    return [{key: value for key, value in line.items() if key not in timing} for line in lines]


@pytest.fixture(scope="module")
def whole(
    rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int], list[np.ndarray]]:
    folder = tmp_path_factory.mktemp("keeping") / "whole"
    return folder, *train(rows, folder)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is to happen at each checkpoint in turn: OK, LOST (not written), or a call."""
    plan: list[Any] = []

    def write(*arguments: Any) -> None:
        step = plan.pop(0) if plan else OK
        if callable(step):
            step()
        if step != LOST:
            real(*arguments)

    real = keeping.write_checkpoint
    monkeypatch.setattr(keeping, "write_checkpoint", write)
    return plan


def kill() -> None:
    raise Killed


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def same_checkpoint(first: Path, second: Path) -> None:
    """Of the end of all phases: the network as last trained, and the best."""
    (one, arrays), (two, others) = read_checkpoint(first), read_checkpoint(second)  # type: ignore[misc] # there is one
    assert {k: v for k, v in one.items() if k != "history"} == {
        k: v for k, v in two.items() if k != "history"
    }
    for array, other in zip(arrays[:-1], others[:-1], strict=True):  # the last is a file
        np.testing.assert_array_equal(array, other)


def terminated_at_prediction(number: int) -> Any:
    """A `Predictor.__call__` amid which a cluster's SIGTERM comes."""
    real, calls = predicting.Predictor.__call__, []

    def predict(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    return predict


def test_ended_five_times_the_weights_are_the_same_to_the_bit(
    rows: Rows,
    whole: Any,
    writes: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reference, kept, weights = whole
    folder = tmp_path / "ended"
    epoch = [OK] * (STEPS + 1)  # a checkpoint after each batch and at the epoch's end
    for plan, place, end in (
        # The first epoch's end was not kept, nor was the batch after it.
        ([OK, OK, OK, LOST, LOST, kill], "", Killed),
        # Killed while the end of the cached phase was to be kept.
        ([LOST, *epoch, *epoch[:-1], kill], "epoch 1, batch 4", Killed),
        # In the middle of an accumulated update of the second phase.
        ([OK, OK, kill], "epoch 3, batch 4", Killed),
        # Ctrl-C amid an epoch: the batch is finished, and kept.
        ([interrupt], "epoch 4, batch 2", KeyboardInterrupt),
        # SIGTERM while validation rows are scored, by averaged weights.
        ([LOST, OK], "epoch 4, batch 3", Terminated),
    ):
        writes[:] = plan
        with monkeypatch.context() as patch, pytest.raises(end) as caught:  # noqa: PT012 - ends late
            if end is Terminated:
                patch.setattr(predicting.Predictor, "__call__", terminated_at_prediction(1))
            train(rows, folder)
        assert caught.type is end
        said = capsys.readouterr().err
        assert ("going on" in said) == bool(place)
        assert place in said
        assert ("stopping: saving where the training stands" in said) == (end is not Killed)
    again, other = train(rows, folder)
    assert "epoch 4, batch 4" in capsys.readouterr().err  # its validation is still to come
    assert again == kept
    assert history(folder) == history(reference)
    for weight, expected in zip(other, weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    same_checkpoint(folder, reference)
    # Or there was little that could have gone wrong.
    lines = history(reference)
    assert lines[0]["learning_rate"] > lines[2]["learning_rate"]
    assert 5 <= len(lines) < 12


@pytest.mark.parametrize("minutes", [0.0, 5.0])
def test_what_is_not_finite_is_never_kept_and_its_beginning_is_told_after_a_resume_too(
    rows: Rows, tmp_path: Path, writes: list[Any], minutes: float
) -> None:
    mild = Phase(name="mild", epochs=1, unfreeze=1.0)
    later = Phase(name="later", epochs=3, unfreeze=1.0)
    training = Training(batch_size=6, keep="last")

    def go_on(rows: Rows, minutes: float) -> None:
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        classifier = build_classifier("tiny", "none", SIZE, CLASSES, dropout=0.0)
        how = training.model_copy(update={"checkpoint_minutes": minutes})
        recipe = replace(RECIPE, phases=(mild, later), training=how)
        fit(classifier, rows, recipe, tmp_path, announce=False)

    # Of `mild` and of the first epoch of `later` all, of its second one a batch.
    writes[:] = [OK] * (STEPS + STEPS + 1 + 2) + [kill]
    with pytest.raises(Killed):
        go_on(rows, 0.0)
    whole = (tmp_path / "checkpoint").read_bytes()
    spoilt = replace(rows, targets=np.full_like(rows.targets, np.nan))
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            go_on(spoilt, minutes)
        said = " ".join(str(caught.value).split())
        at = "weights or loss are not" if minutes == 0.0 else "the loss is nan"
        assert f"diverged in 'later': {at}" in said
        assert "; the loss was finite until epoch 2, batch 3. " in said
        assert "weights, of the checkpoint that it went on from, are kept" in said
        assert (tmp_path / "checkpoint").read_bytes() == whole
    _, arrays = read_checkpoint(tmp_path)  # type: ignore[misc] # there is one
    classifier = build_classifier("tiny", "none", SIZE, CLASSES, dropout=0.0)
    classifier.model.load_weights(tmp_path / "last_finite.weights.h5")
    for weight, kept in zip(classifier.model.variables, arrays, strict=False):
        np.testing.assert_array_equal(weight, kept)


def test_a_checkpoint_of_another_network_is_refused(rows: Rows, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"took": [3], "history": ""}, [np.zeros(3, np.float32)])
    with pytest.raises(UserError, match="of another network or optimizer"):
        train(rows, tmp_path)


def test_checkpoints_cost_at_most_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def slow(*_: object) -> None:
        clock[0] += 8.0

    monkeypatch.setattr(keeping.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(keeping, "write_checkpoint", slow)
    keeper = keeping.Keeper(tmp_path, keras.Sequential(), None, 1.0, Stops())
    keeper.set_model(keras.Sequential())
    keeper.model.compile(loss="mse")
    written = []
    while clock[0] < 10_000:
        clock[0] += 1.0
        before = clock[0]
        keeper.on_train_batch_end(keeper.batch)
        if clock[0] > before:
            written.append(before)
    assert written[0] == 60
    assert np.diff(written).min() >= 800
    assert len(written) >= 12


def test_each_epoch_is_kept_that_is_long_beside_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def write(*_: object) -> None:
        clock[0] += 0.25

    monkeypatch.setattr(keeping.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(keeping, "write_checkpoint", write)
    keeper = keeping.Keeper(tmp_path, keras.Sequential(), None, 5.0, Stops())
    keeper.set_model(keras.Sequential())
    keeper.set_params({"epochs": 100})
    keeper.model.compile(loss="mse")
    kept = []
    for epoch, seconds in enumerate([30.0] * 3 + [10.0] * 6):
        clock[0] += seconds
        before = clock[0]
        keeper.on_epoch_end(epoch)
        kept.append(clock[0] > before)
    assert kept == [True] * 3 + [False, False, True] * 2
