"""What TensorBoard shows beside the losses: scores by tone band, figures, a batch as augmented."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ajl_tf.assessment.bootstrap import Bootstrap
from ajl_tf.assessment.by_group import by_group
from ajl_tf.assessment.calibration import calibration
from ajl_tf.assessment.groupings import tone_groupings
from ajl_tf.assessment.overall import confusion_counts
from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.scored import scored
from ajl_tf.assessment.sections import tell_all
from ajl_tf.config import Augment
from ajl_tf.training import augment as augmentation
from ajl_tf.training.pictures import bands_picture, confusion_picture, reliability_picture

if TYPE_CHECKING:
    from ajl_tf.training.callbacks import Validation

_SHOWN = 16
_RESAMPLES = 200  # for intervals to look at while training; the report takes more
_SCORES = ("weighted_f1", "standardised_recall", "accuracy")
_SHARE = 0.1  # of the time that drawing may take
_FIRST = 1.0  # seconds that it may take before it is known


class Pictures(keras.callbacks.Callback):
    """Writes scalars and images beside the scalars of `keras.callbacks.TensorBoard`.

    Each epoch that validates: weighted F1, standardised recall, accuracy and calibration error of
    each tone band as scalars, and the figures: confusion matrix, scores by band with n and
    intervals, reliability diagram. Where epochs are so short that drawing would take more than a
    tenth of the time, as those of a head on cached features are, some epochs have no figures; the
    last one of a phase always has.
    """

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
        self.started, self.drawing, self.cost = time.monotonic(), 0.0, _FIRST
        self.epoch = self.drawn = -1
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
        """Writes the scores by band; draws, unless that would take too much of the time."""
        if self.validation is None or self.validation.logits is None:
            return
        logits, seen = self.validation.logits, self.validation
        self.epoch = epoch
        self.found = watched(logits, seen.labels, seen.tones, self.class_names)
        with self.writer.as_default():
            for name, value in scalars(self.found):
                tf.summary.scalar(name, value, step=epoch)
        if self.drawing + self.cost <= _SHARE * (time.monotonic() - self.started):
            self._draw()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the figures of the phase's last epoch and closes the file."""
        if self.drawn < self.epoch:
            self._draw()
        self.writer.close()

    def _draw(self) -> None:
        start = time.monotonic()
        pictures = {
            "confusion matrix": confusion_picture(self.found["confusion"], self.class_names),
            "scores by tone band": bands_picture(self.found["by_band"]["groups"]),
            "reliability": reliability_picture(self.found["calibration"]["groups"]),
        }
        with self.writer.as_default():
            for name, picture in pictures.items():
                tf.summary.image(name, picture[None], step=self.epoch)
        self.cost, self.drawn = time.monotonic() - start, self.epoch
        self.drawing += self.cost


def watched(
    logits: np.ndarray, labels: np.ndarray, tones: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Sections `by_band` and `calibration` of a report on the validation rows, and `confusion`.

    Each photo is resampled by itself, so intervals are a little too narrow where photos have twins.

    Args:
        logits: `(N, C)`.
        labels: `(N,)`, positions in `class_names`.
        tones: `(N,)`, 1 to 6, -1 unknown.
        class_names: The C conditions.
    """
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    ids, names = np.arange(len(logits)).astype(str), np.asarray(class_names, dtype=object)
    rows = pd.DataFrame({"image_id": ids, "label": names[labels], "skin_tone": tones})
    found = scored(make_predictions(rows, class_names, chances))
    bands = tone_groupings(found.tone_idx)["by_band"]
    sections = {
        "by_band": by_group(found, bands, 1, 0),
        "calibration": calibration(found, chances, 1, 0),
    }
    told = tell_all(sections, Bootstrap(found.clusters, _RESAMPLES, 0))
    return told | {"confusion": np.asarray(confusion_counts(found))}


def scalars(found: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of each score of each tone band with photos."""
    errors = {group["group"]: group for group in found["calibration"]["groups"]}
    for group in found["by_band"]["groups"]:
        values = {name: group[name] for name in _SCORES}
        values["calibration_error"] = errors[group["group"]]["ece"]
        for name, figure in values.items():
            if figure["value"] is not None:
                yield f"by_band/{name}/{group['group']}", figure["value"]
