"""The transformers, whose weights come as presets of keras-hub.

Importing this file imports neither TensorFlow nor Keras, and not keras-hub.
"""

from __future__ import annotations

from functools import partial

from ajl_tf.models.record import (
    IMAGENET,
    IMAGENET_21K,
    IMAGENET_21K_THEN_1K,
    MINUS_ONE_TO_ONE,
    TORCH,
    Backbone,
)
from ajl_tf.models.swin import swin, swin_arrays
from ajl_tf.models.vision_transformer import dinov2_arrays, vision_transformer, vit_arrays
from ajl_tf.models.weights import Preset

# Depth, width and heads.
_VIT = {"small": (12, 384, 6), "base": (12, 768, 12), "large": (24, 1024, 16)}


def _vit(size: str, input_size: int, parameters: int, last: str) -> Backbone:
    depth, width, heads = _VIT[size]
    name = f"vit_{size}_patch16_{input_size}"
    only_21k = last == "imagenet21k"
    return Backbone(
        name=f"{name}_{last}" if only_21k else name,
        input_size=input_size,
        parameters=parameters,
        preprocessing=MINUS_ONE_TO_ONE,
        imagenet=Preset(f"{name}_{last}"),
        licence="Apache-2.0 (Google)",
        build=partial(vision_transformer, patch=16, depth=depth, width=width, heads=heads),
        trained_on=IMAGENET_21K if only_21k else IMAGENET_21K_THEN_1K,
        hub_arrays=vit_arrays,
        multiple=16,
    )


def _dinov2(size: str, parameters: int) -> Backbone:
    depth, width, heads = _VIT[size]
    return Backbone(
        name=f"dinov2_{size}",
        input_size=518,
        parameters=parameters,
        preprocessing=TORCH,
        imagenet=Preset(f"dinov2_{size}"),
        licence="Apache-2.0 (Meta)",
        build=partial(
            vision_transformer, patch=14, depth=depth, width=width, heads=heads, scaled=True
        ),
        trained_on="LVD-142M, no labels",
        hub_arrays=dinov2_arrays,
        multiple=14,
    )


def _swin(
    size: str, window: int, parameters: int, width: int, depth: int, heads: tuple[int, ...]
) -> Backbone:
    input_size = {7: 224, 12: 384}[window]
    name = f"swin_{size}_patch4_window{window}_{input_size}"
    return Backbone(
        name=name,
        input_size=input_size,
        parameters=parameters,
        preprocessing=TORCH,
        imagenet=Preset(name),
        licence="MIT (Microsoft)",
        build=partial(swin, width=width, depths=(2, 2, depth, 2), heads=heads, window=window),
        trained_on=IMAGENET if size in ("tiny", "small") else IMAGENET_21K_THEN_1K,
        hub_arrays=swin_arrays,
    )


RECORDS = [
    _vit("base", 224, 85_798_656, "imagenet"),
    _vit("base", 224, 85_798_656, "imagenet21k"),
    _vit("base", 384, 86_090_496, "imagenet"),
    _vit("large", 224, 303_301_632, "imagenet"),
    _vit("large", 224, 303_301_632, "imagenet21k"),
    _vit("large", 384, 303_690_752, "imagenet"),
    _swin("tiny", 7, 27_519_354, 96, 6, (3, 6, 12, 24)),
    _swin("small", 7, 48_837_258, 96, 18, (3, 6, 12, 24)),
    _swin("base", 7, 86_743_224, 128, 18, (4, 8, 16, 32)),
    _swin("base", 12, 86_878_584, 128, 18, (4, 8, 16, 32)),
    _swin("large", 7, 194_995_476, 192, 18, (6, 12, 24, 48)),
    _swin("large", 12, 195_198_516, 192, 18, (6, 12, 24, 48)),
    _dinov2("small", 22_056_192),
    _dinov2("base", 86_579_712),
    _dinov2("large", 304_367_616),
]
