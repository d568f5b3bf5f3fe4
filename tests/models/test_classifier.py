"""The classifier: three views of one network, and what of it trains."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, build_classifier, unfreeze

pytestmark = pytest.mark.usefixtures("tiny_backbone")
PHOTOS = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype(np.float32)
# The tiny backbone's layers with weights, from the input on.
LAYERS = ["conv_1", "norm_1", "conv_2", "norm_2"]


@pytest.fixture
def classifier() -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier("tiny", "none", 32, 3, dropout=0.5)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def half_precision(request: pytest.FixtureRequest) -> Iterator[None]:
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy("float32")


def trainable(classifier: Classifier) -> set[str]:
    return {layer.name for layer in classifier.model.layers if layer.trainable and layer.weights}


def test_the_three_views_are_one_network(classifier: Classifier) -> None:
    features = classifier.features(PHOTOS)
    assert features.shape == (5, 8)
    logits = classifier.model(PHOTOS)
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(classifier.head(features), logits, atol=1e-6)
    kernel = classifier.head.get_layer("logits").kernel
    kernel.assign(kernel * 2)
    assert np.abs(classifier.model(PHOTOS) - logits).max() > 1e-3


def test_dropout_is_for_training_alone(classifier: Classifier) -> None:
    np.testing.assert_array_equal(classifier.model(PHOTOS), classifier.model(PHOTOS))
    trained = classifier.model(PHOTOS, training=True)
    assert np.abs(trained - classifier.model(PHOTOS)).max() > 1e-3


@pytest.mark.usefixtures("half_precision")
def test_logits_are_float32_under_half_precision() -> None:
    classifier = build_classifier("tiny", "none", 32, 3, dropout=0.5)
    assert classifier.model.get_layer("conv_1").compute_dtype != "float32"
    assert classifier.model(PHOTOS).dtype == "float32"
    assert classifier.features(PHOTOS).dtype == "float32"
    assert {variable.dtype for variable in classifier.model.trainable_variables} == {"float32"}


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0.0, set()),
        (0.5, {"conv_2"}),
        (1.0, {"conv_1", "conv_2"}),
        ("conv_1", {"conv_1", "conv_2"}),
        ("norm_1", {"conv_2"}),
        ("conv_2", {"conv_2"}),
    ],
)
def test_the_backbone_is_unfrozen_from_a_depth_on(
    classifier: Classifier, depth: float | str, expected: set[str]
) -> None:
    unfreeze(classifier, 1.0)  # whatever was set before
    assert unfreeze(classifier, depth) == len(expected)
    assert trainable(classifier) == {"head", *expected}


@pytest.mark.parametrize("depth", [0.25, "norm_2"])
def test_a_depth_from_which_nothing_would_train_is_refused(
    classifier: Classifier, depth: float | str
) -> None:
    with pytest.raises(UserError, match="no layer that trains") as refused:
        unfreeze(classifier, depth)
    assert repr(depth) in str(refused.value)


def test_an_unknown_layer_is_refused_with_those_there_are(classifier: Classifier) -> None:
    with pytest.raises(UserError, match="no layer 'relu_1' with weights") as refused:
        unfreeze(classifier, "relu_1")
    assert ", ".join(LAYERS) in str(refused.value)
