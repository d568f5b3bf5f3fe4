"""The three methods, against networks whose attributions follow by hand."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from ajl_tf.errors import UserError
from ajl_tf.explanation.baselines import blurred
from ajl_tf.explanation.methods import METHODS, grad_cam, occlusion, shap
from ajl_tf.explanation.network import Network

LABEL = np.array([0])
HALF = 16


def quadrants(attribution: np.ndarray) -> np.ndarray:
    """Sums over the four quadrants (2, 2) of a map (32, 32)."""
    return np.asarray(attribution.reshape(2, HALF, 2, HALF).sum(axis=(1, 3)))


@pytest.fixture(scope="module")
def owen(corner: Network, photo: np.ndarray) -> np.ndarray:
    """The map of shap, made once: its library compiles itself for seconds."""
    found: np.ndarray = shap(corner, photo, LABEL)[0]
    return found


def test_grad_cam_of_a_linear_network_is_its_weighted_patches(
    weighted: Callable[[np.ndarray], Network], photo: np.ndarray
) -> None:
    weights = np.random.default_rng(1).normal(0, 1e-4, (32, 32, 1))
    network = weighted(weights)
    patches = (photo[0] * weights).sum(axis=-1).reshape(4, 8, 4, 8).sum(axis=(1, 3))
    for label, sign in ((0, 1), (1, -1)):
        evidence = network.evidence(photo, np.array([label]))[0]
        np.testing.assert_allclose(evidence, sign * patches / 2, rtol=1e-3, atol=1e-5)
        attribution = grad_cam(network, photo, np.array([label]))[0]
        assert attribution.shape == (32, 32)
        whole = Image.fromarray(evidence).resize((32, 32), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(attribution, np.maximum(np.asarray(whole), 0), atol=1e-4)


def test_the_places_of_a_real_network_add_up_to_its_logit(tiny_classifiers: list[Any]) -> None:
    classifier = tiny_classifiers[0]
    network = Network([classifier.model], 32)
    photos = np.random.default_rng(0).uniform(0, 255, (40, 32, 32, 3)).astype(np.float32)
    labels = np.arange(40) % 3
    logits = classifier.model(photos).numpy()[np.arange(40), labels]
    bias = classifier.head.weights[1].numpy()[labels]
    evidence = network.evidence(photos, labels)
    np.testing.assert_allclose(evidence.sum(axis=(1, 2)), logits - bias, rtol=1e-3, atol=1e-3)


def test_of_a_transformer_the_class_token_points_nowhere() -> None:
    from ajl_tf.models.vision_transformer import vision_transformer

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    features = vision_transformer(keras.layers.Rescaling(1 / 255)(image), 8, 1, 8, 2)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled_features")(features)
    entry = keras.Input(pooled.shape[1:])
    head = keras.Model(entry, keras.layers.Dense(3)(entry), name="head")
    model = keras.Model(image, head(pooled))
    photos = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    evidence = Network([model], 32).evidence(photos, np.array([0, 2]))
    tokens = keras.Model(image, features)(photos).numpy()[..., :8]  # the patches' own channels
    kernel = head.weights[0].numpy()[:8, [0, 2]]
    expected = np.einsum("nhwc,cn->nhw", tokens, kernel) / 16
    np.testing.assert_allclose(evidence, expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(evidence[0]) > 0


def test_several_networks_are_averaged(tiny_classifiers: list[Any]) -> None:
    model = tiny_classifiers[0].model
    other = keras.models.clone_model(model)
    *weights, kernel, bias = model.get_weights()
    other.set_weights([*weights, kernel[:, ::-1], bias[::-1]])
    photos = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    labels = np.array([0, 1, 2])
    alone = [Network([each], 32) for each in (model, other)]
    both = Network([model, other], 32)
    first, second = (network.evidence(photos, labels) for network in alone)
    assert np.abs(first - second).max() > 0.05
    np.testing.assert_allclose(
        both.evidence(photos, labels), (first + second) / 2, rtol=1e-4, atol=1e-5
    )
    first, second = (network.probabilities(photos) for network in alone)
    assert np.abs(first - second).max() > 0.05
    pooled = np.sqrt(first * second)  # of the mean of the logits
    np.testing.assert_allclose(
        both.probabilities(photos), pooled / pooled.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("method", ["grad_cam", "occlusion"])
def test_a_network_that_looks_at_one_quadrant_is_found_out(
    corner: Network, photo: np.ndarray, method: str
) -> None:
    attribution = METHODS[method](corner, photo, LABEL)[0]
    reach = {"grad_cam": HALF + 4, "occlusion": HALF + 7}[method]  # half a patch; a window
    assert np.abs(attribution[:HALF, :HALF]).max() > 0
    assert np.abs(attribution[reach:]).max() == pytest.approx(0, abs=1e-6)
    assert np.abs(attribution[:, reach:]).max() == pytest.approx(0, abs=1e-6)


def test_occlusion_is_the_fall_where_windows_are_blurred(
    weighted: Callable[[np.ndarray], Network], photo: np.ndarray
) -> None:
    weights = np.random.default_rng(2).normal(0, 1e-4, (32, 32, 1))
    network = weighted(weights)
    attribution = occlusion(network, photo, LABEL)[0]
    edges = np.linspace(0, 32, 11).round().astype(int)
    falls: dict[tuple[int, int], float] = {}
    hidden = blurred(photo)[0]
    for i in range(9):
        for j in range(9):
            window = photo[0].copy()
            rows, columns = slice(edges[i], edges[i + 2]), slice(edges[j], edges[j + 2])
            window[rows, columns] = hidden[rows, columns]
            logit = (window * weights).sum() / 2  # and as much against
            whole = (photo[0] * weights).sum() / 2
            falls[i, j] = 1 / (1 + np.exp(-2 * whole)) - 1 / (1 + np.exp(-2 * logit))
    for y, x in ((0, 0), (5, 17), (31, 31), (13, 2)):
        over = [
            fall
            for (i, j), fall in falls.items()
            if edges[i] <= y < edges[i + 2] and edges[j] <= x < edges[j + 2]
        ]
        assert 1 <= len(over) <= 4
        assert attribution[y, x] == pytest.approx(np.mean(over), abs=1e-5)


def test_shap_is_complete(corner: Network, photo: np.ndarray, owen: np.ndarray) -> None:
    whole, nothing = corner.probability(np.concatenate([photo, blurred(photo)]), 0)
    assert abs(whole - nothing) > 1e-4
    assert owen.sum() == pytest.approx(whole - nothing, rel=1e-3, abs=1e-6)


def test_shap_of_an_almost_linear_network_is_each_quadrants_part(
    corner: Network, photo: np.ndarray, owen: np.ndarray
) -> None:
    """Near one half the probability is linear in the logits: slope p (1 - p)."""
    changed = (photo - blurred(photo))[0, :HALF, :HALF].sum() * 2e-5
    probability = corner.probability(photo, 0)[0]
    part = changed * probability * (1 - probability)
    np.testing.assert_allclose(quadrants(owen), [[part, 0], [0, 0]], atol=abs(part) * 0.05)


def test_without_the_library_shap_says_how_to_get_it(
    corner: Network, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "shap":
            raise ModuleNotFoundError("No module named 'shap'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r'pip install "ajl_tf\[explain\]"'):
        shap(corner, photo, LABEL)
