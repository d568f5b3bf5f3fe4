"""Networks whose attributions can be told by hand."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from ajl_tf.explanation.network import Network

SIZE, PATCH = 32, 8
Weigh = Callable[[np.ndarray], Network]


@pytest.fixture(scope="session")
def weighted() -> Weigh:
    """Makes a network of two classes whose logits are ± the sum of the pixels times weights / 2.

    It has a feature map of 4×4 places: each the weighted sum over a patch of 8×8 pixels.
    """

    def make(weights: np.ndarray) -> Network:
        image = keras.Input((SIZE, SIZE, 3))
        x = keras.layers.Rescaling(scale=weights.astype(np.float32))(image)
        ones = keras.layers.Conv2D(1, PATCH, strides=PATCH, use_bias=False, name="patches")
        features = ones(x)
        pooled = keras.layers.GlobalAveragePooling2D(name="pooled_features")(features)
        entry = keras.Input((1,))
        dense = keras.layers.Dense(2, use_bias=False)
        head = keras.Model(entry, dense(entry), name="head")
        model = keras.Model(image, head(pooled))
        ones.set_weights([np.ones((PATCH, PATCH, 3, 1), np.float32)])
        places = (SIZE // PATCH) ** 2
        dense.set_weights([np.array([[places / 2, -places / 2]], np.float32)])
        return Network([model], SIZE)

    return make


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """One photo of noise, float32 `(1, 32, 32, 3)`."""
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (1, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def corner(weighted: Weigh) -> Network:
    """Looks at the upper left quadrant alone: the brighter, the more probable class 0."""
    weights = np.zeros((SIZE, SIZE, 1))
    weights[: SIZE // 2, : SIZE // 2] = 2e-5
    return weighted(weights)
