"""What lies between skin and file: uneven light, hairs, white balance, blur, sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ajl_tf.dataset.phantom.colour import lab_to_linear, linear_to_srgb
from ajl_tf.dataset.phantom.fields import Field, Shape, blur, coordinates, noise


def take_photo(lab: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photographs CIELAB (3, H, W) skin: uint8 sRGB (H, W, 3)."""
    shape = lab.shape[1], lab.shape[2]
    linear = lab_to_linear(lab)
    linear *= _light(shape, rng)
    if rng.random() < 0.35:
        linear *= _hairs(shape, rng)
    linear *= _white_balance(rng)[:, None, None]
    for _ in range(int(rng.integers(0, 3))):
        linear = blur(linear, rng.uniform(0.2, 0.9))
    grain = rng.standard_normal(shape, dtype=np.float32) * np.float32(rng.uniform(0.01, 0.05))
    return np.ascontiguousarray(linear_to_srgb(linear * (1 + grain)).transpose(1, 2, 0))


def _light(shape: Shape, rng: np.random.Generator) -> Field:
    """Exposure, a gradient from one side, shadows and a vignette: factors around 1."""
    y, x = coordinates(shape)
    angle = rng.uniform(0, 2 * np.pi)
    gradient = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * x
    stops = np.float32(rng.normal(0.07, 0.16)) + gradient * np.float32(rng.uniform(0, 0.5))
    stops = stops + noise(shape, 2, rng) * np.float32(rng.uniform(0.02, 0.12))
    return np.asarray(np.exp(stops) * (1 - (y * y + x * x) * np.float32(rng.uniform(0, 0.7))))


def _white_balance(rng: np.random.Generator) -> Field:
    """Gains of red, green and blue."""
    warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.025)
    return np.exp(np.array([warmth, tint, -warmth * 1.3], np.float32))


def _hairs(shape: Shape, rng: np.random.Generator) -> Field:
    """Some curved strands that let little light through: factors in (0, 1]."""
    height, width = shape
    canvas = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(canvas)
    direction, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.6)
    t = np.linspace(0, 1, 9)
    dark = int(rng.integers(40, 190))
    for _ in range(int(rng.integers(3, 26))):
        angle = direction + rng.normal(0, 0.25) + rng.normal(0, 0.6) * t
        step = length * (height * width) ** 0.5 / len(t)
        along_x = rng.uniform(0, width) + np.cumsum(np.cos(angle)) * step
        along_y = rng.uniform(0, height) + np.cumsum(np.sin(angle)) * step
        pen.line(list(zip(along_x.tolist(), along_y.tolist(), strict=True)), fill=dark)
    return np.asarray(canvas, np.float32) / np.float32(255)
