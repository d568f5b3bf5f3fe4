"""The layers that transformers and the head need and Keras lacks; Swin's are in `windows`.

A saved model that has them is loaded with `custom_objects=OWN_LAYERS`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ajl_tf.models.metadata import MetadataEncoding
from ajl_tf.models.windows import Neighbours, WindowAttention


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
        *(Tokens, TokenMap, ChannelScale, AttentionPooling),
        *(WindowAttention, Neighbours, MetadataEncoding),
    )
}
