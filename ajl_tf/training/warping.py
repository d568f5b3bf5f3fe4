"""All geometry of a photo as one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ajl_tf.config import Augment

_STEEPEST = 60.0  # degrees of shear, which an experiment may ask for as well
_SMALLEST = 0.25  # side of a window, as a share of the canvas's


def matrices(
    augment: Augment,
    sizes: Mapping[str, np.ndarray],
    u: np.ndarray,
    sheared: np.ndarray,
    canvas: int,
    size: int,
) -> np.ndarray:
    """Output pixel -> canvas pixel; both are counted from the centre of the first.

    Args:
        augment: The experiment's table.
        sizes: Multiplies the size of each change, `(n,)` by its name.
        u: `(n, 8)` uniform numbers.
        sheared: `(n,)`, likewise, of the shear.
        canvas: Side of the canvas in pixels.
        size: Side of the classifier's input in pixels.

    Returns:
        `(n, 8)`.
    """
    sign = 2.0 * u - 1.0
    angle = np.deg2rad(sign[:, 0] * augment.rotation * sizes["rotation"])
    if augment.quarter_turns:
        angle = angle + np.floor(u[:, 1] * 4) * (np.pi / 2)
    mirror = np.where(augment.horizontal_flip & (u[:, 2] < 0.5), -1.0, 1.0)
    upside = np.where(augment.vertical_flip & (u[:, 3] < 0.5), -1.0, 1.0)
    low, high = np.log(augment.zoom)
    zoom = np.exp((low + (high - low) * u[:, 4]) * sizes["zoom"])
    # However strong for rare conditions, something must be left to see.
    zoom = np.maximum(zoom, min(augment.zoom[0], _SMALLEST))
    scale = zoom * canvas / size
    # A window smaller than the canvas lies anywhere in it; translation moves it further.
    translation = augment.translation * sizes["translation"]
    reach = (np.maximum(0.0, 1.0 - zoom) / 2 + translation) * canvas
    centre = (canvas - 1) / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    # A shear moves each row along itself, by its distance from the middle.
    degrees = (2.0 * sheared - 1.0) * augment.shear * sizes["shear"]
    slant = np.tan(np.deg2rad(np.clip(degrees, -_STEEPEST, _STEEPEST)))
    a0, a1 = cos * mirror, (slant * cos - sin) * upside
    b0, b1 = sin * mirror, (slant * sin + cos) * upside
    middle = (size - 1) / 2
    a2 = centre + sign[:, 5] * reach - (a0 + a1) * middle
    b2 = centre + sign[:, 6] * reach - (b0 + b1) * middle
    zero = np.zeros_like(a0)
    return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


def warp(images: Any, matrices: Any, size: int) -> Any:
    """Warps float32 `(N, C, C, 3)` by `(N, 8)` and keeps the corner `(N, size, size, 3)`."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # What Keras calls as well, for the pixels that are kept alone.
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=matrices,
            output_shape=(size, size),
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
    warped = keras.ops.image.affine_transform(images, matrices, "bilinear", "reflect")
    return warped[:, :size, :size]
