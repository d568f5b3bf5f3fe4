"""Swin Transformer as plain layers, and where keras-hub keeps the weights of each.

Liu et al. 2021, https://arxiv.org/abs/2103.14030. Built here and not by keras-hub, for the reasons
given in `vision_transformer`, and because keras-hub's takes only sizes that its windows divide.

Importing this file does not import Keras: the names of the backbones must be cheap to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

_EPSILON = 1e-5


def swin(
    x: keras.KerasTensor, width: int, depths: Sequence[int], heads: Sequence[int], window: int
) -> keras.KerasTensor:
    """Adds the network to a preprocessed image.

    Layers are named `patch_embedding`, `stage1_block1_attention`, …, `stage2_merge_reduce`, …,
    `norm`, so that training can unfreeze from one of them on.

    Args:
        x: (N, S, S, 3) float.
        width: Channels of the first stage; each later one has twice as many as the one before.
        depths: Blocks of each stage.
        heads: Heads of each stage.
        window: Side of the windows in pixels of the map.

    Returns:
        The feature map (N, S / 32, S / 32, 8·width) for four stages, halves rounded up.
    """
    from keras import layers

    from ajl_tf.models.windows import Neighbours, WindowAttention

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.LayerNormalization(epsilon=_EPSILON, name=name)(x)

    x = layers.Conv2D(width, 4, strides=4, name="patch_embedding")(x)
    x = norm(x, "patch_norm")
    for stage, depth in enumerate(depths, start=1):
        if stage > 1:
            width *= 2
            x = Neighbours(name=f"stage{stage}_merge_neighbours")(x)
            x = norm(x, f"stage{stage}_merge_norm")
            x = layers.Dense(width, use_bias=False, name=f"stage{stage}_merge_reduce")(x)
        for block in range(1, depth + 1):
            name = f"stage{stage}_block{block}"
            shift = window // 2 if block % 2 == 0 else 0
            attention = WindowAttention(heads[stage - 1], window, shift, name=f"{name}_attention")
            y = attention(norm(x, f"{name}_attention_norm"))
            x = layers.Add(name=f"{name}_attention_add")([x, y])
            y = norm(x, f"{name}_mlp_norm")
            y = layers.Dense(4 * width, activation="gelu", name=f"{name}_mlp_expand")(y)
            y = layers.Dense(width, name=f"{name}_mlp_project")(y)
            x = layers.Add(name=f"{name}_mlp_add")([x, y])
    return norm(x, "norm")


def swin_arrays(hub: Any) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer here, from keras-hub's `SwinTransformerBackbone`."""
    variables = {
        "patch_embedding": hub.patch_embedding.proj.weights,
        "patch_norm": hub.patch_embedding.norm.weights,
        "norm": hub.norm.weights,
    }
    for stage, layer in enumerate(hub.stages, start=1):
        for number, block in enumerate(layer.blocks, start=1):
            name, attention = f"stage{stage}_block{number}", block.attn
            table = attention.relative_position_bias_table
            dense = [*attention.qkv.weights, *attention.proj.weights]
            variables |= {
                f"{name}_attention_norm": block.norm1.weights,
                f"{name}_attention": [table, *dense],
                f"{name}_mlp_norm": block.norm2.weights,
                f"{name}_mlp_expand": block.mlp.fc1.weights,
                f"{name}_mlp_project": block.mlp.fc2.weights,
            }
        if layer.downsample is not None:
            merge = f"stage{stage + 1}_merge"
            variables[f"{merge}_norm"] = layer.downsample.norm.weights
            variables[f"{merge}_reduce"] = layer.downsample.reduction.weights
    return {layer: [np.asarray(v.value) for v in kept] for layer, kept in variables.items()}
