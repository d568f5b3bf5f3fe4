"""Random changes of training photos: drawn in NumPy, applied on the device.

All geometry of a photo (window, flips, turns, rotation, translation) is one matrix, and so is all
of its colour (brightness, contrast, saturation, hue). `draw` makes these matrices for a whole epoch
at once from numbers that the caller keys by seed, epoch and photo; they travel with the batch, and
`apply` is one warp, one product and one blend on whatever device trains.
Nothing here is part of the classifier, so nothing here can reach an exported model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv

from ajl_tf.config import Augment

WARP, COLOUR, MIX = slice(0, 8), slice(8, 20), slice(20, 26)
WIDTH = 26  # numbers that travel with each photo
UNIFORMS = 17  # random numbers that they are made of

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_MID_GREY = 127.5


def draw(augment: Augment, u: np.ndarray, canvas: int, size: int) -> np.ndarray:
    """Draws what happens to each of n photos.

    Args:
        augment: The experiment's table; all zero gives the plain resize from canvas to input.
        u: `(n, UNIFORMS)` uniform numbers in [0, 1], a column for each thing that can be drawn
            whether or not it is on: ablations with one seed stay paired.
        canvas: Side of the canvas in pixels.
        size: Side of the classifier's input in pixels.

    Returns:
        float32 `(n, 26)`: 8 coefficients of the warp (output pixel -> canvas pixel, as
        `keras.ops.image.affine_transform` takes them), a 3x4 colour matrix row by row, and the
        blend (weight of the own label, weight of the own pixels inside the box, the box's top,
        bottom, left, right in input pixels).
    """
    return np.concatenate(
        [
            _warp(augment, u[:, :8], canvas, size),
            _colour(augment, u[:, 8:12]),
            _mix(augment, u[:, 12:], size),
        ],
        axis=1,
        dtype=np.float32,
    )


def apply(images: Any, drawn: Any, size: int, augment: Augment) -> Any:
    """Applies a draw to a batch, with `keras.ops` alone.

    Args:
        images: `(N, C, C, 3)` canvases in [0, 255], any dtype.
        drawn: `(N, 26)` from `draw`.
        size: Side of the classifier's input, at most C.
        augment: Which changes are on; those that are off cost nothing.

    Returns:
        float32 `(N, size, size, 3)` in [0, 255].
    """
    from keras import ops

    images = ops.cast(images, "float32")
    # The operation keeps the canvas's size; the matrix fills the corner that is kept.
    images = ops.image.affine_transform(images, drawn[:, WARP], "bilinear", "reflect")
    images = images[:, :size, :size]
    if augment.brightness or augment.contrast or augment.saturation or augment.hue:
        matrix = ops.reshape(drawn[:, COLOUR], (-1, 3, 4))
        flat = ops.reshape(images, (-1, size * size, 3))
        flat = ops.matmul(flat, ops.transpose(matrix[:, :, :3], (0, 2, 1)))
        flat = ops.clip(flat + matrix[:, None, :, 3], 0.0, 255.0)
        images = ops.reshape(flat, (-1, size, size, 3))
    if augment.mixup or augment.cutmix:
        own = _own_share(drawn[:, MIX], size)
        images = own * images + (1.0 - own) * _partners(images)
    return images


def apply_to_labels(labels: Any, drawn: Any, augment: Augment) -> Any:
    """Blends one-hot labels `(N, C)` as `apply` blends the photos."""
    if not (augment.mixup or augment.cutmix):
        return labels
    own = drawn[:, MIX][:, :1]
    return own * labels + (1.0 - own) * _partners(labels)


def _warp(augment: Augment, u: np.ndarray, canvas: int, size: int) -> np.ndarray:
    """Output pixel -> canvas pixel, `(n, 8)`; both are counted from the centre of the first."""
    sign = _signed(u)
    angle = np.deg2rad(sign[:, 0] * augment.rotation)
    if augment.quarter_turns:
        angle = angle + np.floor(u[:, 1] * 4) * (np.pi / 2)
    mirror = np.where(augment.horizontal_flip & (u[:, 2] < 0.5), -1.0, 1.0)
    upside = np.where(augment.vertical_flip & (u[:, 3] < 0.5), -1.0, 1.0)
    low, high = np.log(augment.zoom)
    zoom = np.exp(low + (high - low) * u[:, 4])
    scale = zoom * canvas / size
    # A window smaller than the canvas lies anywhere in it; translation moves it further.
    reach = (np.maximum(0.0, 1.0 - zoom) / 2 + augment.translation) * canvas
    centre = (canvas - 1) / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    a0, a1 = cos * mirror, -sin * upside
    b0, b1 = sin * mirror, cos * upside
    middle = (size - 1) / 2
    a2 = centre + sign[:, 5] * reach - (a0 + a1) * middle
    b2 = centre + sign[:, 6] * reach - (b0 + b1) * middle
    zero = np.zeros_like(a0)
    return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


def _colour(augment: Augment, u: np.ndarray) -> np.ndarray:
    """RGB -> RGB as `(n, 12)`, a 3x4 matrix each: brightness, contrast, saturation, then hue.

    Hue turns the colour about the grey axis (Rodrigues' formula), which keeps greys grey.
    """
    sign = _signed(u)
    brightness = 1.0 + sign[:, 0] * augment.brightness
    contrast = 1.0 + sign[:, 1] * augment.contrast
    saturation = (1.0 + sign[:, 2] * augment.saturation)[:, None, None]
    angle = np.deg2rad(sign[:, 3] * augment.hue)[:, None, None]
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
    linear = (contrast * brightness)[:, None, None] * colour
    offset = (colour @ np.ones(3)) * (_MID_GREY * (1.0 - contrast))[:, None]
    return np.concatenate([linear, offset[:, :, None]], axis=2).reshape(-1, 12)


def _mix(augment: Augment, u: np.ndarray, size: int) -> np.ndarray:
    """MixUp (Zhang et al. 2018, arXiv:1710.09412), CutMix (Yun et al. 2019, arXiv:1905.04899)."""
    n = len(u)
    both = augment.mixup and augment.cutmix
    use_mixup = u[:, 2] < 0.5 if both else np.full(n, augment.mixup > 0)
    lam, cut = _beta(augment.mixup, u[:, 3]), _beta(augment.cutmix, u[:, 4])
    use_cutmix = ~use_mixup & (augment.cutmix > 0)
    # MixUp is a box over the whole photo that both share, CutMix a box that the other fills.
    half = np.sqrt(1.0 - cut) * size / 2
    edges = [
        np.clip(np.round(u[:, axis] * size + side * half), 0, size)
        for axis in (0, 1)
        for side in (-1, 1)
    ]
    top, bottom, left, right = (
        np.where(use_cutmix, edge, whole)
        for edge, whole in zip(edges, (0, size, 0, size), strict=True)
    )
    inside = np.where(use_mixup, lam, np.where(use_cutmix, 0.0, 1.0))
    share = (bottom - top) * (right - left) / size**2  # of the box as it is after clipping
    label = 1.0 - share * (1.0 - inside)
    return np.stack([label, inside, top, bottom, left, right], axis=1)


def _beta(concentration: float, u: np.ndarray) -> np.ndarray:
    """Uniform numbers as draws of Beta(a, a); 1 where it is switched off."""
    if not concentration:
        return np.ones_like(u)
    drawn: np.ndarray = betaincinv(concentration, concentration, u)
    return drawn


def _own_share(mix: Any, size: int) -> Any:
    """How much of each pixel is the photo's own, `(N, size, size, 1)`."""
    from keras import ops

    place = ops.arange(size, dtype="float32")[None]
    rows = (place >= mix[:, 2:3]) & (place < mix[:, 3:4])
    columns = (place >= mix[:, 4:5]) & (place < mix[:, 5:6])
    box = ops.cast(rows[:, :, None] & columns[:, None, :], "float32")
    return (1.0 - box * (1.0 - mix[:, 1, None, None]))[..., None]


def _partners(x: Any) -> Any:
    """Neighbours in pairs: 0 with 1, 2 with 3, …; the last of an odd number with itself.

    Order is a fresh permutation each epoch, so a neighbour is a random partner, and a batch split
    over devices at an even place pairs the same photos.
    """
    from keras import ops

    n = ops.shape(x)[0]
    here = ops.arange(n)
    return ops.take(x, ops.minimum(here + 1 - 2 * (here % 2), n - 1), axis=0)


def _signed(u: np.ndarray) -> np.ndarray:
    return 2.0 * u - 1.0
