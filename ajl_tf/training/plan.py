"""Which photo comes when, and what happens to it: all of it a function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ajl_tf.config import Augment
from ajl_tf.training import augment as augmentation


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """Order and augmentation of an epoch's rows.

    Stateless: epoch 7 is the same whether or not epochs 0 to 6 were run before it in this process.

    Attributes:
        seed: The experiment's.
        rows: int `(N,)` rows of the source array that train.
        weights: float `(N,)` probability of each, drawn with replacement; None: each row once.
        augment: What to draw; None draws nothing.
        canvas: Side of the canvas in pixels.
        size: Side of the classifier's input in pixels.
    """

    seed: int
    rows: np.ndarray
    weights: np.ndarray | None
    augment: Augment | None
    canvas: int
    size: int

    @property
    def draws(self) -> int:
        """How many numbers are drawn for each row."""
        return 0 if self.augment is None else augmentation.WIDTH

    def __call__(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows in order, int64 `(N,)`, and what was drawn for each, float32 `(N, draws)`."""
        order_rng, draw_rng = (
            np.random.Generator(
                np.random.Philox(np.random.SeedSequence((self.seed, epoch, purpose)))
            )
            for purpose in (0, 1)
        )
        n = len(self.rows)
        if self.weights is None:
            rows = order_rng.permutation(self.rows)
        else:
            rows = order_rng.choice(self.rows, size=n, p=self.weights)
        if self.augment is None:
            return rows.astype(np.int64), np.empty((n, 0), np.float32)
        drawn = augmentation.draw(self.augment, draw_rng, n, self.canvas, self.size)
        return rows.astype(np.int64), drawn
