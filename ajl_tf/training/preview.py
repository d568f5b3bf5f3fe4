"""A picture of what augmentation does, made by the code that does it in training."""

from __future__ import annotations

import numpy as np
from keras import ops

from ajl_tf.config import Augment
from ajl_tf.dataset.images import to_input
from ajl_tf.training import augment as augmentation
from ajl_tf.training.plan import EpochPlan

_GAP = 2  # pixels between photos


def augmented_grid(
    canvases: np.ndarray,
    keys: np.ndarray,
    augment: Augment,
    size: int,
    seed: int,
    epochs: int,
    strength: np.ndarray | None = None,
) -> np.ndarray:
    """Draws photos as evaluated (first column) and as some epochs augment them.

    Args:
        canvases: uint8 `(N, C, C, 3)`.
        keys: uint64 `(N,)`, see `keyed.photo_keys`: a photo looks as it will in training.
        augment: The experiment's table.
        size: Side of the classifier's input in pixels.
        seed: The experiment's.
        epochs: Columns.
        strength: (N,), see `balance.strengths`; None: 1.

    Returns:
        uint8 `(N * (size + 2) + 2, (epochs + 1) * (size + 2) + 2, 3)`.
    """
    n, canvas = len(canvases), canvases.shape[1]
    plan = EpochPlan(seed, np.arange(n), keys, None, augment, canvas, size, strength)
    columns = [np.asarray(to_input(canvases, size))]
    for epoch in range(epochs):
        order, drawn = plan(epoch)
        images = augmentation.apply(canvases[order], drawn, size, augment)
        column = np.empty_like(columns[0])
        column[order] = ops.convert_to_numpy(images)
        columns.append(column)
    side = size + _GAP
    grid = np.full((n * side + _GAP, len(columns) * side + _GAP, 3), 255, np.uint8)
    for j, column in enumerate(columns):
        for i, image in enumerate(column):
            top, left = _GAP + i * side, _GAP + j * side
            grid[top : top + size, left : left + size] = np.clip(np.round(image), 0, 255)
    return grid
