"""Weights that keras-hub brings: fetched from Kaggle, or in a folder that it can read.

keras-hub (an extra, Apache-2.0) is imported here alone, and only where its weights are asked for:
the networks themselves are built without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ajl_tf.errors import UserError, listed
from ajl_tf.models.record import Arrays

if TYPE_CHECKING:
    import keras

CONFIG = "config.json"  # in every folder that keras-hub reads


def fetch(preset: str | Path) -> keras.Model:
    """Lets keras-hub build a network with its weights, at the size that they were trained at.

    Args:
        preset: A name that keras-hub knows, or a folder with a `config.json`: a preset as keras-hub
            stores it, or a model in the format of Hugging Face's transformers.

    Raises:
        UserError: keras-hub is not installed, or the weights cannot be had.
    """
    keras_hub = _keras_hub()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its Swin gives pages of them to Keras 3.15, all idle
            return keras_hub.models.Backbone.from_preset(str(preset))
    except Exception as error:  # of kagglehub, requests, huggingface_hub, safetensors, or its own
        raise UserError(
            f"keras-hub could not read {preset}. It fetches from Kaggle (kaggle.com/models/keras). "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def is_installed() -> bool:
    """Whether keras-hub can be imported."""
    return importlib.util.find_spec("keras_hub") is not None


def _keras_hub() -> ModuleType:
    if not is_installed():
        raise UserError(
            "these weights come through the package keras-hub, which is not installed. "
            'Install it with: pip install "ajl_tf[hub]" (or: pip install keras-hub).'
        )
    return importlib.import_module("keras_hub")


def load_arrays(model: keras.Model, arrays: Arrays) -> None:
    """Puts arrays into the layers of a network; positions of another size are resized.

    Args:
        model: Gets the weights.
        arrays: Layer -> its arrays, for every layer of `model` that has weights.

    Raises:
        UserError: They are those of another network; all differences are listed.
    """
    problems: list[str] = []
    for layer in model.layers:
        found: Sequence[np.ndarray] = arrays.get(layer.name, ())
        if len(found) != len(layer.weights):
            count = len(layer.weights)
            problems.append(f"{layer.name}: expected {count} arrays, received {len(found)}")
            continue
        for variable, array in zip(layer.weights, found, strict=True):
            expected = tuple(variable.shape)
            if variable.path.endswith("position_embedding"):
                array = resized_positions(array, expected[0])
            if array.shape == expected:
                variable.assign(array)
            else:
                problems.append(f"{layer.name}: expected {expected}, received {array.shape}")
    unused = sorted(arrays.keys() - {layer.name for layer in model.layers})
    problems += [f"{name}: this network has no such layer" for name in unused]
    if problems:
        raise UserError(f"the weights do not fit {model.name}:\n{listed(problems)}")


def resized_positions(positions: np.ndarray, tokens: int) -> np.ndarray:
    """Positions learned on one grid of patches, interpolated (bicubic) for another.

    Args:
        positions: (1 + g·g, C), the class token's first.
        tokens: 1 + h·h, for a grid of h by h patches.

    Returns:
        (1 + h·h, C).
    """
    import keras

    if len(positions) == tokens:
        return positions
    before, after = (round((count - 1) ** 0.5) for count in (len(positions), tokens))
    grid = positions[1:].reshape(before, before, -1).astype(np.float32)
    grid = keras.ops.image.resize(grid, (after, after), interpolation="bicubic")
    patches = keras.ops.convert_to_numpy(grid).reshape(after * after, -1)
    return np.concatenate([positions[:1], patches])
