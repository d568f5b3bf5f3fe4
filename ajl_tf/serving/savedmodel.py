"""A SavedModel that answers on its own: decoding, resizing, members and class names inside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ajl_tf.dataset.images import Fit, decode, fit, to_input
from ajl_tf.errors import UserError


@dataclass(frozen=True)
class Member:
    """One network of an ensemble: a classifier to logits, and its input size."""

    model: keras.Model
    input_size: int


class Server(tf.Module):
    """What is saved; `serving_default`, `serve_bytes` and `preprocess` are its functions."""

    def __init__(
        self, members: Sequence[Member], class_names: Sequence[str], canvas: int, mode: Fit
    ):
        """Traces nothing yet.

        Args:
            members: Their probabilities are averaged.
            class_names: In the order of the logits.
            canvas: Side of the canvas that the members share, in pixels.
            mode: How a photo is fitted to it.
        """
        super().__init__(name="ajl_tf")
        self._members = [(member.model, member.input_size) for member in members]
        # The networks themselves are not tracked: their variables are, and the traced functions.
        self._variables = [v.value for member in members for v in member.model.variables]
        # A variable, because a constant attribute is not saved; texts have no GPU kernels.
        with tf.device("CPU"):
            self.class_names = tf.Variable(list(class_names), trainable=False)
        self._canvas, self._mode = canvas, mode

    @tf.function(
        input_signature=[tf.TensorSpec((), tf.string, "bytes")], autograph=False, jit_compile=False
    )
    def preprocess(self, data: tf.Tensor) -> tf.Tensor:
        """One file's bytes -> uint8 canvas; map it over files, then batch, then serve."""
        return fit(decode(data), self._canvas, self._mode)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")], autograph=False
    )
    def serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8 RGB images `(N, H, W, 3)`, any H and W -> probabilities and predicted labels."""
        return self._answer(fit(images, self._canvas, self._mode))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")], autograph=False)
    def serve_bytes(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded JPEG or PNG files `(N,)` -> probabilities and predicted labels."""
        spec = tf.TensorSpec((self._canvas, self._canvas, 3), tf.uint8)
        return self._answer(tf.map_fn(self.preprocess, data, fn_output_signature=spec))

    def _answer(self, canvases: tf.Tensor) -> dict[str, tf.Tensor]:
        each = [
            tf.nn.softmax(model(to_input(canvases, size), training=False))
            for model, size in self._members
        ]
        probabilities = tf.add_n(each) / len(each)  # (N, C)
        predicted = tf.gather(self.class_names, tf.argmax(probabilities, axis=1))
        return {"probabilities": probabilities, "predicted": predicted}


def next_version(folder: Path) -> int:
    """1 more than the highest version under `folder`; a model's server takes the highest."""
    if not folder.is_dir():
        return 1
    return 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)


def save(server: Server, folder: Path, documents: dict[str, str]) -> Path:
    """Writes `<folder>/<next version>/`, which appears whole or not at all.

    Args:
        server: What to save.
        folder: `saved_models/<name>`.
        documents: Name -> text of files that go beside it, a model card among them.

    Returns:
        The version's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    try:
        signatures: dict[str, Any] = {
            "serving_default": server.serving_default.get_concrete_function(),
            "serve_bytes": server.serve_bytes.get_concrete_function(),
        }
        tf.saved_model.save(server, str(temporary), signatures)
        for name, text in documents.items():
            (temporary / name).write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
        return _take_version(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(folder: Path) -> Any:
    """Loads a SavedModel of this package.

    Raises:
        UserError: There is none, or it is another kind of model.
    """
    if not (folder / "saved_model.pb").is_file():
        versions = (
            sorted(p.parent for p in folder.glob("*/saved_model.pb")) if folder.is_dir() else []
        )
        hint = f" Its versions are: {', '.join(map(str, versions))}." if versions else ""
        raise UserError(f"{folder} is no SavedModel: it has no saved_model.pb.{hint}")
    try:
        model = tf.saved_model.load(str(folder))
    except (tf.errors.OpError, OSError, ValueError, LookupError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder} cannot be loaded, it may be damaged. Copy or export it again. ({reason})"
        ) from None
    missing = [name for name in ("preprocess", "class_names") if not hasattr(model, name)]
    missing += [name for name in ("serving_default",) if name not in model.signatures]
    if missing:
        raise UserError(
            f"{folder} is a SavedModel of another kind: it lacks {', '.join(missing)}. "
            "Make one with python -m ajl_tf.export RUN."
        )
    return model


def class_names(model: Any) -> list[str]:
    """The labels of a loaded SavedModel, in the order of its probabilities."""
    return [name.decode() for name in model.class_names.numpy()]


def _take_version(temporary: Path, folder: Path) -> Path:
    # Renaming onto a folder with files fails, so that two exports at once get two versions.
    while True:
        target = folder / str(next_version(folder))
        try:
            return temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
