"""Stochastic depth on sums that can be told by hand, and on a backbone of the zoo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from ajl_tf.errors import UserError
from ajl_tf.models.classifier import Classifier, build_classifier
from ajl_tf.models.stochastic_depth import with_stochastic_depth
from ajl_tf.models.zoo import BACKBONES

RATE = 0.5


def sums() -> keras.Model:
    """x, plus 1 and plus 100 on branches: one the first term of its sum, one the second."""
    x = first = keras.Input((2, 2, 1))
    y = keras.layers.Rescaling(0.0, offset=1.0)(x)
    x = keras.layers.Add(name="one")([y, x])
    y = keras.layers.Rescaling(0.0, offset=100.0)(keras.layers.ReLU()(x))
    x = keras.layers.Add(name="two")([x, y])
    other = keras.layers.Rescaling(0.0, offset=5.0)(first)
    x = keras.layers.Add(name="beside")([keras.layers.ReLU()(x), other])  # no residual branch
    return keras.Model(first, x)


def test_branches_are_left_out_as_often_as_their_depth_says() -> None:
    keras.utils.set_random_seed(0)
    model = with_stochastic_depth(sums(), RATE)
    photos = np.zeros((4000, 2, 2, 1), np.float32)
    np.testing.assert_array_equal(model(photos), 106.0)
    trained = keras.ops.convert_to_numpy(model(photos, training=True)) - 5
    assert np.ptp(trained, axis=(1, 2)).max() == 0  # a branch is there for all of a photo, or not
    values, counts = np.unique(trained[:, 0, 0, 0], return_counts=True)
    # Kept in 3 of 4 and in 2 of 4, and enlarged by the inverse.
    np.testing.assert_allclose(values, [0, 4 / 3, 200, 200 + 4 / 3], rtol=1e-5)
    np.testing.assert_allclose(counts / 4000, [1 / 8, 3 / 8, 1 / 8, 3 / 8], atol=0.03)


def lite(rate: float) -> Classifier:
    keras.utils.set_random_seed(1)
    return build_classifier("efficientnet_lite0", "none", 32, 3, 0.2, stochastic_depth=rate)


def test_the_network_answers_and_is_kept_as_without(tmp_path: Any) -> None:
    plain, dropping = lite(0.0), lite(RATE)
    assert [w.path for w in plain.model.weights] == [w.path for w in dropping.model.weights]
    rng = np.random.default_rng(0)
    dropping.model.set_weights(
        [w + rng.uniform(0, 0.1, w.shape) for w in plain.model.get_weights()]
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    dropping.model.save_weights(tmp_path / "a/dropping.weights.h5")
    plain.model.load_weights(tmp_path / "a/dropping.weights.h5")
    photos = rng.uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(plain.model(photos), dropping.model(photos))
    dropping.model.save(tmp_path / "b/model.keras")
    loaded = keras.saving.load_model(tmp_path / "b/model.keras", compile=False)
    np.testing.assert_allclose(loaded(photos), plain.model(photos), rtol=1e-5)


def test_without_branches_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(x: Any) -> Any:
        return keras.layers.Conv2D(4, 3)(x)

    record = replace(BACKBONES["mobilenet_v2"], name="chain", build=build)
    monkeypatch.setitem(BACKBONES, "chain", record)
    with pytest.raises(UserError, match=r"model\.stochastic_depth cannot be had with"):
        build_classifier("chain", "none", 32, 3, 0.0, stochastic_depth=0.1)


def test_a_backbone_with_its_own_is_refused() -> None:
    once = with_stochastic_depth(sums(), RATE)
    with pytest.raises(UserError, match=r"of its own \(2 layers\)"):
        with_stochastic_depth(once, RATE)
