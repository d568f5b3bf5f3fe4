"""What a record of the zoo says about a backbone before it is built.

Importing this file imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ajl_tf.models.weights import Download, Packaged, Preset

if TYPE_CHECKING:
    import keras
    import numpy as np


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


# Keras's "tf", "caffe" and "torch" mode.
MINUS_ONE_TO_ONE = Preprocessing((127.5,) * 3, (127.5,) * 3)
CAFFE = Preprocessing((123.68, 116.779, 103.939), (1.0,) * 3, "BGR")
TORCH = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

# What the weights were trained on.
IMAGENET = "ImageNet"
IMAGENET_21K = "ImageNet-21k"
IMAGENET_21K_THEN_1K = "ImageNet-21k, then ImageNet"

# Names of a family's layers -> their arrays, in the order in which Keras keeps them.
Arrays = Mapping[str, "list[np.ndarray]"]


@dataclass(frozen=True)
class Backbone:
    """What there is to know about a backbone before it is built.

    Attributes:
        name: As written in an experiment file.
        input_size: Side in pixels at which the weights were trained; others work too.
        parameters: All of them at that size, without a classifier.
        preprocessing: Built into the model.
        imagenet: Where `weights = "imagenet"` comes from.
        licence: Of those weights, and who published them.
        build: Adds the network to a preprocessed image (N, S, S, 3) and returns its feature map.
        trained_on: The photos that those weights saw.
        torch_tensors: Where a `.pth` file keeps each layer, for the backbones that read one.
        hub_arrays: Takes the same network as keras-hub builds it, and returns the arrays of each
            layer here; for the backbones whose weights come as keras-hub's presets.
        smallest: The least side in pixels that the network can take.
        multiple: The side must be a multiple of so many pixels.
    """

    name: str
    input_size: int
    parameters: int
    preprocessing: Preprocessing
    imagenet: Download | Packaged | Preset
    licence: str
    build: Callable[[keras.KerasTensor], keras.KerasTensor]
    trained_on: str = IMAGENET
    torch_tensors: Callable[[], dict[str, list[str]]] | None = None
    hub_arrays: Callable[[Any], Arrays] | None = None
    smallest: int = 32
    multiple: int = 1

    @property
    def pip_package(self) -> str | None:
        """The pip package that carries the weights; None where they are downloaded."""
        return self.imagenet.pip_name if isinstance(self.imagenet, Packaged) else None
