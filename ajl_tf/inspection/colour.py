"""The colours of a photo as CIELAB, where skin tone is measured, on a small copy of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def reduced(image: Pixels, side: int) -> Pixels:
    """A copy whose shorter side has at most `side` pixels, averaged over areas; never enlarged."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def to_lab(image: Pixels) -> Floats:
    """CIELAB (D65, 2 degrees) of sRGB: (H, W, 3) with L* in [0, 100], a* and b* about ±127."""
    scaled = image.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)
