"""CIELAB, where skin is described, and the way from there to a photo's sRGB values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ajl_tf.dataset.phantom.fields import Field

_WHITE = np.array([0.95047, 1.0, 1.08883])  # CIE D65, 2 degrees
_XYZ_TO_RGB = np.array(  # IEC 61966-2-1
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_MATRIX = (_XYZ_TO_RGB * _WHITE).astype(np.float32)
_LINEAR = np.linspace(0, 1, 2**14)
_SRGB: NDArray[np.uint8] = np.rint(
    255 * np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def lab_to_linear(lab: Field) -> Field:
    """CIELAB (3, H, W) under D65 to linear sRGB (3, H, W), clipped to [0, 1]."""
    f_y = (lab[0] + 16) / 116
    f = np.stack([f_y + lab[1] / 500, f_y, f_y - lab[2] / 200])
    x, y, z = np.where(f > 6 / 29, f * f * f, (f - 4 / 29) * np.float32(108 / 841))
    channels = [row[0] * x + row[1] * y + row[2] * z for row in _MATRIX]
    return np.asarray(np.clip(np.stack(channels), 0, 1))


def linear_to_srgb(linear: Field) -> NDArray[np.uint8]:
    """Linear sRGB in [0, 1] (values outside are clipped) to uint8 sRGB in [0, 255]."""
    steps = np.clip(linear, 0, 1) * np.float32(len(_SRGB) - 1) + np.float32(0.5)
    return _SRGB[steps.astype(np.uint16)]
