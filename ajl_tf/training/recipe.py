"""What a training takes: its rows, and how it is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ajl_tf.config import Augment, Balance, Loss, Mitigation, Phase, Training


@dataclass(frozen=True, eq=False)
class Rows:
    """The photos of one training, and which of them train and validate.

    Attributes:
        canvases: uint8 `(N, C, C, 3)`.
        keys: uint64 `(N,)`, see `keyed.photo_keys`.
        labels: int `(N,)`, position in `class_names`.
        targets: float32 `(N, C)`, the distribution that each is trained towards.
        tones: int `(N,)`, 1…6 or -1.
        class_names: The conditions, sorted.
        train: int, rows that train.
        validation: int, rows that are watched; empty where nothing is selected.
        metadata: Codes float32 `(N, M)`, NaN where unknown; None without metadata.
    """

    canvases: np.ndarray
    keys: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    tones: np.ndarray
    class_names: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    metadata: np.ndarray | None = None


@dataclass(frozen=True)
class Recipe:
    """How to train: the experiment's tables that the training room uses."""

    seed: int
    input_size: int
    phases: tuple[Phase, ...]
    loss: Loss
    balance: Balance
    augment: Augment
    training: Training
    mitigation: Mitigation = Mitigation()  # noqa: RUF009 - frozen
    metadata_dropout: float = 0.0
