"""Random changes of training photos: drawn in NumPy, applied on the device.

All geometry of a photo (window, flips, turns, rotation, shear, translation) is one matrix, and so
is all of its colour (brightness, contrast, saturation, hue, skin tone). `draw` makes these matrices
for a whole epoch at once from numbers that the caller keys by seed, epoch and photo; they travel
with the batch, and `apply` is one warp, one product and one blend on whatever device trains.
Nothing here is part of the classifier, so nothing here can reach an exported model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ajl_tf.config import Augment
from ajl_tf.training import blending, colouring, warping

WARP, COLOUR, MIX, ERASE = slice(0, 8), slice(8, 20), slice(20, 26), slice(26, 30)
WIDTH = 30  # numbers that travel with each photo
UNIFORMS = 32  # random numbers that they are made of

# What has a size, which rarity can raise, and of which `operations` draws some.
_SIZED = (
    *("rotation", "shear", "zoom", "translation"),
    *("brightness", "contrast", "saturation", "hue", "skin_tone"),
)
_COLOURS = ("brightness", "contrast", "saturation", "hue", "skin_tone")


def draw(
    augment: Augment,
    u: np.ndarray,
    canvas: int,
    size: int,
    strength: np.ndarray | None = None,
) -> np.ndarray:
    """Draws what happens to each of n photos.

    Args:
        augment: The experiment's table; all zero gives the plain resize from canvas to input.
        u: `(n, UNIFORMS)` uniform numbers in [0, 1], a column for each thing that can be drawn
            whether or not it is on: ablations with one seed stay paired.
        canvas: Side of the canvas in pixels.
        size: Side of the classifier's input in pixels.
        strength: `(n,)`, what the size of each photo's changes is multiplied with; None: 1.

    Returns:
        float32 `(n, 30)`: 8 coefficients of the warp (output pixel -> canvas pixel, as
        `keras.ops.image.affine_transform` takes them), a 3x4 colour matrix row by row, the
        blend (weight of the own label, weight of the own pixels inside the box, the box's top,
        bottom, left, right in input pixels), and the erased box's edges.
    """
    sizes = _sizes(augment, u[:, 23:], strength)
    return np.concatenate(
        [
            warping.matrices(augment, sizes, u[:, :8], u[:, 17], canvas, size),
            colouring.matrices(augment, sizes, u[:, 8:12], u[:, 18]),
            blending.boxes(augment, u[:, 12:17], size),
            blending.erased(augment, u[:, 19:23], size),
        ],
        axis=1,
        dtype=np.float32,
    )


def apply(images: Any, drawn: Any, size: int, augment: Augment) -> Any:
    """Applies a draw to a batch, with `keras.ops` alone.

    Args:
        images: `(N, C, C, 3)` canvases in [0, 255], any dtype.
        drawn: `(N, 30)` from `draw`.
        size: Side of the classifier's input, at most C.
        augment: Which changes are on; those that are off cost nothing.

    Returns:
        float32 `(N, size, size, 3)` in [0, 255].
    """
    from keras import ops

    images = warping.warp(ops.cast(images, "float32"), drawn[:, WARP], size)
    if any(getattr(augment, name) for name in _COLOURS):
        images = colouring.colour(images, drawn[:, COLOUR], size)
    if augment.mixup or augment.cutmix:
        images = blending.blend(images, drawn[:, MIX], size)
    if augment.erasing:
        images = blending.erase(images, drawn[:, ERASE], size)
    return images


def apply_to_labels(labels: Any, drawn: Any, augment: Augment) -> Any:
    """Blends labels `(N, C)` as `apply` blends the photos."""
    if not (augment.mixup or augment.cutmix):
        return labels
    return blending.blend_labels(labels, drawn[:, MIX])


def _sizes(
    augment: Augment, u: np.ndarray, strength: np.ndarray | None
) -> Mapping[str, np.ndarray]:
    """What each photo's changes are multiplied with, `(n,)` each: 0 where one does not happen."""
    n = len(u)
    sizes = dict.fromkeys(_SIZED, np.ones(n) if strength is None else strength)
    used = [name for name in _SIZED if getattr(augment, name) not in (0.0, Augment().zoom)]
    if augment.operations and augment.operations < len(used):
        # A random few of those in use, each photo its own: the lowest numbers win.
        rank = np.argsort(np.argsort(u[:, [_SIZED.index(name) for name in used]], axis=1), axis=1)
        for place, name in enumerate(used):
            sizes[name] = sizes[name] * (rank[:, place] < augment.operations)
    return sizes
