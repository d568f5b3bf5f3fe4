"""Trains a tiny network on one device, on two, and on two with an end and a resumption between."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(processor, halves)

import keras  # noqa: E402  (devices are divided before anything runs on them)

from ajl_tf.config import Augment, Balance, Loss, Mitigation, Phase, Training  # noqa: E402
from ajl_tf.models.classifier import build_classifier  # noqa: E402
from ajl_tf.models.zoo import BACKBONES  # noqa: E402
from ajl_tf.training import devices, fitting, keeping  # noqa: E402
from ajl_tf.training.recipe import Recipe, Rows  # noqa: E402
from tests.conftest import add_tiny_backbone  # noqa: E402

N, CLASSES = 11, 3  # in batches of 5, uneven for two; the last one is a single photo


def rows() -> Rows:
    rng = np.random.default_rng(0)
    labels = np.arange(N) % CLASSES
    canvases = rng.integers(0, 256, (N, 36, 36, 3)).astype(np.uint8)
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    tones, keys = np.arange(N) % 6 + 1, np.arange(N, dtype=np.uint64)
    order = np.arange(N)
    return Rows(canvases, keys, labels, one_hot, tones, ("a", "b", "c"), order, order[:0])


def train(folder: Path) -> tuple[list[np.ndarray], list[float], int]:
    """The weights, the losses of the epochs and the number of devices."""
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    frozen = Phase(name="frozen", epochs=2, unfreeze=0.0, augment=False, learning_rate=1e-2)
    unfrozen = Phase(name="unfrozen", epochs=2, unfreeze=1.0, learning_rate=1e-3)
    recipe = Recipe(
        5,
        32,
        (frozen, unfrozen),
        Loss(label_smoothing=0.1),
        Balance(class_weights="inverse"),
        Augment(horizontal_flip=True, zoom=(0.7, 1.0)),
        Training(batch_size=5, keep="last", ema=0.9, checkpoint_minutes=0.0),
    )
    strategy = devices.strategy(Mitigation())
    with strategy.scope():
        classifier = build_classifier("tiny", "none", 32, CLASSES, dropout=0.0)
        fitting.fit(classifier, rows(), recipe, folder, announce=False)
    lines = (folder / "history.jsonl").read_text().splitlines()
    weights = [variable.numpy() for variable in classifier.model.variables]
    return weights, [json.loads(line)["loss"] for line in lines], strategy.num_replicas_in_sync


class Killed(BaseException):
    """Not caught by anything, as a kill is not."""


def train_with_kills(
    folder: Path, kills: tuple[int, ...]
) -> tuple[tuple[list[np.ndarray], list[float], int], int]:
    """As `train`, ended right after some checkpoints, and how many were written in all."""
    real, written = keeping.write_checkpoint, 0

    def write(*rest: Any) -> None:
        nonlocal written
        real(*rest)
        written += 1
        if written in kills:
            raise Killed

    with mock.patch.object(keeping, "write_checkpoint", write):
        for _ in kills:
            with suppress(Killed):
                train(folder)
                raise AssertionError("it came to its end")
        return train(folder), written


if __name__ == "__main__":
    add_tiny_backbone(BACKBONES.__setitem__)
    place = Path(sys.argv[1])
    one, one_losses, one_count = train(place / "one")
    devices.gpus = lambda: ("CPU:0", "CPU:1")
    (two, two_losses, two_count), whole = train_with_kills(place / "two", ())
    (resumed, resumed_losses, _), after_all = train_with_kills(place / "killed", (3, 9))
    largest = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
    print(
        json.dumps(
            {
                "devices": [one_count, two_count],
                "losses": [one_losses, two_losses],
                "largest": largest,
                "checkpoints": [whole, after_all],
                "resumed": resumed_losses == two_losses
                and all(np.array_equal(a, b) for a, b in zip(two, resumed, strict=True)),
                "mitigated": devices.strategy(Mitigation(group_dro=0.01)).num_replicas_in_sync,
            }
        )
    )
