"""What a hidden part of a photo is replaced by, and the map that knows nothing."""

from __future__ import annotations

import cv2
import numpy as np

from ajl_tf.explanation.network import Images, Maps, enlarged
from ajl_tf.training.keyed import photo_keys

_BLUR = 1 / 8  # standard deviation of the blur, as a share of the side: nothing of a lesion is left
_GRID = 7  # cells a side of the random map: as coarse as most feature maps


def blurred(images: Images) -> Images:
    """The photos without detail: a Gaussian blur of an eighth of the side."""
    sigma = _BLUR * images.shape[1]
    reflected = cv2.BORDER_REFLECT_101
    return np.stack(
        [cv2.GaussianBlur(image, (0, 0), sigma, borderType=reflected) for image in images]
    )


def mean_coloured(images: Images) -> Images:
    """The photos as one flat colour each, their mean."""
    means = images.mean(axis=(1, 2), keepdims=True)
    return np.ascontiguousarray(np.broadcast_to(means, images.shape))


def random_maps(image_ids: list[str], size: int) -> Maps:
    """A map of chance for each photo, which follows from its name alone.

    As smooth as the maps that it is compared with: noise of single pixels would destroy a photo's
    texture everywhere at once and so look like a faithful map.
    """
    keys = photo_keys(image_ids)
    grids = [np.random.default_rng(int(key)).uniform(size=(_GRID, _GRID)) for key in keys]
    return enlarged(np.stack(grids), size)
