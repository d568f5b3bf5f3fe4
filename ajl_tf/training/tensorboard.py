"""Pictures for TensorBoard: a batch as augmented, the confusion matrix of the validation rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ajl_tf.config import Augment
from ajl_tf.training import augment as augmentation

if TYPE_CHECKING:
    from ajl_tf.training.callbacks import Validation

_SHOWN = 16
_MATRIX_EVERY = 30.0  # seconds: drawing one takes half of a second, an epoch of a head less


class Pictures(keras.callbacks.Callback):
    """Writes images beside the scalars of `keras.callbacks.TensorBoard`."""

    def __init__(
        self,
        folder: Path,
        batches: tf.data.Dataset,
        augment: Augment | None,
        size: int,
        class_names: tuple[str, ...],
        validation: Validation | None,
    ):
        """`augment` is None where cached features train; then there is no batch to show."""
        super().__init__()
        self.folder, self.batches, self.size = folder, batches, size
        self.unshown = augment
        self.class_names, self.validation = class_names, validation

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the file."""
        self.drawn, self.epoch = time.monotonic(), -1
        self.writer = tf.summary.create_file_writer(str(self.folder / "pictures"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows the first photos of the phase's first batch."""
        augment, self.unshown = self.unshown, None
        if augment is None:
            return
        inputs, _ = next(iter(self.batches.take(1)))
        few = {name: value[:_SHOWN] for name, value in inputs.items()}
        shown = augmentation.apply(few["source"], few["drawn"], self.size, augment)
        with self.writer.as_default():
            tf.summary.image("augmented batch", shown / 255.0, step=epoch, max_outputs=_SHOWN)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws the confusion matrix, where the last one is some time ago."""
        self.epoch = epoch
        if time.monotonic() - self.drawn >= _MATRIX_EVERY:
            self._draw_matrix()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the phase's last confusion matrix and closes the file."""
        self._draw_matrix()
        self.writer.close()

    def _draw_matrix(self) -> None:
        if self.validation is None or self.validation.confusion is None:
            return
        picture = confusion_picture(self.validation.confusion, self.class_names)
        with self.writer.as_default():
            tf.summary.image("confusion matrix", picture[None], step=self.epoch)
        self.drawn = time.monotonic()


def confusion_picture(matrix: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Draws a confusion matrix, rows in shares of their label.

    Args:
        matrix: `(C, C)` counts, labels in rows.
        class_names: The C conditions.

    Returns:
        uint8 `(H, W, 3)`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros_like(matrix, dtype=float), where=rows > 0)
    side = 4 + 0.22 * len(class_names)
    figure = Figure((side, side), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=90, fontsize=7)
    axes.set_yticks(ticks, class_names, fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="share of the label's photos")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
