"""All colour of a photo as one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ajl_tf.config import Augment

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_MID_GREY = 127.5
# Of melanin at the middle of what an sRGB red, green and blue see (610, 550, 465 nm), as a ratio.
_ABSORPTION = (550 / np.array([610.0, 550.0, 465.0])) ** 3.48
_PER_DEGREE = 0.0073  # of the angle, about (204, 160, 130)


def matrices(
    augment: Augment, sizes: Mapping[str, np.ndarray], u: np.ndarray, toned: np.ndarray
) -> np.ndarray:
    """Skin tone, brightness, contrast, saturation, then hue: RGB -> RGB.

    Hue turns the colour about the grey axis (Rodrigues' formula), which keeps greys grey.

    Args:
        augment: The experiment's table.
        sizes: Multiplies the size of each change, `(n,)` by its name.
        u: `(n, 4)` uniform numbers.
        toned: `(n,)`, likewise, of the skin tone.

    Returns:
        `(n, 12)`, a 3x4 matrix each.
    """
    sign = 2.0 * u - 1.0
    # Beyond 1 a factor would turn negative.
    brightness, contrast, saturation = (
        1.0 + sign[:, place] * np.minimum(1.0, getattr(augment, name) * sizes[name])
        for place, name in enumerate(("brightness", "contrast", "saturation"))
    )
    saturation = saturation[:, None, None]
    angle = np.deg2rad(sign[:, 3] * augment.hue * sizes["hue"])[:, None, None]
    grey = np.broadcast_to(_LUMA, (3, 3))
    saturate = saturation * np.eye(3) + (1.0 - saturation) * grey
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.cross(np.eye(3), -axis)
    turn = (
        np.cos(angle) * np.eye(3)
        + np.sin(angle) * cross
        + (1.0 - np.cos(angle)) * np.outer(axis, axis)
    )
    colour = turn @ saturate
    tone = tone_gains((2.0 * toned - 1.0) * augment.skin_tone * sizes["skin_tone"])
    linear = (contrast * brightness)[:, None, None] * colour * tone[:, None, :]
    offset = (colour @ np.ones(3)) * (_MID_GREY * (1.0 - contrast))[:, None]
    return np.concatenate([linear, offset[:, :, None]], axis=2).reshape(-1, 12)


def colour(images: Any, matrix: Any, size: int) -> Any:
    """Multiplies each pixel of `(N, size, size, 3)` with its photo's matrix `(N, 12)`."""
    from keras import ops

    matrix = ops.reshape(matrix, (-1, 3, 4))
    flat = ops.reshape(images, (-1, size * size, 3))
    flat = ops.matmul(flat, ops.transpose(matrix[:, :, :3], (0, 2, 1)))
    flat = ops.clip(flat + matrix[:, None, :, 3], 0.0, 255.0)
    return ops.reshape(flat, (-1, size, size, 3))


def tone_gains(degrees: np.ndarray) -> np.ndarray:
    """What red, green and blue are multiplied with to make skin lighter or darker.

    More melanin absorbs as wavelength^-3.48 (Jacques 2013, doi:10.1088/0031-9155/58/11/R37), so
    blue the most (Beer-Lambert). In sRGB, whose values are about the 2.2th root of light, a factor
    of light is a factor too. The whole photo is multiplied: a lesion keeps its contrast, as a
    ratio, against the skin around it.

    Args:
        degrees: `(n,)`, the change of the individual typology angle of medium skin (about 30
            degrees) that is aimed at; above 0 is lighter. The angle of dark skin (below -50) hardly
            moves, whatever its pigment: it is of L* and b*, which fall together.

    Returns:
        `(n, 3)`.
    """
    gains: np.ndarray = np.exp(degrees[:, None] * _ABSORPTION * _PER_DEGREE)
    return gains
