"""Which weights of a training are kept: of its best epoch, or of the last before it diverged."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.files import atomic_path
from ajl_tf.training.checkpoint import LAST_FINITE


class Diverged(Exception):  # noqa: N818 - as the message that is made of it says it
    """Loss, logits or weights are not finite; says which of them, and where."""


def check_finite(arrays: Sequence[np.ndarray], where: str) -> None:
    """Looks at weights, and at what a training keeps beside them.

    Raises:
        Diverged: A number of them is not finite.
    """
    if not all(np.isfinite(array).all() for array in arrays):
        raise Diverged(f"weights or loss are not finite after {where}")


class FiniteWeights(keras.callbacks.Callback):
    """Looks at the weights after each epoch, and keeps them for where the training diverges.

    It stands before what scores and keeps an epoch's weights, so that these are always finite.
    """

    def __init__(self, network: keras.Model, best: BestWeights | None, folder: Path):
        """Watches all of `network`, over all phases; where there is a best, that is kept."""
        super().__init__()
        self.network, self.best, self.path = network, best, folder / LAST_FINITE
        self._held: list[np.ndarray] = []
        self._where = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the training, or takes the weights; their average, where the optimizer keeps one."""
        with averaged(self.model.optimizer):
            self.hold(f"epoch {epoch + 1}")

    def hold(self, where: str) -> None:
        """Takes the weights as they are; `where` says of what.

        Raises:
            Diverged: They are not finite.
        """
        arrays = [keras.ops.convert_to_numpy(variable) for variable in self.network.variables]
        check_finite(arrays, where)
        if not self.best:
            self._held, self._where = arrays, where

    def rescue(self) -> str:
        """Writes what is kept of a training that has diverged, and says what and where."""
        if self.best:
            if self.best.epoch < 0:
                return "No epoch was finished, so no weights are kept"
            return f"The best weights, of epoch {self.best.epoch + 1}, are kept in {self.best.path}"
        if not self._held:
            return "No epoch was finished, so no weights are kept"
        for variable, array in zip(self.network.variables, self._held, strict=True):
            variable.assign(array)
        save_weights(self.network, self.path)
        return f"The last finite weights, of {self._where}, are kept in {self.path}"


@contextmanager
def averaged(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Puts the average that the optimizer keeps, if it does, in the place of the weights.

    Afterwards every weight has the bits it had; `keras.callbacks.SwapEMAWeights` exchanges by
    sums, which rounds.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    weights = inner._trainable_variables if inner.use_ema else []
    pairs = (
        list(zip(weights, inner._model_variables_moving_average, strict=True)) if weights else []
    )

    def swap() -> None:
        for weight, average in pairs:
            held = tf.identity(weight.value)
            weight.assign(average)
            average.assign(held)

    swap()
    try:
        yield
    finally:
        swap()


class BestWeights:
    """Keeps the weights of the best epoch in one file, over all phases."""

    def __init__(self, model: keras.Model, path: Path):
        """Watches `model`; `path` ends in `.weights.h5`."""
        self.model, self.path = model, path
        self.score, self.epoch = -1.0, -1

    def offer(self, score: float, epoch: int) -> None:
        """Saves the weights if `score` beats all before it."""
        if score > self.score:
            save_weights(self.model, self.path)
            self.score, self.epoch = score, epoch


def save_weights(model: keras.Model, path: Path) -> None:
    """As `model.save_weights`, but a full disk is an error like any other.

    HDF5 on a full disk ends the process with a segmentation fault. A .keras file holds the same
    bytes, which Keras makes in memory.
    """
    with atomic_path(path) as temporary:
        archive = temporary.with_name(f"{temporary.name}.keras")
        try:
            model.save(archive)
            with zipfile.ZipFile(archive) as saved:
                temporary.write_bytes(saved.read("model.weights.h5"))
        finally:
            archive.unlink(missing_ok=True)
