"""EfficientNet-Lite as plain Keras layers, and where a PyTorch file keeps the weights of each.

EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation,
with ReLU6 for swish, and with stem and head kept at one size:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. The weights were
trained there, so convolutions pad as TensorFlow's SAME does. The PyTorch names are those of
https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch, which ported them.

Importing this file does not import Keras: the names of the backbones must be cheap to know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
_EPSILON, _MOMENTUM = 1e-3, 0.99
# Of EfficientNet-B0: blocks, kernel, stride of the first block, expansion, channels out.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Block:
    """One inverted residual block: expand (1×1), filter each channel (k×k), project (1×1)."""

    name: str
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


def blocks(width: float, depth: float) -> list[Block]:
    """Scales the seven stages; Lite keeps the depth of the first and the last.

    Args:
        width: Multiplies the channels of every stage, rounded to a multiple of 8.
        depth: Multiplies the number of blocks of the five stages between, rounded up.

    Returns:
        The blocks from input to output, named `block1a`, `block2a`, `block2b`, ….
    """
    scaled: list[Block] = []
    channels_in = STEM_CHANNELS
    for stage, (count, kernel, stride, expansion, channels) in enumerate(_STAGES, start=1):
        inner = 1 < stage < len(_STAGES)
        for index in range(math.ceil(depth * count) if inner else count):
            channels_out = _rounded(width * channels)
            name = f"block{stage}{'abcdefghij'[index]}"
            first_stride = stride if index == 0 else 1
            scaled.append(Block(name, kernel, first_stride, expansion, channels_in, channels_out))
            channels_in = channels_out
    return scaled


def efficientnet_lite(x: keras.KerasTensor, width: float, depth: float) -> keras.KerasTensor:
    """Adds the network to a preprocessed image.

    Layers are named `stem_conv`, `block1a_depthwise_conv`, …, `block7a_project_bn`, `head_conv`, so
    that training can unfreeze from one of them on.

    Args:
        x: (N, H, W, 3) float, `(pixel - 127) / 128` of an RGB image in [0, 255].
        width: As for `blocks`; 1.0 for Lite0, 1.1 for Lite2.
        depth: As for `blocks`; 1.0 for Lite0, 1.2 for Lite2.

    Returns:
        The feature map (N, ceil(H / 32), ceil(W / 32), 1280), each value in [0, 6].
    """
    from keras import layers

    def conv(
        x: keras.KerasTensor, name: str, channels: int, stride: int = 1, kernel: int = 1
    ) -> keras.KerasTensor:
        return layers.Conv2D(
            channels,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_conv",
        )(x)

    def norm(x: keras.KerasTensor, name: str, relu6: bool = True) -> keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_bn")(x)
        return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x) if relu6 else x

    x = norm(conv(x, "stem", STEM_CHANNELS, stride=2, kernel=3), "stem")
    for block in blocks(width, depth):
        shortcut, name = x, block.name
        if block.expansion > 1:
            x = conv(x, f"{name}_expand", block.expansion * block.channels_in)
            x = norm(x, f"{name}_expand")
        x = layers.DepthwiseConv2D(
            block.kernel,
            strides=block.stride,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
            name=f"{name}_depthwise_conv",
        )(x)
        x = norm(x, f"{name}_depthwise")
        x = norm(conv(x, f"{name}_project", block.channels_out), f"{name}_project", relu6=False)
        if block.stride == 1 and block.channels_in == block.channels_out:
            x = layers.Add(name=f"{name}_add")([shortcut, x])
    return norm(conv(x, "head", HEAD_CHANNELS), "head")


def torch_tensors(width: float, depth: float) -> dict[str, list[str]]:
    """Where the weights of each layer stand in a PyTorch file.

    Args:
        width: As for `blocks`.
        depth: As for `blocks`.

    Returns:
        Layer name here -> names of its tensors there, in the order in which Keras keeps them.
    """
    prefixes = {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
    for index, block in enumerate(blocks(width, depth)):
        # The port numbers a block's batch norms, and leaves 0 out where nothing is expanded.
        for number, part in enumerate(("expand", "depthwise", "project")):
            if part != "expand" or block.expansion > 1:
                prefixes[f"{block.name}_{part}_conv"] = f"_blocks.{index}._{part}_conv"
                prefixes[f"{block.name}_{part}_bn"] = f"_blocks.{index}._bn{number}"
    prefixes |= {"head_conv": "_conv_head", "head_bn": "_bn1"}
    parts = {
        "conv": ("weight",),
        "bn": ("weight", "bias", "running_mean", "running_var"),
    }
    return {
        layer: [f"{prefix}.{part}" for part in parts[layer.rpartition("_")[2]]]
        for layer, prefix in prefixes.items()
    }


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, unless that takes away more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
