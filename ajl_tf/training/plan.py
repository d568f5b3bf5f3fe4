"""Which photo comes when, and what happens to it: all of it a function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ajl_tf.config import Augment
from ajl_tf.training import augment as augmentation
from ajl_tf.training.keyed import uniforms


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """Order and augmentation of an epoch's rows.

    Stateless: epoch 7 is the same whether or not epochs 0 to 6 were run before it in this process.

    Attributes:
        seed: The experiment's.
        rows: int `(N,)` rows of the source array that train.
        keys: uint64, a `keyed.photo_keys` for each row of the source array.
        weights: float `(N,)` probability of each, drawn with replacement; None: each row once.
        augment: What to draw; None draws nothing.
        canvas: Side of the canvas in pixels.
        size: Side of the classifier's input in pixels.
        strength: float, for each row of the source array, what the size of its changes is
            multiplied with; None: 1.
    """

    seed: int
    rows: np.ndarray
    keys: np.ndarray
    weights: np.ndarray | None
    augment: Augment | None
    canvas: int
    size: int
    strength: np.ndarray | None = None

    @property
    def draws(self) -> int:
        """How many numbers are drawn for each row."""
        return 0 if self.augment is None else augmentation.WIDTH

    def __call__(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows in order, int64 `(N,)`, and what was drawn for each, float32 `(N, draws)`."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, epoch, 0))))
        n = len(self.rows)
        if self.weights is None:
            rows = rng.permutation(self.rows).astype(np.int64)
        else:
            rows = rng.choice(self.rows, size=n, p=self.weights).astype(np.int64)
        if self.augment is None:
            return rows, np.empty((n, 0), np.float32)
        # A sampler may bring a photo several times an epoch: each time it looks different.
        again = pd.Series(rows).groupby(rows).cumcount().to_numpy()
        u = uniforms(self.keys[rows], again, self.seed, epoch, augmentation.UNIFORMS)
        strength = None if self.strength is None else self.strength[rows]
        return rows, augmentation.draw(self.augment, u, self.canvas, self.size, strength)
