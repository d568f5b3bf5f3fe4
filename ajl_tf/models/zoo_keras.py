"""The backbones of keras.applications, without their own preprocessing and classifier.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ajl_tf.models.record import (
    CAFFE,
    IMAGENET,
    IMAGENET_21K_THEN_1K,
    MINUS_ONE_TO_ONE,
    TORCH,
    Backbone,
    Preprocessing,
)
from ajl_tf.models.weights import Download

if TYPE_CHECKING:
    import keras

_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
_V2_LARGE = Preprocessing((128.0,) * 3, (128.0,) * 3)  # B0 to B3: "torch" mode
_KERNELS = "weights_tf_dim_ordering_tf_kernels"


def _application(x: keras.KerasTensor, function: str, **options: object) -> keras.KerasTensor:
    import keras

    build = getattr(keras.applications, function)
    return build(include_top=False, weights=None, input_tensor=x, **options).output


def _efficientnet(x: keras.KerasTensor, function: str) -> keras.KerasTensor:
    """EfficientNet, which begins with `(x / 255 - mean) / sqrt(variance)` of its own.

    Those two stand in the weights file, with the standard deviation where the variance belongs
    (https://github.com/tensorflow/tensorflow/issues/49930); Keras mends that only for weights that
    it downloads itself. What is done first here makes the whole `(x - mean) / std` again.
    """
    import keras

    scale = [(255 * std) ** 0.5 for std in TORCH.std]
    undo = keras.layers.Rescaling(scale, TORCH.mean, dtype="float32", name="preprocessing_undone")
    return _application(undo(x), function)


def _efficientnet_record(number: int, input_size: int, parameters: int, md5: str) -> Backbone:
    url = "https://storage.googleapis.com/keras-applications"
    return Backbone(
        name=f"efficientnet_b{number}",
        input_size=input_size,
        parameters=parameters,
        preprocessing=TORCH,
        imagenet=Download(f"{url}/efficientnetb{number}_notop.h5", md5),
        licence="Apache-2.0 (Google)",
        build=partial(_efficientnet, function=f"EfficientNetB{number}"),
    )


def _v2(variant: str, input_size: int, parameters: int, md5: str) -> Backbone:
    is_base = variant.startswith("B")
    file = f"efficientnetv2-{variant.lower()}_notop.h5"
    return Backbone(
        name=f"efficientnetv2_{variant.lower()}",
        input_size=input_size,
        parameters=parameters,
        preprocessing=TORCH if is_base else _V2_LARGE,
        imagenet=Download(f"{_URL}/efficientnet_v2/{file}", md5),
        licence="Apache-2.0 (Google)",
        build=partial(
            _application, function=f"EfficientNetV2{variant}", include_preprocessing=False
        ),
    )


def _convnext(variant: str, parameters: int, sha256: str) -> Backbone:
    name = f"convnext_{variant.lower()}"
    return Backbone(
        name=name,
        input_size=224,
        parameters=parameters,
        preprocessing=TORCH,
        imagenet=Download(f"{_URL}/convnext/{name}_notop.h5", sha256),
        licence="MIT (Meta)",
        build=partial(_application, function=f"ConvNeXt{variant}", include_preprocessing=False),
        trained_on=IMAGENET if variant in ("Tiny", "Small") else IMAGENET_21K_THEN_1K,
    )


RECORDS = [
    Backbone(
        name="resnet50",
        input_size=224,
        parameters=23_587_712,
        preprocessing=CAFFE,
        imagenet=Download(
            f"{_URL}/resnet/resnet50_{_KERNELS}_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
        ),
        licence="MIT (Kaiming He)",
        build=partial(_application, function="ResNet50"),
    ),
    Backbone(
        name="resnet50_v2",
        input_size=224,
        parameters=23_564_800,
        preprocessing=MINUS_ONE_TO_ONE,
        imagenet=Download(
            f"{_URL}/resnet/resnet50v2_{_KERNELS}_notop.h5", "fac2f116257151a9d068a22e544a4917"
        ),
        licence="BSD-3-Clause (Meta)",
        build=partial(_application, function="ResNet50V2"),
    ),
    Backbone(
        name="mobilenet_v2",
        input_size=224,
        parameters=2_257_984,
        preprocessing=MINUS_ONE_TO_ONE,
        imagenet=Download(f"{_URL}/mobilenet_v2/mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5", None),
        licence="Apache-2.0 (Google)",
        build=partial(_application, function="MobileNetV2"),
    ),
    Backbone(
        name="densenet121",
        input_size=224,
        parameters=7_037_504,
        preprocessing=TORCH,
        imagenet=Download(
            f"{_URL}/densenet/densenet121_{_KERNELS}_notop.h5", "30ee3e1110167f948a6b9946edeeb738"
        ),
        licence="BSD-3-Clause (Zhuang Liu)",
        build=partial(_application, function="DenseNet121"),
    ),
    Backbone(
        name="xception",
        input_size=299,
        parameters=20_861_480,
        preprocessing=MINUS_ONE_TO_ONE,
        imagenet=Download(
            f"{_URL}/xception/xception_{_KERNELS}_notop.h5", "b0042744bf5b25fce3cb969f33bebb97"
        ),
        licence="MIT (François Chollet)",
        build=partial(_application, function="Xception"),
        smallest=71,
    ),
    Backbone(
        name="inception_v3",
        input_size=299,
        parameters=21_802_784,
        preprocessing=MINUS_ONE_TO_ONE,
        imagenet=Download(
            f"{_URL}/inception_v3/inception_v3_{_KERNELS}_notop.h5",
            "bcbd6486424b2319ff4ef7d526e38f63",
        ),
        licence="Apache-2.0 (Google)",
        build=partial(_application, function="InceptionV3"),
        smallest=75,
    ),
    _efficientnet_record(0, 224, 4_049_571, "50bc09e76180e00e4465e1a485ddc09d"),
    _efficientnet_record(1, 240, 6_575_239, "74c4e6b3e1f6a1eea24c589628592432"),
    _efficientnet_record(2, 260, 7_768_569, "111f8e2ac8aa800a7a99e3239f7bfb39"),
    _efficientnet_record(3, 300, 10_783_535, "af6d107764bb5b1abb91932881670226"),
    _efficientnet_record(4, 380, 17_673_823, "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    _efficientnet_record(5, 456, 28_513_527, "38879255a25d3c92d5e44e04ae6cec6f"),
    _efficientnet_record(6, 528, 40_960_143, "9ecce42647a20130c1f39a5d4cb75743"),
    _efficientnet_record(7, 600, 64_097_687, "cbcfe4450ddf6f3ad90b1b398090fe4a"),
    _v2("B0", 224, 5_919_312, "893217f2bb855e2983157299931e43ff"),
    _v2("B1", 240, 6_931_124, "0e80663031ca32d657f9caa404b6ec37"),
    _v2("B2", 260, 8_769_374, "1dfe2e7a5d45b6632553a8961ea609eb"),
    _v2("B3", 300, 12_930_622, "f6abf7b5849ac99a89b50dd3fd532856"),
    _v2("S", 384, 20_331_360, "af0682fb74e8c54910f2d4393339c070"),
    _v2("M", 480, 53_150_388, "1b8dc055df72dde80d614482840fe342"),
    _v2("L", 480, 117_746_848, "b0b66b5c863aef5b46e8608fe1711615"),
    _convnext(
        "Tiny", 27_820_128, "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"
    ),
    _convnext(
        "Small", 49_454_688, "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"
    ),
    _convnext(
        "Base", 87_566_464, "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"
    ),
    _convnext(
        "Large", 196_230_336, "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"
    ),
    _convnext(
        "XLarge", 348_147_968, "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"
    ),
]
