"""RegNet-Y as plain Keras layers, and where a PyTorch file keeps the weights of each.

Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678: bottlenecks of grouped convolutions with
squeeze-and-excitation. No maintained Keras library has it any more. The weights and the names of
the tensors are torchvision's, https://pytorch.org/vision/stable/models/regnet.html, and so is the
padding: by one pixel on every side, also at a stride of two.

Importing this file does not import Keras: the names of the backbones must be cheap to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import keras

STEM_CHANNELS = 32
_EPSILON, _MOMENTUM = 1e-5, 0.9
_SQUEEZE = 0.25  # channels inside squeeze-and-excitation, as a share of the block's input


class Block(NamedTuple):
    """One bottleneck: its name here and in the file, channels in and out, and whether it halves."""

    name: str
    torch_name: str
    channels_in: int
    channels_out: int
    first: bool


def blocks(depths: Sequence[int], widths: Sequence[int]) -> Iterator[Block]:
    """The blocks from input to output, named `stage1_block1`, `stage2_block1`, ….

    Args:
        depths: Blocks of each stage.
        widths: Channels of each stage.
    """
    channels_in = STEM_CHANNELS
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        for number in range(depth):
            name = f"stage{stage}_block{number + 1}"
            torch_name = f"trunk_output.block{stage}.block{stage}-{number}"
            yield Block(name, torch_name, channels_in, width, first=number == 0)
            channels_in = width


def regnet(
    x: keras.KerasTensor, depths: Sequence[int], widths: Sequence[int], group: int
) -> keras.KerasTensor:
    """Adds the network to a preprocessed image.

    Layers are named `stem_conv`, `stage1_block1_a_conv`, …, `stage4_block6_c_bn`, so that training
    can unfreeze from one of them on.

    Args:
        x: (N, S, S, 3) float.
        depths: As for `blocks`.
        widths: As for `blocks`.
        group: Channels of a group; divides every width.

    Returns:
        The feature map (N, ceil(S / 32), ceil(S / 32), widths[-1]), not below 0.
    """
    from keras import layers

    def conv(
        x: keras.KerasTensor,
        name: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
    ) -> keras.KerasTensor:
        if kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
        x = layers.Conv2D(
            channels,
            kernel,
            strides=stride,
            groups=groups,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_conv",
        )(x)
        return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_bn")(x)

    def excite(x: keras.KerasTensor, name: str, squeezed: int) -> keras.KerasTensor:
        y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
        y = layers.Conv2D(squeezed, 1, activation="relu", name=f"{name}_squeeze")(y)
        y = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_excite")(y)
        return layers.Multiply(name=f"{name}_scale")([x, y])

    x = layers.ReLU(name="stem_relu")(conv(x, "stem", STEM_CHANNELS, kernel=3, stride=2))
    for block in blocks(depths, widths):
        name, width, stride = block.name, block.channels_out, 2 if block.first else 1
        y = layers.ReLU(name=f"{name}_a_relu")(conv(x, f"{name}_a", width))
        y = conv(y, f"{name}_b", width, kernel=3, stride=stride, groups=width // group)
        y = layers.ReLU(name=f"{name}_b_relu")(y)
        y = excite(y, f"{name}_se", round(_SQUEEZE * block.channels_in))
        y = conv(y, f"{name}_c", width)
        x = conv(x, f"{name}_shortcut", width, stride=stride) if block.first else x
        x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
    return x


def torch_tensors(depths: Sequence[int], widths: Sequence[int]) -> dict[str, list[str]]:
    """Where the weights of each layer stand in torchvision's file.

    Args:
        depths: As for `blocks`.
        widths: As for `blocks`.

    Returns:
        Layer name here -> names of its tensors there, in the order in which Keras keeps them.
    """
    pairs = {"stem": "stem"}  # a convolution, numbered 0 there, and its batch norm, numbered 1
    dense = {}
    for block in blocks(depths, widths):
        for part in "abc":
            pairs[f"{block.name}_{part}"] = f"{block.torch_name}.f.{part}"
        if block.first:
            pairs[f"{block.name}_shortcut"] = f"{block.torch_name}.proj"
        dense[f"{block.name}_se_squeeze"] = f"{block.torch_name}.f.se.fc1"
        dense[f"{block.name}_se_excite"] = f"{block.torch_name}.f.se.fc2"
    norm = ("weight", "bias", "running_mean", "running_var")
    return {
        **{f"{here}_conv": [f"{there}.0.weight"] for here, there in pairs.items()},
        **{f"{here}_bn": [f"{there}.1.{part}" for part in norm] for here, there in pairs.items()},
        **{here: [f"{there}.weight", f"{there}.bias"] for here, there in dense.items()},
    }
