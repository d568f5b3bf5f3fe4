"""A learning rate that grows with every update, and the loss at each: a range test.

Smith 2017, arXiv:1506.01186, section 3.3; geometric growth, the smoothed loss and where to stop as
in Gugger 2018, https://sgugger.github.io/how-do-you-find-a-good-learning-rate.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ajl_tf.progress import ProgressLine

MEMORY = 10  # updates that the smoothed loss looks back on; before them it says nothing
_DIVERGED = 4.0  # times the lowest smoothed loss


class Ended(Exception):  # noqa: N818 - no error: the test is done
    """All rates were tried, or the loss diverged."""


class RateProbe(keras.callbacks.Callback):
    """Sets the rate of each update of a phase and notes its loss; ends the training with `Ended`.

    The loss of an update is the training loss of its batches before it moves the weights.

    Attributes:
        rates: float64 `(updates,)`.
        losses: Of the updates so far; the last may be infinite or NaN.
    """

    def __init__(self, low: float, high: float, updates: int, accumulate: int):
        """Rates from `low` to `high`; an update is of `accumulate` batches."""
        super().__init__()
        self.rates: np.ndarray = np.geomspace(low, high, updates)
        self.accumulate = accumulate
        self.losses: list[float] = []
        self._parts: list[float] = []

    @property
    def batches(self) -> int:
        """How many it takes at most."""
        return len(self.rates) * self.accumulate

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._line = ProgressLine(len(self.rates), "growing rate", "updates")

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rate, and has Keras forget the losses before, whose mean it would tell."""
        self.model.reset_metrics()
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the loss."""
        assert logs is not None
        self._parts.append(float(logs["loss"]))
        if len(self._parts) < self.accumulate:
            return
        self.losses.append(float(np.mean(self._parts)))
        self._parts = []
        done, state = len(self.losses), f"loss {self.losses[-1]:.3f}"
        if self.has_diverged or done == len(self.rates):
            self._line.close(done, state)
            raise Ended
        self._line.update(done, state)

    @property
    def has_diverged(self) -> bool:
        """Whether the last loss is not finite, or the smoothed one four times its lowest."""
        if not np.isfinite(self.losses[-1]):
            return True
        smooth = smoothed(self.losses)[MEMORY - 1 :]
        return bool(len(smooth) and smooth[-1] > _DIVERGED * smooth.min())


def smoothed(losses: Sequence[float]) -> np.ndarray:
    """The exponential moving average `(N,)` of losses, without its bias towards 0 at the start."""
    keep, mean, found = 1 - 1 / MEMORY, 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = keep * mean + (1 - keep) * loss
        found.append(mean / (1 - keep**number))
    return np.array(found)
