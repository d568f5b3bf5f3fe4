"""The layers that transformers and the head need and Keras lacks.

A saved model that has them is loaded with `custom_objects=OWN_LAYERS`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ajl_tf.models.metadata import MetadataEncoding


class Tokens(keras.layers.Layer):
    """A map of patches (N, h, w, C) as tokens (N, 1 + h·w, C): class token first, positions added.

    Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929.
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes the class token (C,) and the positions (1 + h·w, C)."""
        _, height, width, channels = input_shape
        normal = keras.initializers.TruncatedNormal(stddev=0.02)
        self.class_token = self.add_weight((channels,), normal, name="class_token")
        self.positions = self.add_weight(
            (1 + height * width, channels), normal, name="position_embedding"
        )

    def call(self, x: Any) -> Any:
        """Returns the tokens."""
        _, height, width, channels = x.shape
        tokens = ops.reshape(x, (-1, height * width, channels))
        first = ops.zeros_like(tokens[:, :1]) + ops.cast(self.class_token, tokens.dtype)
        return ops.concatenate([first, tokens], axis=1) + ops.cast(self.positions, tokens.dtype)


class TokenMap(keras.layers.Layer):
    """Tokens (N, 1 + h·h, C) as a map (N, h, h, 2C): each patch's token, then the class token.

    The class token is the same at every place, so that average pooling gives both, side by side, as
    DINOv2 is evaluated (Oquab et al. 2023, https://arxiv.org/abs/2304.07193).
    """

    def call(self, x: Any) -> Any:
        """Returns the map."""
        _, tokens, channels = x.shape
        side = round((tokens - 1) ** 0.5)
        patches = ops.reshape(x[:, 1:], (-1, side, side, channels))
        first = ops.zeros_like(patches) + x[:, :1, None]
        return ops.concatenate([patches, first], axis=-1)


class ChannelScale(keras.layers.Layer):
    """A learned factor for each channel (Touvron et al. 2021, https://arxiv.org/abs/2103.17239).

    Keras's ConvNeXt has a `LayerScale` of its own, for which a saved one must not be taken.
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes the factors, 1 at first."""
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, x: Any) -> Any:
        """Multiplies."""
        return x * ops.cast(self.scale, x.dtype)


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
        _, height, width, channels = input_shape
        window = self.window
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
        self._pad = (-height % window, -width % window)
        self._padded = (height + self._pad[0], width + self._pad[1])
        self._shifts = tuple(0 if side <= window else self.shift for side in self._padded)
        self._places = relative_places(window)
        self._mask = shift_mask(self._padded, window, self._shifts)

    def call(self, x: Any) -> Any:
        """Returns a map of the same shape."""
        height, width = x.shape[1:3]
        down, right = self._shifts
        x = ops.pad(x, ((0, 0), (0, self._pad[0]), (0, self._pad[1]), (0, 0)))
        x = ops.roll(x, (-down, -right), (1, 2)) if self._mask is not None else x
        x = _from_windows(self._attend(_to_windows(x, self.window)), self._padded)
        x = ops.roll(x, (down, right), (1, 2)) if self._mask is not None else x
        return x[:, :height, :width]

    def _attend(self, x: Any) -> Any:
        """x: (N, windows, T, C), T pixels a window."""
        _, windows, pixels, channels = x.shape
        depth = channels // self.heads
        qkv = ops.reshape(self.qkv(x), (-1, windows, pixels, 3, self.heads, depth))
        query, key, value = ops.unstack(ops.transpose(qkv, (3, 0, 1, 4, 2, 5)), axis=0)
        scores = ops.matmul(query * depth**-0.5, ops.swapaxes(key, -1, -2))  # (N, windows, H, T, T)
        biases = ops.take(self.biases, self._places, axis=0)  # (T, T, H)
        scores = ops.cast(scores, "float32") + ops.transpose(biases, (2, 0, 1))
        if self._mask is not None:
            scores = scores + self._mask[:, None]
        weights = ops.cast(ops.softmax(scores), value.dtype)
        x = ops.transpose(ops.matmul(weights, value), (0, 1, 3, 2, 4))
        return self.project(ops.reshape(x, (-1, windows, pixels, channels)))


class AttentionPooling(keras.layers.Layer):
    """A map (N, h, w, C) as the mean over its places (N, C), weighted by what is seen there.

    `softmax over places of v · tanh(U x)`, one head (Ilse et al. 2018,
    https://arxiv.org/abs/1802.04712). `v` begins at 0, which is the plain average.
    """

    _HIDDEN = 64

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes `U` (C, 64) and `v` (64,)."""
        self.seen = self.add_weight((input_shape[-1], self._HIDDEN), name="seen")
        self.wanted = self.add_weight((self._HIDDEN,), "zeros", name="wanted")

    def weights_of_places(self, x: Any) -> Any:
        """What each place counts (N, h, w); sums to one."""
        scores = ops.matmul(ops.tanh(ops.matmul(x, self.seen)), self.wanted[:, None])[..., 0]
        _, height, width = scores.shape
        flat = ops.softmax(ops.reshape(scores, (-1, height * width)), axis=-1)
        return ops.reshape(flat, (-1, height, width))

    def call(self, x: Any) -> Any:
        """Returns the weighted mean."""
        return ops.sum(x * self.weights_of_places(x)[..., None], axis=(1, 2))


OWN_LAYERS = {
    layer.__name__: layer
    for layer in (
        *(Tokens, TokenMap, ChannelScale, WindowAttention, AttentionPooling),
        MetadataEncoding,
    )
}


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
