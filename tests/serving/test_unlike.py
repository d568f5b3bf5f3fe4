"""How unlike a photo is: false alarms as promised, strange things found, tone bands alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf.serving.alarms import fit_unlike
from ajl_tf.serving.unlike import FALSE_ALARMS, Known, know

DIMENSIONS = 60


def features(seed: int, n: int, tone: int = 1) -> np.ndarray:
    """Pooled features of known photos: ten directions, another ten for dark skin, and noise."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(99).normal(size=(20, DIMENSIONS))
    own = axes[10:] if tone > 4 else axes[:10]
    return np.abs(rng.normal(size=(n, 10)) @ own + 0.3 * rng.normal(size=(n, DIMENSIONS)) + 2)


@pytest.fixture(scope="module")
def known() -> Known:
    learned = know(features(0, 200), np.ones(200), np.arange(200))
    assert learned is not None
    return learned[0]


def test_known_photos_raise_as_many_alarms_as_promised_and_strange_ones_do() -> None:
    n = 1000
    learned = know(features(0, n), np.ones(n), np.arange(n))
    assert learned is not None
    known, own = learned
    assert np.mean(own > 1 - FALSE_ALARMS) == pytest.approx(FALSE_ALARMS, abs=2 / n)
    fresh = known.unlike(features(1, 4000))
    assert np.mean(fresh > 1 - FALSE_ALARMS) == pytest.approx(FALSE_ALARMS, abs=0.015)
    strange = np.abs(np.random.default_rng(2).normal(size=(50, DIMENSIONS))) * 4
    assert known.unlike(strange).min() > 1 - FALSE_ALARMS
    assert known.unlike(np.full((1, DIMENSIONS), 0.0)) == 1


def test_a_rare_tone_band_weighs_as_much_as_a_common_one() -> None:
    photos = np.concatenate([features(0, 950), features(1, 50, tone=6)])
    tones = np.repeat([1, 6], [950, 50])

    def alarms(told: np.ndarray) -> float:
        learned = know(photos, told, np.arange(1000))
        assert learned is not None
        return float((learned[0].unlike(features(2, 2000, tone=6)) > 1 - FALSE_ALARMS).mean())

    assert alarms(np.ones(1000)) > 3 * alarms(tones)


def test_copies_do_not_vouch_for_each_other() -> None:
    photos, strange = features(0, 300), np.abs(np.random.default_rng(2).normal(size=(1, 60))) * 4
    together = np.concatenate([photos, strange.repeat(20, axis=0)])
    apart = know(together, np.ones(320), np.arange(320))
    cluster = np.minimum(np.arange(320), 300)
    joined = know(together, np.ones(320), cluster)
    assert apart is not None
    assert joined is not None
    assert joined[1][300:].min() > 0.9
    assert apart[1][300:].max() < joined[1][300:].min()


def test_few_photos_teach_nothing() -> None:
    assert know(features(0, 49), np.ones(49), np.arange(49)) is None


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), scale=st.floats(0.1, 100))
@settings(max_examples=20)
def test_the_graph_says_what_numpy_says_whatever_the_batch_and_scale(
    known: Known, seed: int, n: int, scale: float
) -> None:
    graph = known.in_graph(lambda variable: variable)
    asked = np.concatenate([features(seed, n), 8 * np.eye(DIMENSIONS)[:n]])
    expected = known.unlike(asked)
    assert 0 <= expected.min() <= expected.max() <= 1
    got = graph(tf.constant(scale * asked, tf.float32)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_each_run_counts_alike_however_many_networks_it_has() -> None:
    """As the threshold is fitted: of each run the score by the network that held a photo out."""
    known = Known(np.zeros(1), np.zeros((1, 1)), np.zeros(2))
    rng = np.random.default_rng(0)
    fits = np.ones(400, bool)
    held_out = SimpleNamespace(fits=fits, words="out-of-fold rows", tones=np.ones(400, int))
    sources = [
        SimpleNamespace(
            known=(known,) * networks,
            scores=rng.uniform(size=400),
            held_out=held_out,
            is_refit=False,
        )
        for networks in (3, 5)
    ]
    unlike = fit_unlike(cast(Any, sources))
    assert unlike is not None
    assert unlike.shares == pytest.approx([1 / 6] * 3 + [1 / 10] * 5)
    mean = (sources[0].scores + sources[1].scores) / 2
    assert unlike.threshold == pytest.approx(np.quantile(mean, 1 - FALSE_ALARMS))
