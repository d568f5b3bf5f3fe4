"""The classifier: a plain functional model from an image in [0, 255] to logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ajl_tf.dataset.metadata import Column
from ajl_tf.errors import UserError
from ajl_tf.models.backbones import build_backbone

if TYPE_CHECKING:
    import keras

POOLED = "pooled_features"


@dataclass(frozen=True)
class Classifier:
    """One network seen in three ways that share their weights.

    Attributes:
        model: float32 images `(N, S, S, 3)` in [0, 255] -> float32 logits `(N, C)`; with metadata,
            images and codes `(N, M)`.
        features: The same images -> pooled features `(N, D)`.
        head: Pooled features `(N, D)` -> logits `(N, C)`; with metadata, features and encoding.
        encoding: Codes of metadata `(N, M)` -> encoding `(N, W)`; None without metadata.
    """

    model: keras.Model
    features: keras.Model
    head: keras.Model
    encoding: keras.layers.Layer | None = None

    @property
    def fused(self) -> keras.Model:
        """As `model`, but from images and, with metadata, their encoding."""
        import keras

        if self.encoding is None:
            return self.model
        images, encoded = self.features.input, keras.Input(self.head.inputs[1].shape[1:])
        return keras.Model([images, encoded], self.head([self.features.output, encoded]))


def build_classifier(
    backbone: str,
    weights: str,
    input_size: int,
    classes: int,
    dropout: float,
    stochastic_depth: float = 0.0,
    pooling: Literal["average", "attention"] = "average",
    metadata: Sequence[Column] = (),
) -> Classifier:
    """Builds backbone, pooling over all places, dropout and one dense layer.

    The logits are float32 under every precision policy.

    Args:
        backbone: Name of a record in `backbones.BACKBONES`.
        weights: `"imagenet"`, `"none"` or the path of a local file.
        input_size: S, side of the input in pixels.
        classes: C, the number of conditions.
        dropout: Share of the pooled features dropped in training.
        stochastic_depth: How often the last residual branch is left out in training.
        pooling: The plain average over all places, or one that learns where to look.
        metadata: Columns that are taken beside the photo, see `models.metadata`.

    Raises:
        UserError: The weights cannot be had or do not fit, or the backbone has no branches that
            could be left out.
    """
    import keras

    from ajl_tf.models.layers import AttentionPooling
    from ajl_tf.models.metadata import ENCODING, MetadataEncoding, beside
    from ajl_tf.models.stochastic_depth import with_stochastic_depth

    base = with_stochastic_depth(build_backbone(backbone, input_size, weights), stochastic_depth)
    average = keras.layers.GlobalAveragePooling2D
    pool = AttentionPooling if pooling == "attention" else average
    pooled = pool(name=POOLED, dtype="float32")(base.output)
    features = keras.Model(base.input, pooled, name="features")
    x = pooled_input = keras.Input(pooled.shape[1:], name=POOLED)
    inputs: Any = pooled_input
    if metadata:
        encoding = MetadataEncoding(metadata, name=ENCODING, dtype="float32")
        codes = keras.Input((len(metadata),), name="metadata", dtype="float32")
        encoded = encoding(codes)
        inputs = [pooled_input, keras.Input(encoded.shape[1:], name="encoded", dtype="float32")]
        x = beside(*inputs)
    x = keras.layers.Dropout(dropout, name="dropout", dtype="float32")(x)
    logits = keras.layers.Dense(classes, name="logits", dtype="float32")(x)
    head, name = keras.Model(inputs, logits, name="head"), f"{backbone}_classifier"
    if not metadata:
        return Classifier(keras.Model(base.input, head(pooled), name=name), features, head)
    model = keras.Model([base.input, codes], head([pooled, encoded]), name=name)
    return Classifier(model, features, head, encoding)


def at_size(model: keras.Model, size: int) -> keras.Model:
    """The same network, with the same weights, for images of another size.

    Args:
        model: Functional, from images `(N, S, S, 3)`; perhaps from something beside them.
        size: Side of the other images in pixels.

    Returns:
        A view that shares all weights with `model`, to be called, not saved.

    Raises:
        UserError: The network works at its own size alone, as one with learned positions does.
    """
    import keras

    own = model.inputs[0].shape[1]
    if size == own:
        return model
    inputs = [keras.Input((size, size, 3)), *(keras.Input(x.shape[1:]) for x in model.inputs[1:])]
    try:
        return keras.models.clone_model(
            model,
            input_tensors=inputs if len(inputs) > 1 else inputs[0],
            clone_function=lambda layer: layer,
        )
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{model.name} cannot see images of {size} pixels a side while it is built for {own} "
            f"({str(error).splitlines()[0]}). Leave out phases.input_size."
        ) from None


def load_classifier(path: Path) -> keras.Model:
    """Loads `Classifier.model` from the `.keras` file that its `save` wrote.

    Raises:
        OSError, ValueError, LookupError: The file is missing or damaged, or names code that is no
            layer of Keras' or ours, which is not run; so do the errors of zipfile and zlib.
    """
    import keras

    from ajl_tf.models.layers import OWN_LAYERS

    try:
        return keras.saving.load_model(path, custom_objects=OWN_LAYERS, compile=False)
    except TypeError as error:  # the whole configuration stands in its message
        raise ValueError(f"{str(error).splitlines()[0][:300]} …") from None


def weighted_layers(classifier: Classifier) -> list[keras.layers.Layer]:
    """The backbone's layers with weights, from the photo to the features, but for the pooling."""
    return [layer for layer in classifier.features.layers if layer.weights and layer.name != POOLED]


def unfreeze(classifier: Classifier, depth: float | str) -> int:
    """Makes pooling and head trainable, and the backbone from a depth on.

    BatchNormalization layers stay frozen whatever the depth, so that their statistics hold still:
    `trainable = False` on the layer itself is the only thing that does this within `fit`. Takes
    effect at the next `compile`.

    Args:
        classifier: From `build_classifier`.
        depth: Share of the backbone's layers with weights, counted from the output (0: none,
            1: all), or the name of the first layer to train.

    Returns:
        The number of backbone layers that train.

    Raises:
        UserError: There is no layer of that name, or from that depth on none that trains.
    """
    import keras

    layers = weighted_layers(classifier)
    if isinstance(depth, str):
        names = [layer.name for layer in layers]
        if depth not in names:
            raise UserError(
                f"phases.unfreeze: the backbone has no layer {depth!r} with weights. "
                f"Its layers are: {', '.join(names)}"
            )
        start = names.index(depth)
    else:
        start = len(layers) - round(depth * len(layers))
    for number, layer in enumerate(layers):
        still = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= start and not still
    classifier.features.get_layer(POOLED).trainable = True
    classifier.head.trainable = True
    trained: int = sum(layer.trainable for layer in layers)
    if depth and not trained:
        raise UserError(
            f"phases.unfreeze: from {depth!r} on, the backbone has no layer that trains "
            "(BatchNormalization stays as it is). Unfreeze more of it, or write 0. "
            f"Its layers are: {', '.join(layer.name for layer in layers)}"
        )
    return trained
