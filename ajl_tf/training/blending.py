"""Photos that take something of another one, or lose a piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv

from ajl_tf.config import Augment

_ERASED = (0.02, 0.25)  # share of the photo


def boxes(augment: Augment, u: np.ndarray, size: int) -> np.ndarray:
    """MixUp (Zhang et al. 2018, arXiv:1710.09412), CutMix (Yun et al. 2019, arXiv:1905.04899).

    Returns:
        `(n, 6)`: weight of the own label, weight of the own pixels inside a box, the box's edges.
    """
    n = len(u)
    both = augment.mixup and augment.cutmix
    use_mixup = u[:, 2] < 0.5 if both else np.full(n, augment.mixup > 0)
    lam, cut = _beta(augment.mixup, u[:, 3]), _beta(augment.cutmix, u[:, 4])
    use_cutmix = ~use_mixup & (augment.cutmix > 0)
    # MixUp is a box over the whole photo that both share, CutMix a box that the other fills.
    top, bottom, left, right = (
        np.where(use_cutmix, edge, whole)
        for edge, whole in zip(_box(u, 1.0 - cut, size), (0, size, 0, size), strict=True)
    )
    inside = np.where(use_mixup, lam, np.where(use_cutmix, 0.0, 1.0))
    share = (bottom - top) * (right - left) / size**2  # of the box as it is after clipping
    label = 1.0 - share * (1.0 - inside)
    return np.stack([label, inside, top, bottom, left, right], axis=1)


def erased(augment: Augment, u: np.ndarray, size: int) -> np.ndarray:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896), of a square.

    Returns:
        `(n, 4)`: top, bottom, left, right in input pixels; an empty box where nothing is erased.
    """
    low, high = np.log(_ERASED)
    area = np.where(u[:, 2] < augment.erasing, np.exp(low + (high - low) * u[:, 3]), 0.0)
    return np.stack(_box(u, area, size), axis=1)


def blend(images: Any, mix: Any, size: int) -> Any:
    """Blends each photo of `(N, size, size, 3)` with its partner, as `boxes` drew."""
    own = _own_share(mix, size)
    return own * images + (1.0 - own) * _partners(images)


def blend_labels(labels: Any, mix: Any) -> Any:
    """Blends labels `(N, C)` as `blend` does the pixels."""
    own = mix[:, :1]
    return own * labels + (1.0 - own) * _partners(labels)


def erase(images: Any, box: Any, size: int) -> Any:
    """Fills the box of each photo with the photo's mean colour."""
    from keras import ops

    inside = _inside(box, size)
    return images * (1.0 - inside) + ops.mean(images, axis=(1, 2), keepdims=True) * inside


def _box(u: np.ndarray, area: np.ndarray, size: int) -> list[np.ndarray]:
    """Edges of a square of a share of the photo, its centre anywhere, cut off at the photo's."""
    half = np.sqrt(area) * size / 2
    return [
        np.clip(np.round(u[:, axis] * size + side * half), 0, size)
        for axis in (0, 1)
        for side in (-1, 1)
    ]


def _beta(concentration: float, u: np.ndarray) -> np.ndarray:
    """Uniform numbers as draws of Beta(a, a); 1 where it is switched off."""
    if not concentration:
        return np.ones_like(u)
    drawn: np.ndarray = betaincinv(concentration, concentration, u)
    return drawn


def _inside(box: Any, size: int) -> Any:
    """1 in the box `(N, 4)` and 0 outside, `(N, size, size, 1)`."""
    from keras import ops

    place = ops.arange(size, dtype="float32")[None]
    rows = (place >= box[:, 0:1]) & (place < box[:, 1:2])
    columns = (place >= box[:, 2:3]) & (place < box[:, 3:4])
    return ops.cast(rows[:, :, None] & columns[:, None, :], "float32")[..., None]


def _own_share(mix: Any, size: int) -> Any:
    """How much of each pixel is the photo's own, `(N, size, size, 1)`."""
    return 1.0 - _inside(mix[:, 2:6], size) * (1.0 - mix[:, 1, None, None, None])


def _partners(x: Any) -> Any:
    """Neighbours in pairs: 0 with 1, 2 with 3, …; the last of an odd number with itself.

    Order is a fresh permutation each epoch, so a neighbour is a random partner, and a batch split
    over devices at an even place pairs the same photos.
    """
    from keras import ops

    n = ops.shape(x)[0]
    here = ops.arange(n)
    return ops.take(x, ops.minimum(here + 1 - 2 * (here % 2), n - 1), axis=0)
