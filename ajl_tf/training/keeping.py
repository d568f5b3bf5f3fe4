"""Keeps where a training stands, and puts it back: between two batches, or between two phases.

Order and augmentation follow from seed, epoch and photo, so that a place in them is two numbers.
All else that a batch leaves behind is here: the network with the state of its dropout, the
optimizer with its slots and averages, the epoch's mean loss, the groups' shares and the adversary,
what early stopping and plateau count, the best weights, the history.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ajl_tf.errors import UserError
from ajl_tf.files import atomic_path, write_text
from ajl_tf.runs import HISTORY
from ajl_tf.training.checkpoint import read_checkpoint, write_checkpoint
from ajl_tf.training.kept import BestWeights, check_finite
from ajl_tf.training.stopping import Stops

_COST = 99  # so many times as long as a checkpoint took to write there is none: at most 1 %
_COUNTED = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter", "spent", "finite")


class Keeper(keras.callbacks.Callback):
    """Writes checkpoints of one training, over all its phases, and begins where the last one ends.

    It stands last, so that what every other callback did to an epoch is kept with it. What is not
    finite is never kept: that raises `Diverged`, and the checkpoint before it stays.

    Attributes:
        took: Epochs of each phase that is done.
        epoch: The one that is under way, and
        batch: how many of its batches are done.
        is_amid: Whether that is inside a phase which a checkpoint goes on with.
        has_gone_on: Whether there was a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        network: keras.Model,
        best: BestWeights | None,
        minutes: float,
        stops: Stops,
    ):
        """Puts back what the folder's checkpoint holds of the network, the best and the history.

        Args:
            folder: The training's.
            network: All of it, whatever a phase trains.
            best: Kept as well.
            minutes: Between two checkpoints, at most; 0: one after every batch.
            stops: A signal that it holds back is delivered after a checkpoint.
        """
        super().__init__()
        self.folder, self.network, self.best = folder, network, best
        self.minutes, self.stops = minutes, stops
        self.counters: Sequence[object] = ()
        self.states: Sequence[Any] = ()  # variables of the phase's own
        self.took: list[int] = []
        self.epoch = self.batch = 0
        self.is_amid = False
        self._counts: list[dict[str, Any]] = []
        self._slots: list[np.ndarray] = []
        self._cheap = time.monotonic()  # from then on a checkpoint costs little
        self._due = self._cheap + 60 * minutes
        found = read_checkpoint(folder)
        self.has_gone_on = found is not None
        if found:
            self._put_back(*found)
        else:  # nothing is left of what a kill before the first one left
            (folder / HISTORY).unlink(missing_ok=True)

    def go_on(self, train: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A train function that passes over the batches which are done."""
        left = self.batch

        def train_rest(iterator: Any) -> Any:
            nonlocal left
            if not left:
                return train(iterator)
            left -= 1
            return self.model.get_metrics_result()

        return train_rest

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Puts the rest back, once all others have been set to their beginnings."""
        self.epoch = epoch
        if self.is_amid:
            self.is_amid = False
            _assign(self._phase_variables(), self._slots)
            for counter, counts in zip(self.counters, self._counts, strict=True):
                for name, value in counts.items():
                    setattr(counter, name, value)
            self._counts, self._slots = [], []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint if it is time, and ends the training if that was asked."""
        if batch >= self.batch:  # or it was passed over
            self.batch = batch + 1
            self._keep_from(self._due)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes one if that costs little; after a phase's last epoch, `phase_done` does it."""
        self.epoch, self.batch = epoch + 1, 0
        if not self.model.stop_training and self.epoch < self.params["epochs"]:
            self._keep_from(self._cheap)

    def phase_done(self, epochs: int) -> None:
        """Writes a checkpoint between two phases."""
        self.took.append(epochs)
        self.epoch = self.batch = 0
        self._write({}, [])
        self.stops.deliver()

    def keep(self) -> None:
        """Writes a checkpoint amid a phase."""
        counts = [
            {name: getattr(counter, name) for name in _COUNTED if hasattr(counter, name)}
            for counter in self.counters
        ]
        amid = {"epoch": self.epoch, "batch": self.batch, "counts": counts}
        self._write({"amid": amid}, self._phase_variables())

    def _keep_from(self, due: float) -> None:
        if self.stops.asked is not None or time.monotonic() >= due:
            self.keep()
            self.stops.deliver()

    def _write(self, state: dict[str, Any], variables: Sequence[Any]) -> None:
        start = time.monotonic()
        state |= {"took": self.took, "history": self._history()}
        arrays = [_value(v) for v in (*self.network.variables, *variables)]
        check_finite(arrays, f"epoch {self.epoch + 1}, batch {self.batch}")
        if self.best and self.best.epoch >= 0:
            state["best"] = {"score": self.best.score, "epoch": self.best.epoch}
            arrays.append(np.fromfile(self.best.path, np.uint8))
        write_checkpoint(self.folder, state, arrays)
        now = time.monotonic()
        # Where the disk is slow, less often.
        self._cheap = now + (_COST * (now - start) if self.minutes else 0.0)
        self._due = max(now + 60 * self.minutes, self._cheap)

    def _put_back(self, state: dict[str, Any], arrays: list[np.ndarray]) -> None:
        self.took = state["took"]
        write_text(self.folder / HISTORY, state["history"])
        if self.best and "best" in state:
            self.best.score, self.best.epoch = state["best"]["score"], state["best"]["epoch"]
            with atomic_path(self.best.path) as temporary:
                arrays.pop().tofile(temporary)
        count = len(self.network.variables)
        _assign(self.network.variables, arrays[:count])
        if "amid" in state:
            amid = state["amid"]
            self.is_amid, self.epoch, self.batch = True, amid["epoch"], amid["batch"]
            self._counts, self._slots = amid["counts"], arrays[count:]
        lines = state["history"].count("\n")
        place = f"epoch {self.epoch + 1}, batch {self.batch + 1}" if self.is_amid else "a new phase"
        print(f"going on from a checkpoint after {lines} epochs: {place}", file=sys.stderr)

    def _history(self) -> str:
        path = self.folder / HISTORY
        return path.read_text("utf-8") if path.exists() else ""

    def _phase_variables(self) -> list[Any]:
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return [*optimizer.variables, *self.model.metrics_variables, *self.states]


def _value(variable: Any) -> np.ndarray:
    value: np.ndarray = keras.ops.convert_to_numpy(variable)
    return value


def _assign(variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    wanted = [(tuple(v.shape), str(v.dtype)) for v in variables]
    if wanted != [(array.shape, array.dtype.name) for array in arrays]:
        raise UserError(
            "the checkpoint is of another network or optimizer than this version makes of the "
            "run's config.toml. Go on with the version that began the run, see its "
            "environment.json, or train anew."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
