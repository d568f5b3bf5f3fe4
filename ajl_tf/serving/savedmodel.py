"""A SavedModel that answers on its own: decoding, resizing, members and class names inside."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from ajl_tf.dataset.images import Fit, fit, read
from ajl_tf.errors import UserError
from ajl_tf.serving.alarms import Unlike
from ajl_tf.serving.draft import draft
from ajl_tf.serving.network import Member

__all__ = ["Member", "Server", "class_names", "load", "save"]

CARD = "model_card.md"


class Server(tf.Module):
    """What is saved; `serving_default`, `serve_bytes` and `preprocess` are its functions."""

    def __init__(
        self,
        members: Sequence[Member],
        class_names: Sequence[str],
        canvas: int,
        mode: Fit,
        *,
        temperature: float = 1.0,
        unlike: Unlike | None = None,
    ):
        """Traces nothing yet.

        Args:
            members: Their logits are averaged by their weights.
            class_names: In the order of the logits.
            canvas: Side of the canvas that the members share, in pixels.
            mode: How a photo is fitted to it.
            temperature: What the average is divided by, see `blend.answer`.
            unlike: What each member knows; None: the answers have no `unlike`.
        """
        super().__init__(name="ajl_tf")
        # The networks themselves are not tracked: their variables are, and the traced functions.
        self._outputs = [member.outputs() for member in members]
        self._variables = [v.value for member in members for v in member.network.variables]
        total = sum(member.weight for member in members)
        self._weights = [member.weight / total for member in members]
        # A variable, because a constant attribute is not saved; texts have no GPU kernels.
        with tf.device("CPU"):
            self.class_names = tf.Variable(list(class_names), trainable=False)
        self._canvas, self._mode, self._temperature = canvas, mode, temperature
        self._unlike = []
        if unlike is not None:
            self.unlike_threshold = tf.Variable(unlike.threshold, trainable=False)
            self._unlike = [known.in_graph(self._track) for known in unlike.known]
            self._shares = unlike.shares

    def _track(self, variable: tf.Variable) -> tf.Variable:
        self._variables.append(variable)
        return variable

    @tf.function(
        input_signature=[tf.TensorSpec((), tf.string, "bytes")], autograph=False, jit_compile=False
    )
    def preprocess(self, data: tf.Tensor) -> tf.Tensor:
        """One file's bytes -> uint8 canvas; map it over files, then batch, then serve."""
        return read(data, self._canvas, self._mode)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")], autograph=False
    )
    def serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8 RGB images `(N, H, W, 3)`, any H and W -> what `_answer` says."""
        return self._answer(fit(images, self._canvas, self._mode))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")], autograph=False)
    def serve_bytes(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded JPEG or PNG files `(N,)` -> what `_answer` says."""
        return self._answer(self._canvases(data))

    def signatures(self) -> dict[str, Any]:
        """What a model's server offers: name -> traced function."""
        return {
            "serving_default": self.serving_default.get_concrete_function(),
            "serve_bytes": self.serve_bytes.get_concrete_function(),
        }

    def _canvases(self, data: tf.Tensor) -> tf.Tensor:
        spec = tf.TensorSpec((self._canvas, self._canvas, 3), tf.uint8)
        return tf.map_fn(self.preprocess, data, fn_output_signature=spec)

    def _answer(
        self, canvases: tf.Tensor, codes: Sequence[tf.Tensor | None] | None = None
    ) -> dict[str, tf.Tensor]:
        """Probabilities `(N, C)`, predicted labels `(N,)`; perhaps `unlike` `(N,)`, 0 to 1.

        Args:
            canvases: uint8 `(N, canvas, canvas, 3)`.
            codes: Of each member, see `Member.outputs`; None: nothing is known of any.
        """
        told = codes or [None] * len(self._outputs)
        seen = [outputs(canvases, own) for outputs, own in zip(self._outputs, told, strict=True)]
        each = zip(seen, self._weights, strict=True)
        mean = tf.add_n([weight * logits for (_, logits), weight in each])
        probabilities = tf.nn.softmax(mean / self._temperature)  # (N, C)
        predicted = tf.gather(self.class_names, tf.argmax(probabilities, axis=1))
        answer = {"probabilities": probabilities, "predicted": predicted}
        if self._unlike:
            known = zip(self._unlike, self._shares, seen, strict=True)
            scores = [share * unlike(features) for unlike, share, (features, _) in known]
            answer["unlike"] = tf.add_n(scores)
        return answer


def next_version(folder: Path) -> int:
    """1 more than the highest version under `folder`; a model's server takes the highest."""
    if not folder.is_dir():
        return 1
    return 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)


def save(server: Server, folder: Path, documents: dict[str, str], card: str = "") -> Path:
    """Writes `<folder>/<next version>/`, which appears whole or not at all.

    Args:
        server: What to save.
        folder: `saved_models/<name>`.
        documents: Name -> text of files that go beside it.
        card: The model card; the SHA-256 of every other file is added to it.

    Returns:
        The version's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with draft(folder) as temporary:
        tf.saved_model.save(server, str(temporary), server.signatures())
        for name, text in documents.items():
            (temporary / name).write_text(text, encoding="utf-8")
        if card:
            text = f"{card.rstrip()}\n\n{_checksums(temporary)}"
            (temporary / CARD).write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
        return _take_version(temporary, folder)


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


def digest(folder: Path) -> str:
    """SHA-256 of what a SavedModel answers with; its card may change."""
    found = hashlib.sha256()
    for path in [folder / "saved_model.pb", *sorted((folder / "variables").iterdir())]:
        found.update(_sha256(path).encode())
    return found.hexdigest()


def _checksums(folder: Path) -> str:
    """A section of a model card that `sha256sum` can check."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}" for path in files]
    return (
        "## Files\n\nTo check that these are the files that were exported, in this folder:\n"
        f"`grep -E '^[0-9a-f]{{64}}  ' {CARD} | sha256sum --check`\n\n"
        "```\n" + "\n".join(lines) + "\n```\n"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_version(temporary: Path, folder: Path) -> Path:
    # Renaming onto a folder with files fails, so that two exports at once get two versions.
    while True:
        target = folder / str(next_version(folder))
        try:
            return temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
