"""What the tests of several rooms share: a drawn set, a network small enough to train in a second.

Imports of TensorFlow stay inside the fixtures, so that tests without it start at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

CLASS_NAMES = ("tinea", "acne, mild", 'the "other"')

settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred drawn photos in the competition's layout; read it, do not write to it."""
    from ajl_tf.dataset.phantom import draw_set

    return draw_set(tmp_path_factory.mktemp("drawn") / "set", 100, 48, 0)


@pytest.fixture(scope="module")
def tiny_backbone() -> Iterator[str]:
    """Puts the backbone `tiny` into the zoo for as long as a module's tests run."""
    from ajl_tf.models.zoo import BACKBONES

    with pytest.MonkeyPatch.context() as patch:
        add_tiny_backbone(lambda name, record: patch.setitem(BACKBONES, name, record))
        yield "tiny"


@pytest.fixture(scope="session")
def tiny_classifiers() -> list[Any]:
    """Two networks of the backbone `tiny` to three logits, untrained, but of firm opinions."""
    import keras
    import numpy as np

    from ajl_tf.models.classifier import build_classifier
    from ajl_tf.models.zoo import BACKBONES

    with pytest.MonkeyPatch.context() as patch:
        add_tiny_backbone(lambda name, record: patch.setitem(BACKBONES, name, record))
        made = [build_classifier("tiny", "none", size, 3, 0.0) for size in (32, 40)]
    rng = np.random.default_rng(1)
    for classifier in made:
        for layer in classifier.model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
        kernel, bias = (rng.normal(0, 4, w.shape) for w in classifier.head.weights)
        # So that each class is the most probable of some drawn photos.
        classifier.head.set_weights([kernel, bias + np.array([0.6, 0.0, 2.0])])
    return made


@pytest.fixture(scope="session")
def saved_model(tiny_classifiers: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of them as a SavedModel: canvases of 40 pixels, three classes of awkward names."""
    from ajl_tf.serving.savedmodel import Member, Server, save

    server = Server([Member(tiny_classifiers[0].model, 32)], CLASS_NAMES, 40, "cover")
    return save(server, tmp_path_factory.mktemp("saved") / "tiny", {})


def add_tiny_backbone(add: Any) -> None:
    """Calls `add(name, record)`; a function of its own for the tests' subprocesses."""
    from ajl_tf.models.zoo import BACKBONES

    record = dataclasses.replace(
        BACKBONES["mobilenet_v2"], name="tiny", input_size=32, build=_two_convolutions
    )
    add("tiny", record)


def _two_convolutions(x: Any) -> Any:
    from keras import layers

    for number, filters in enumerate((4, 8), start=1):
        x = layers.Conv2D(filters, 3, strides=3, use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    return x
