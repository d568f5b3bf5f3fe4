"""What is done in training about gaps between tones: the worst group first, or tone unlearnt."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ajl_tf.assessment.groups import BANDS, band_index, tone_index
from ajl_tf.config import Mitigation
from ajl_tf.errors import UserError
from ajl_tf.training.balance import class_weights

KNOWN = len(BANDS) - 1
_HIDDEN = 128
_RISE = 10.0  # how quickly the adversary's strength rises, as in its paper


def tone_groups(tones: np.ndarray) -> np.ndarray:
    """Skin tones `(N,)`, 1 to 6 or -1, as float32 `(N, 4)`: 1 in the column of the tone band."""
    groups: np.ndarray = np.eye(len(BANDS), dtype=np.float32)[band_index(tone_index(tones))]
    return groups


def check_tones(mitigation: Mitigation, tones: np.ndarray) -> None:
    """Refuses what needs tones where the training rows `(N,)` are of fewer than two known bands.

    Raises:
        UserError: So it is.
    """
    wants = [name for name, value in mitigation.model_dump().items() if value]
    known = np.flatnonzero(tone_groups(tones)[:, :KNOWN].sum(axis=0))
    if wants and len(known) < 2:
        there = ", ".join(BANDS[band] for band in known) or "none"
        raise UserError(
            f"mitigation.{wants[0]} compares tone bands, and the photos that train are of fewer "
            f"than two known ones ({there}). Add a column skin_tone, or leave it out."
        )


class RobustLoss(keras.layers.Layer):
    """The loss of the groups that do worst: group distributionally robust optimisation.

    Each group has a share of the loss, which grows by `exp(step * its mean loss)` with every batch,
    and all shares sum to one (Sagawa et al. 2020, arXiv:1911.08731, algorithm 1, with the mean of
    each group in a batch as in their code; a group that is not in the batch counts as 0). Photos of
    unknown tone are a group of their own, a blended photo is in both groups by its parts.

    Attributes:
        shares: `(4,)`, of the tone bands; equal at first, 0 where a band has no photo.
    """

    def __init__(self, step: float, groups: np.ndarray):
        """Takes the step size and the groups `(N, 4)` of all rows that train."""
        super().__init__(dtype="float32", name="robust_loss")
        self.step = step
        there = groups.any(axis=0)
        self.shares = self.add_weight(
            shape=there.shape, initializer="zeros", trainable=False, name="shares"
        )
        self.shares.assign(there / there.sum())
        self.built = True

    def call(self, losses: Any, groups: Any) -> Any:
        """The weighted loss of a batch of losses `(B,)` in groups `(B, 4)`; moves the shares."""
        count = ops.sum(groups, axis=0)
        total = ops.matmul(losses[None], groups)[0]
        means = ops.where(count > 0, total / ops.maximum(count, 1e-6), 0.0)
        grown = self.shares * ops.exp(self.step * ops.stop_gradient(means))
        self.shares.assign(grown / ops.sum(grown))
        return ops.sum(self.shares * means)

    def callback(self) -> keras.callbacks.Callback:
        """Adds the shares to each epoch's logs, `share_<band>`."""

        def tell(epoch: int, logs: dict[str, Any]) -> None:
            values = ops.convert_to_numpy(self.shares)
            logs |= {f"share_{band}": float(v) for band, v in zip(BANDS, values, strict=True)}

        return keras.callbacks.LambdaCallback(on_epoch_end=tell)


class ToneAdversary(keras.layers.Layer):
    """Guesses the tone band from the pooled features, which learn to make that hard.

    Between the two stands a gradient reversal, whose strength rises from 0 during a phase (Ganin
    and Lempitsky 2015, arXiv:1409.7495: 2 / (1 + exp(-10 p)) - 1 at the share p of the way). Bands
    weigh alike, photos of unknown tone nothing. It is no part of the classifier.
    """

    def __init__(self, strength: float, steps: int, groups: np.ndarray, features: int, seed: int):
        """Builds the guessing network.

        Args:
            strength: What the reversed gradient is multiplied with in the end.
            steps: Batches until then.
            groups: `(N, 4)` of all rows that train.
            features: Number of pooled features.
            seed: Of its weights.
        """
        super().__init__(dtype="float32", name="tone_adversary")
        self.strength, self.steps = strength, steps
        bands = groups[groups[:, KNOWN] == 0].argmax(axis=1)
        self.weights_of_bands = class_weights(bands, KNOWN, "inverse", 0.0)
        # A seed of its own, whatever was drawn before: a training that goes on has drawn less.
        first, second = (keras.initializers.GlorotUniform(seed + place) for place in (0, 1))
        self.hidden = keras.layers.Dense(_HIDDEN, "relu", kernel_initializer=first, dtype="float32")
        self.guess = keras.layers.Dense(KNOWN, kernel_initializer=second, dtype="float32")
        self.hidden.build((None, features))
        self.guess.build((None, _HIDDEN))
        self.done = self.add_weight(shape=(), initializer="zeros", trainable=False, name="done")
        self.built = True

    def call(self, pooled: Any, groups: Any) -> Any:
        """The crossentropy of the guesses for a batch `(B, D)` of groups `(B, 4)`."""
        way = self.done / self.steps
        reach = self.strength * (2.0 / (1.0 + ops.exp(-_RISE * way)) - 1.0)
        self.done.assign_add(1.0)
        # The value is that of the features, the gradient -reach times it.
        reversed_ = ops.stop_gradient(pooled * (1.0 + reach)) - pooled * reach
        chances = ops.log_softmax(self.guess(self.hidden(reversed_)), axis=-1)
        known = groups[:, :KNOWN] * self.weights_of_bands
        return -ops.sum(known * chances) / ops.maximum(ops.sum(known), 1e-6)
