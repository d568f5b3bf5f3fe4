"""Class weights and sampling probabilities against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.training.balance import class_weights, sampling_weights, strengths

# Three photos of class 0, one of class 1, none of class 2.
LABELS = np.array([0, 0, 1, 0])


def test_inverse_weights_by_hand() -> None:
    # 1/3 and 1; over the rows they average (1/3 + 1/3 + 1/3 + 1) / 4 = 1/2.
    weights = class_weights(LABELS, 3, "inverse", beta=0.0)
    np.testing.assert_allclose(weights, [2 / 3, 2.0, 0.0], rtol=1e-6)


def test_effective_number_weights_by_hand() -> None:
    # At beta 1/2: (1 - 1/8) / (1/2) = 7/4 and 1, so 4/7 and 1, averaging (12/7 + 1) / 4 = 19/28.
    weights = class_weights(LABELS, 3, "effective_number", beta=0.5)
    np.testing.assert_allclose(weights, [16 / 19, 28 / 19, 0.0], rtol=1e-6)


def test_effective_number_goes_from_equal_to_inverse() -> None:
    equal = class_weights(LABELS, 3, "effective_number", beta=0.0)
    np.testing.assert_allclose(equal, [1.0, 1.0, 0.0])
    inverse = class_weights(LABELS, 3, "effective_number", beta=1 - 1e-9)
    np.testing.assert_allclose(inverse, class_weights(LABELS, 3, "inverse", 0.0), rtol=1e-5)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array),
    st.sampled_from(["inverse", "effective_number"]),
    st.floats(0, 0.9999),
)
def test_weights_average_one_over_the_rows_and_favour_the_rare(
    labels: np.ndarray, kind: str, beta: float
) -> None:
    weights = class_weights(labels, 6, kind, beta)
    assert weights is not None
    assert weights.dtype == np.float32
    assert weights[labels].mean() == pytest.approx(1, rel=1e-5)
    counts = np.bincount(labels, minlength=6)
    assert (weights[counts == 0] == 0).all()
    by_count = weights[counts > 0][np.argsort(-counts[counts > 0], kind="stable")]
    assert (np.diff(by_count) >= -1e-6).all()


def test_none_weighs_nothing() -> None:
    assert class_weights(LABELS, 3, "none", 0.9) is None
    assert sampling_weights(LABELS, np.ones(4, int), "none") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Classes {0, 1, 3} and {2}; tones {0, 1} and {2, 3}, unknown being one;
        # cells {0, 1}, {2}, {3}.
        ("class", [1 / 6, 1 / 6, 1 / 2, 1 / 6]),
        ("tone", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ("class_tone", [1 / 6, 1 / 6, 1 / 3, 1 / 3]),
    ],
)
def test_every_group_is_drawn_equally_often(kind: str, expected: list[float]) -> None:
    tones = np.array([2, 2, -1, -1])
    np.testing.assert_allclose(sampling_weights(LABELS, tones, kind), expected, rtol=1e-12)


def test_the_unknown_tone_is_a_group_of_its_own() -> None:
    weights = sampling_weights(np.zeros(4, int), np.array([1, 1, 6, -1]), "tone")
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 3, 1 / 3])


def test_strength_grows_with_each_halving_of_the_training_rows() -> None:
    labels = np.repeat([0, 1, 2], [9, 4, 1])
    train = np.arange(1, 14)  # eight of class 0
    np.testing.assert_allclose(
        strengths(labels, train, 0.1), np.repeat([1.0, 1.0, 1.1, 1.3], [1, 8, 4, 1])
    )
    assert strengths(labels, train, 0.0) is None
