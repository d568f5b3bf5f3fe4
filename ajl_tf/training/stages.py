"""What a phase trains on what: the classifier on canvases, or its head on cached features."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from ajl_tf.config import Augment, Phase
from ajl_tf.models.classifier import Classifier, at_size, unfreeze
from ajl_tf.training.predicting import Predictor, feature_predictor, image_predictor
from ajl_tf.training.recipe import Recipe, Rows


@dataclass(frozen=True, eq=False)
class Stage:
    """The classifier on canvases, or its head on cached features.

    Attributes:
        model: What trains: -> logits, or with a tone adversary -> logits and pooled features. Where
            there are metadata, their encoding is its second input.
        source: What it trains on, `(N, …)`.
        augment: What is drawn for each; None for features.
        predictor: -> logits, of rows of `source`.
        adversary: Whether a tone adversary has a backbone to act on.
    """

    model: keras.Model
    source: np.ndarray
    augment: Augment | None
    predictor: Predictor
    adversary: bool


def make_stage(classifier: Classifier, rows: Rows, recipe: Recipe, phase: Phase) -> Stage:
    """Sets what a phase trains of a classifier, and on what."""
    trained = unfreeze(classifier, phase.unfreeze)
    augment = recipe.augment if phase.augment else Augment()
    size = phase.input_size or recipe.input_size
    if not classifier.features.trainable_weights and augment == Augment():
        # Without augmentation, and with nothing to learn up to there, a photo has the same features
        # every epoch. A pooling that learns sees to it that they are not.
        features = _features(classifier, rows, recipe, size)
        predictor = feature_predictor(classifier.head, _encoded(classifier, rows))
        return Stage(classifier.head, features, None, predictor, False)
    model = classifier.fused
    predictor = image_predictor(classifier.model, recipe.input_size, rows.metadata)
    # Frozen features cannot forget anything.
    adversary = bool(trained and recipe.mitigation.tone_adversary)
    if adversary:
        model = keras.Model(model.input, [model.output, classifier.features.output])
    return Stage(at_size(model, size), rows.canvases, augment, predictor, adversary)


def _encoded(classifier: Classifier, rows: Rows) -> np.ndarray | None:
    """What the head takes of all rows' metadata, float32 `(N, W)`."""
    if classifier.encoding is None:
        return None
    encoded: np.ndarray = classifier.encoding(rows.metadata).numpy()
    return encoded


def _features(classifier: Classifier, rows: Rows, recipe: Recipe, size: int) -> np.ndarray:
    """Pooled features of the rows in use, float32 `(N, D)`; zeros in rows that are not.

    Photos train at `size` and validate at the model's own, as in a phase that trains the backbone.
    They stay in memory, 4 · D bytes a photo, and once more while they are computed.
    """
    features = np.zeros((len(rows.canvases), classifier.features.output.shape[1]), np.float32)
    for used, side in ((rows.train, size), (rows.validation, recipe.input_size)):
        if len(used):
            predict = image_predictor(at_size(classifier.features, side), side)
            features[used] = predict(rows.canvases, used, recipe.training.batch_size)
    return features
