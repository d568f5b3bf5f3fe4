"""Swin's layers: attention within windows, and what halves a map. They take maps of any size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


class WindowAttention(keras.layers.Layer):
    """Attention within windows of a map (N, h, w, C), which may be shifted by some pixels.

    Liu et al. 2021, https://arxiv.org/abs/2103.14030. A map that windows do not divide is padded
    with zeros at its end; along an axis that fits into one window nothing is shifted.

    Args:
        heads: Number of heads; divides C.
        window: Side of a window in pixels of the map.
        shift: Pixels by which the windows are moved up and left.
    """

    def __init__(self, heads: int, window: int, shift: int, **options: Any) -> None:
        super().__init__(**options)
        self.heads, self.window, self.shift = heads, window, shift

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to make the layer again."""
        own = {"heads": self.heads, "window": self.window, "shift": self.shift}
        return {**super().get_config(), **own}

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes the two dense layers and the table of biases ((2·window - 1)², heads)."""
        channels, window = input_shape[-1], self.window
        self.qkv = keras.layers.Dense(3 * channels, dtype=self.dtype_policy, name="qkv")
        self.qkv.build((None, channels))
        self.project = keras.layers.Dense(channels, dtype=self.dtype_policy, name="project")
        self.project.build((None, channels))
        self.biases = self.add_weight(
            ((2 * window - 1) ** 2, self.heads),
            keras.initializers.TruncatedNormal(stddev=0.02),
            autocast=False,  # added to float32 scores
            name="relative_position_bias",
        )
        self._places = relative_places(window)

    def call(self, x: Any) -> Any:
        """Returns a map of the same shape."""
        (height, width), window = x.shape[1:3], self.window
        below, beside = -height % window, -width % window
        sides = (height + below, width + beside)
        down, right = (0 if side <= window else self.shift for side in sides)
        mask = shift_mask(sides, window, (down, right))
        x = ops.pad(x, ((0, 0), (0, below), (0, beside), (0, 0)))
        x = ops.roll(x, (-down, -right), (1, 2)) if mask is not None else x
        x = _from_windows(self._attend(_to_windows(x, window), mask), sides)
        x = ops.roll(x, (down, right), (1, 2)) if mask is not None else x
        return x[:, :height, :width]

    def _attend(self, x: Any, mask: np.ndarray | None) -> Any:
        """x: (N, windows, T, C), T pixels a window; mask: see `shift_mask`."""
        _, windows, pixels, channels = x.shape
        depth = channels // self.heads
        qkv = ops.reshape(self.qkv(x), (-1, windows, pixels, 3, self.heads, depth))
        query, key, value = ops.unstack(ops.transpose(qkv, (3, 0, 1, 4, 2, 5)), axis=0)
        scores = ops.matmul(query * depth**-0.5, ops.swapaxes(key, -1, -2))  # (N, windows, H, T, T)
        biases = ops.take(self.biases, self._places, axis=0)  # (T, T, H)
        scores = ops.cast(scores, "float32") + ops.transpose(biases, (2, 0, 1))
        if mask is not None:
            scores = scores + mask[:, None]
        weights = ops.cast(ops.softmax(scores), value.dtype)
        x = ops.transpose(ops.matmul(weights, value), (0, 1, 3, 2, 4))
        return self.project(ops.reshape(x, (-1, windows, pixels, channels)))


class Neighbours(keras.layers.Layer):
    """A map (N, h, w, C) as one of half the sides, halves rounded up: (N, h / 2, w / 2, 4C).

    Each place holds four pixels: upper left, lower left, upper right, lower right. An odd side is
    padded with zeros at its end.
    """

    def call(self, x: Any) -> Any:
        """Returns the smaller map."""
        _, height, width, channels = x.shape
        x = ops.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        _, height, width, _ = x.shape
        x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 4, 2, 5))
        return ops.reshape(x, (-1, height // 2, width // 2, 4 * channels))


def relative_places(window: int) -> np.ndarray:
    """Which row of the table of biases belongs to each two pixels of a window: (T, T), int32."""
    rows, columns = np.divmod(np.arange(window**2, dtype=np.int32), window)
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    places: np.ndarray = down * (2 * window - 1) + right
    return places


def shift_mask(sides: tuple[int, ...], window: int, shifts: tuple[int, ...]) -> np.ndarray | None:
    """What keeps pixels apart that only the shift has brought into one window.

    Args:
        sides: Height and width of the map, multiples of `window`.
        window: Side of a window.
        shifts: Down and right.

    Returns:
        (windows, T, T), float32, 0 or -100; None where nothing is shifted.
    """
    if not any(shifts):
        return None
    regions = [
        np.searchsorted([side - window, side - shift], np.arange(side), side="right")
        if shift
        else np.zeros(side, np.int64)
        for side, shift in zip(sides, shifts, strict=True)
    ]
    region = (3 * regions[0][:, None] + regions[1])[None, :, :, None]
    numbers = (
        np.asarray(region)
        .reshape(sides[0] // window, window, sides[1] // window, window)
        .transpose(0, 2, 1, 3)
        .reshape(-1, window**2)
    )
    return np.where(numbers[:, :, None] == numbers[:, None], 0, -100).astype(np.float32)


def _to_windows(x: Any, window: int) -> Any:
    """(N, h, w, C) -> (N, windows, T, C)."""
    _, height, width, channels = x.shape
    rows, columns = height // window, width // window
    x = ops.reshape(x, (-1, rows, window, columns, window, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, rows * columns, window**2, channels))


def _from_windows(x: Any, sides: tuple[int, ...]) -> Any:
    """(N, windows, T, C) -> (N, h, w, C)."""
    _, _, pixels, channels = x.shape
    window = round(pixels**0.5)
    rows, columns = sides[0] // window, sides[1] // window
    x = ops.reshape(x, (-1, rows, columns, window, window, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, *sides, channels))
