"""The grid shows photos as evaluated, then as training sees them."""

from __future__ import annotations

import keras
import numpy as np

from ajl_tf.config import Augment
from ajl_tf.dataset.images import to_input
from ajl_tf.training import augment as augmentation
from ajl_tf.training.keyed import photo_keys
from ajl_tf.training.plan import EpochPlan
from ajl_tf.training.preview import augmented_grid

SIZE, GAP = 16, 2

KEYS = photo_keys(["a", "b", "c"])


def cell(grid: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = (GAP + place * (SIZE + GAP) for place in (row, column))
    return grid[top : top + SIZE, left : left + SIZE].astype(np.float32)


def test_the_grid_shows_what_training_sees() -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    augment = Augment(quarter_turns=True, brightness=0.2)
    grid = augmented_grid(canvases, KEYS, augment, SIZE, seed=5, epochs=2)
    assert grid.shape == (3 * (SIZE + GAP) + GAP, 3 * (SIZE + GAP) + GAP, 3)
    assert grid.dtype == np.uint8
    plain = to_input(canvases, SIZE).numpy()
    plan = EpochPlan(5, np.arange(3), KEYS, None, augment, 20, SIZE)
    for epoch in range(2):
        order, drawn = plan(epoch)
        seen = augmentation.apply(canvases[order], drawn, SIZE, augment)
        for row, image in zip(order, keras.ops.convert_to_numpy(seen), strict=True):
            np.testing.assert_allclose(cell(grid, row, 1 + epoch), image, atol=0.51)
    for row in range(3):
        np.testing.assert_allclose(cell(grid, row, 0), plain[row], atol=0.51)
