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
        metadata: Columns of metadata that each row has.
        forget: How often it is shown without them, see `forgotten`.
    """

    seed: int
    rows: np.ndarray
    keys: np.ndarray
    weights: np.ndarray | None
    augment: Augment | None
    canvas: int
    size: int
    strength: np.ndarray | None = None
    metadata: int = 0
    forget: float = 0.0

    @property
    def draws(self) -> int:
        """How many numbers are drawn for each row."""
        return self.metadata + (0 if self.augment is None else augmentation.WIDTH)

    def __call__(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows in order, int64 `(N,)`, and what was drawn for each, float32 `(N, draws)`."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, epoch, 0))))
        n = len(self.rows)
        if self.weights is None:
            rows = rng.permutation(self.rows).astype(np.int64)
        else:
            rows = rng.choice(self.rows, size=n, p=self.weights).astype(np.int64)
        if self.draws == 0:
            return rows, np.empty((n, 0), np.float32)
        # A sampler may bring a photo several times an epoch: each time it looks different.
        again = pd.Series(rows).groupby(rows).cumcount().to_numpy()
        keys, drawn = self.keys[rows], []
        if self.augment is not None:
            u = uniforms(keys, again, self.seed, epoch, augmentation.UNIFORMS)
            strength = None if self.strength is None else self.strength[rows]
            drawn.append(augmentation.draw(self.augment, u, self.canvas, self.size, strength))
        if self.metadata:
            u = uniforms(~keys, again, self.seed, epoch, 1 + self.metadata)  # a stream of its own
            drawn.append(forgotten(u, self.forget).astype(np.float32))
        return rows, np.concatenate(drawn, axis=1)


def forgotten(u: np.ndarray, rate: float) -> np.ndarray:
    """Which metadata a training photo is shown without, so that a network can do without them.

    At this rate all of them, and where there are several, at the same rate each by itself as well:
    modality dropping (Neverova et al. 2016, arXiv:1501.00102).

    Args:
        u: `(n, 1 + M)` uniform numbers in [0, 1).
        rate: In [0, 1).

    Returns:
        bool `(n, M)`.
    """
    gone = u < rate
    own = gone[:, 1:] if gone.shape[1] > 2 else np.zeros_like(gone[:, 1:])
    both: np.ndarray = gone[:, :1] | own
    return both
