"""Phases that see smaller photos than the model, against a network built at that size."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from ajl_tf.config import Augment, Balance, Loss, Phase, Training
from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, at_size, build_classifier
from ajl_tf.models.swin import swin
from ajl_tf.models.vision_transformer import vision_transformer
from ajl_tf.models.zoo import BACKBONES
from ajl_tf.training.fitting import Recipe, Rows, fit

CLASSES, CANVAS, LARGE, SMALL = 3, 80, 64, 48
SWIN = "swin_tiny_patch4_window7_224"


@pytest.fixture(scope="module")
def rows() -> Rows:
    rng = np.random.default_rng(0)
    labels = np.arange(8) % CLASSES
    return Rows(
        rng.integers(0, 256, (8, CANVAS, CANVAS, 3), np.uint8),
        np.arange(8, dtype=np.uint64),
        labels,
        np.eye(CLASSES, dtype=np.float32)[labels],
        np.ones(8, np.int64),
        ("acne", "eczema", "scabies"),
        np.arange(8),
        np.empty(0, np.int64),
    )


def network(backbone: str, size: int) -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier(backbone, "none", size, CLASSES, dropout=0.0)


def train(classifier: Classifier, rows: Rows, size: int, folder: Path, **phase: object) -> None:
    folder.mkdir()
    how = Phase.model_validate({"name": "all", "epochs": 2, "unfreeze": 1.0, **phase})
    augment = Augment(horizontal_flip=True, rotation=20.0, zoom=(0.5, 1.0), brightness=0.2)
    recipe = Recipe(
        1, size, (how,), Loss(), Balance(), augment, Training(batch_size=4, keep="last")
    )
    fit(classifier, rows, recipe, folder, announce=False)


@pytest.mark.usefixtures("thin_efficientnet")
def test_a_view_at_another_size_answers_as_a_network_built_at_that_size() -> None:
    large, small = network("efficientnet_lite0", LARGE), network("efficientnet_lite0", SMALL)
    small.model.set_weights(large.model.get_weights())
    photos = np.random.default_rng(1).uniform(0, 255, (2, SMALL, SMALL, 3)).astype(np.float32)
    ours = at_size(large.model, SMALL)(photos, training=False)
    np.testing.assert_allclose(ours, small.model(photos, training=False), atol=1e-5)
    assert at_size(large.model, LARGE) is large.model


@pytest.mark.usefixtures("tiny_backbone")
@pytest.mark.parametrize("backbone", ["tiny", SWIN])
def test_a_phase_of_a_smaller_size_trains_as_a_network_built_at_that_size(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str
) -> None:
    # Of Swin's three maps, 16, 8 and 4 pixels a side, none is of a size with those of SMALL.
    build = partial(swin, width=4, depths=(2, 2, 1), heads=(1, 2, 2), window=3)
    monkeypatch.setitem(BACKBONES, SWIN, dataclasses.replace(BACKBONES[SWIN], build=build))
    large, small, other = (network(backbone, size) for size in (LARGE, SMALL, LARGE))
    train(large, rows, LARGE, tmp_path / "large", input_size=SMALL)
    train(small, rows, SMALL, tmp_path / "small")
    train(other, rows, LARGE, tmp_path / "other")
    for ours, theirs in zip(large.model.get_weights(), small.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(large.head.get_weights()[0], other.head.get_weights()[0])
    assert large.model.input.shape[1] == LARGE


@pytest.mark.usefixtures("tiny_backbone")
def test_cached_features_are_those_of_the_phase(rows: Rows, tmp_path: Path) -> None:
    large, small = network("tiny", LARGE), network("tiny", SMALL)
    frozen = {"unfreeze": 0.0, "augment": False}
    train(large, rows, LARGE, tmp_path / "large", input_size=SMALL, **frozen)
    train(small, rows, SMALL, tmp_path / "small", **frozen)
    for ours, theirs in zip(large.model.get_weights(), small.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_network_of_one_size_says_so() -> None:
    photos = keras.Input((64, 64, 3))
    features = vision_transformer(photos, patch=16, depth=1, width=16, heads=2)
    with pytest.raises(UserError, match=r"vit cannot see images of 48 .* out phases.input_size"):
        at_size(keras.Model(photos, features, name="vit"), 48)
