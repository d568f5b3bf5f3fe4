"""The Vision Transformer as plain layers, and where keras-hub keeps the weights of each.

ViT: Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929. DINOv2, the same network with
factors after each branch: Oquab et al. 2023, https://arxiv.org/abs/2304.07193. They are built here
and not by keras-hub, so that the network is one flat model that unfreezes block by block and is
saved and loaded without keras-hub; keras-hub brings the weights.

Importing this file does not import Keras: the names of the backbones must be cheap to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

_EPSILON = 1e-6


def vision_transformer(
    x: keras.KerasTensor, patch: int, depth: int, width: int, heads: int, scaled: bool = False
) -> keras.KerasTensor:
    """Adds the network to a preprocessed image.

    Layers are named `patch_embedding`, `tokens`, `block1_attention`, …, `block12_mlp_project`,
    `norm`, so that training can unfreeze from one of them on.

    Args:
        x: (N, S, S, 3) float, S a multiple of `patch`.
        patch: Side of a patch in pixels.
        depth: Number of blocks.
        width: Channels of a token.
        heads: Heads of the attention.
        scaled: Whether a learned factor for each channel follows each branch, as in DINOv2.

    Returns:
        The feature map (N, S / patch, S / patch, 2·width): the token of each patch and, beside it
        everywhere, the class token, so that average pooling gives both.
    """
    from keras import layers

    from ajl_tf.models.layers import ChannelScale, TokenMap, Tokens

    x = layers.Conv2D(width, patch, strides=patch, name="patch_embedding")(x)
    x = Tokens(name="tokens")(x)
    for block in range(1, depth + 1):
        for part in ("attention", "mlp"):
            name = f"block{block}_{part}"
            y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm")(x)
            if part == "attention":
                y = layers.MultiHeadAttention(heads, width // heads, name=name)(y, y)
            else:
                y = layers.Dense(4 * width, activation="gelu", name=f"{name}_expand")(y)
                y = layers.Dense(width, name=f"{name}_project")(y)
            y = ChannelScale(name=f"{name}_scale")(y) if scaled else y
            x = layers.Add(name=f"{name}_add")([x, y])
    x = layers.LayerNormalization(epsilon=_EPSILON, name="norm")(x)
    return TokenMap(name="token_map")(x)


def vit_arrays(hub: Any) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer here, from keras-hub's `ViTBackbone`."""
    patches = hub.get_layer("vit_patching_and_embedding")
    encoder = hub.get_layer("vit_encoder")
    arrays = {
        "patch_embedding": patches.patch_embedding.weights,
        "tokens": [patches.class_token, *patches.position_embedding.weights],
        "norm": encoder.layer_norm.weights,
    }
    for number, block in enumerate(encoder.encoder_layers, start=1):
        arrays |= {
            f"block{number}_attention_norm": block.layer_norm_1.weights,
            f"block{number}_attention": block.mha.weights,
            f"block{number}_mlp_norm": block.layer_norm_2.weights,
            f"block{number}_mlp_expand": block.mlp.dense_1.weights,
            f"block{number}_mlp_project": block.mlp.dense_2.weights,
        }
    return _as_arrays(arrays)


def dinov2_arrays(hub: Any) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer here, from keras-hub's `DINOV2Backbone`."""
    embeddings = hub.embeddings
    if getattr(hub, "num_register_tokens", 0):
        raise ValueError(f"{hub.num_register_tokens} register tokens, which this network has not")
    arrays = {
        "patch_embedding": embeddings.patch_embeddings.weights,
        "tokens": [embeddings.cls_token, embeddings.position_embeddings],
        "norm": hub.layernorm.weights,
    }
    for number, block in enumerate(hub.encoder.layers, start=1):
        arrays |= {
            f"block{number}_attention_norm": block.norm1.weights,
            f"block{number}_attention": block.attention.weights,
            f"block{number}_attention_scale": block.layer_scale1.weights,
            f"block{number}_mlp_norm": block.norm2.weights,
            f"block{number}_mlp_expand": block.mlp.fc1.weights,
            f"block{number}_mlp_project": block.mlp.fc2.weights,
            f"block{number}_mlp_scale": block.layer_scale2.weights,
        }
    return _as_arrays(arrays)


def _as_arrays(variables: dict[str, list[Any]]) -> dict[str, list[np.ndarray]]:
    arrays = {
        layer: [np.asarray(variable.value) for variable in kept]
        for layer, kept in variables.items()
    }
    token, positions = arrays["tokens"]  # keras-hub keeps axes of size 1 before theirs
    arrays["tokens"] = [token.reshape(-1), positions.reshape(positions.shape[-2:])]
    return arrays
