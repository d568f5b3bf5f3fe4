"""What is watched while training: validation scores, one line an epoch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.assessment.metrics import balanced_accuracy, confusion, weighted_f1
from ajl_tf.config import Phase
from ajl_tf.files import naming
from ajl_tf.progress import ProgressLine
from ajl_tf.training.kept import BestWeights, Diverged, averaged

MONITOR = "val_weighted_f1"


class Validation(keras.callbacks.Callback):
    """Scores the validation rows after each epoch and adds the scores to the epoch's logs.

    It stands first, so that every other callback finds them there: `val_loss` (crossentropy),
    `val_weighted_f1`, `val_macro_recall`, and `val_recall_<band>` for each tone band with rows,
    the recall averaged over the conditions that occur in the band. Where the optimizer keeps an
    average of the weights, that average is what is scored and kept.
    """

    def __init__(
        self,
        predict: Callable[[], np.ndarray],
        labels: np.ndarray,
        tones: np.ndarray,
        best: BestWeights | None,
    ):
        """Takes a function that returns logits `(N, C)`, int labels `(N,)` and tones `(N,)`."""
        super().__init__()
        self.predict, self.labels, self.tones = predict, labels, tones
        self.bands = band_index(tone_index(tones))
        self.best = best
        self.logits: np.ndarray | None = None  # of the last epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Scores, and keeps the weights if they are the best so far."""
        assert logs is not None  # fit hands them over; Keras's signature allows None
        with averaged(self.model.optimizer):
            self._score(epoch, logs)

    def _score(self, epoch: int, logs: dict[str, Any]) -> None:
        logits = self.predict().astype(np.float64)  # the loss of a training gone wild overflows
        if not np.isfinite(logits).all():
            raise Diverged(f"the logits are not finite after epoch {epoch + 1}")
        shifted = logits - logits.max(1, keepdims=True)
        own = np.take_along_axis(shifted, self.labels[:, None], 1)[:, 0]
        predicted, classes = logits.argmax(1), logits.shape[1]
        self.logits = logits
        every = confusion(self.labels, predicted, classes)
        logs["val_loss"] = float(np.mean(np.log(np.exp(shifted).sum(1)) - own))
        logs[MONITOR] = float(weighted_f1(every))
        logs["val_macro_recall"] = float(balanced_accuracy(every))
        for number, band in enumerate(BANDS):
            rows = self.bands == number
            if rows.any():
                matrix = confusion(self.labels[rows], predicted[rows], classes)
                logs[f"val_recall_{band}"] = float(balanced_accuracy(matrix))
        if self.best:
            self.best.offer(logs[MONITOR], epoch)


class EpochLog(keras.callbacks.Callback):
    """The progress line, the speed, and one JSON line an epoch in `history.jsonl`."""

    def __init__(self, path: Path, phase: str, photos: int, batch_size: int, announce: bool):
        """Appends to `path`; `photos` is the number in an epoch."""
        super().__init__()
        self.path, self.phase = path, phase
        self.photos, self.batch_size, self.announce = photos, batch_size, announce
        self.finite = "the phase began"

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the epoch's clock and line."""
        self.start, self.epoch = time.monotonic(), epoch
        self.line = ProgressLine(self.photos, f"{self.phase} epoch {epoch + 1}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the line on."""
        assert logs is not None
        done = min(self.photos, (batch + 1) * self.batch_size)
        # Reading the loss waits for the device, so it is read only when the line is drawn.
        if done == self.photos or (self.announce and self.line.due):
            loss = self._finite(logs, f"batch {batch + 1}")
            if self.announce:
                self.line.update(done, f"loss {loss:.3f}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's line."""
        assert logs is not None
        seconds = self.spent
        logs["learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        logs["images_per_second"] = self.photos / seconds
        numbers = {key: float(f"{float(value):.6g}") for key, value in logs.items()}
        entry = {"phase": self.phase, "epoch": epoch, **numbers, "seconds": round(seconds, 3)}
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self.announce:
            score = f"  val weighted F1 {logs[MONITOR]:.3f}" if MONITOR in logs else ""
            self.line.close(self.photos, f"loss {logs['loss']:.3f}{score}")

    @property
    def spent(self) -> float:
        """Seconds of this epoch so far."""
        return time.monotonic() - self.start

    @spent.setter
    def spent(self, seconds: float) -> None:
        self.start = time.monotonic() - seconds

    def _finite(self, logs: dict[str, Any], at: str) -> float:
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            raise Diverged(f"the loss is {loss} in epoch {self.epoch + 1}, {at}")
        self.finite = f"epoch {self.epoch + 1}, {at}"
        return loss


def watchers(phase: Phase) -> list[keras.callbacks.Callback]:
    """What lowers a phase's learning rate, or ends it, where its score no longer gets better."""
    found: list[keras.callbacks.Callback] = []
    if phase.schedule == "plateau":
        found.append(
            keras.callbacks.ReduceLROnPlateau(
                MONITOR, phase.factor, phase.plateau_patience, mode="max"
            )
        )
    if phase.early_stopping:
        found.append(
            keras.callbacks.EarlyStopping(MONITOR, patience=phase.early_stopping, mode="max")
        )
    return found
