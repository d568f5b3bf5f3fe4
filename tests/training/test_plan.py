"""The plan of an epoch is a function of seed and epoch, and of nothing that went before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import kstest

from ajl_tf.config import Augment
from ajl_tf.training.keyed import _mixed, photo_keys, uniforms
from ajl_tf.training.plan import EpochPlan

ROWS = np.array([3, 5, 8, 13, 21, 34])
KEYS = photo_keys(f"photo {row}" for row in range(40))
AUGMENT = Augment(horizontal_flip=True, rotation=30.0, brightness=0.2, mixup=0.4)


def plan(**changes: object) -> EpochPlan:
    return dataclasses.replace(EpochPlan(1, ROWS, KEYS, None, AUGMENT, 40, 32), **changes)


def test_an_epoch_is_the_same_alone_and_after_others() -> None:
    alone = plan()(7)
    through = plan()
    for epoch in range(7):
        through(epoch)
    for ours, theirs in zip(alone, through(7), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("weights", [None, np.full(6, 1 / 6)])
def test_seed_and_epoch_decide(weights: np.ndarray | None) -> None:
    variants = [
        plan(weights=weights)(0),
        plan(weights=weights)(1),
        plan(weights=weights, seed=2)(0),
    ]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        for ours, theirs in zip(variants[first], variants[second], strict=True):
            assert not np.array_equal(ours, theirs)


def test_without_weights_each_row_comes_once_an_epoch() -> None:
    for epoch in range(20):
        rows, drawn = plan()(epoch)
        assert sorted(rows) == sorted(ROWS)
        assert rows.dtype == np.int64
        assert drawn.shape == (6, plan().draws)
        assert drawn.dtype == np.float32


def test_every_row_comes_first_at_some_time() -> None:
    assert {int(plan()(epoch)[0][0]) for epoch in range(60)} == set(ROWS.tolist())


def test_with_weights_rows_are_drawn_by_them() -> None:
    weights = np.array([0.5, 0.0, 0.2, 0.1, 0.1, 0.1])
    rows = np.concatenate([plan(weights=weights, augment=None)(epoch)[0] for epoch in range(2000)])
    assert len(rows) == 12_000
    shares = np.array([(rows == row).mean() for row in ROWS])
    np.testing.assert_allclose(shares, weights, atol=0.015)  # 3 standard errors
    assert shares[1] == 0


def test_augmentation_does_not_change_the_order() -> None:
    plain = plan(augment=None)
    assert plain.draws == 0
    for epoch in range(3):
        rows, drawn = plain(epoch)
        np.testing.assert_array_equal(rows, plan()(epoch)[0])
        assert drawn.shape == (6, 0)


def by_photo(rows: np.ndarray, drawn: np.ndarray) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for row, numbers in zip(rows, drawn, strict=True):
        found.setdefault(int(row), []).append(numbers.tobytes())
    return found


def test_a_photos_draw_is_its_own_whatever_else_trains() -> None:
    alone = by_photo(*plan(rows=ROWS[:2])(4))
    among = by_photo(*plan()(4))
    elsewhere = by_photo(*plan(rows=np.arange(6), keys=KEYS[ROWS])(4))
    assert alone == {row: among[row] for row in (3, 5)}
    assert [elsewhere[place] for place in range(6)] == [among[row] for row in ROWS.tolist()]


def test_a_photo_that_comes_again_looks_different() -> None:
    weights = np.array([1.0, 0, 0, 0, 0, 0])
    (looks,) = by_photo(*plan(weights=weights)(0)).values()
    assert len(set(looks)) == 6
    assert looks[0] == by_photo(*plan()(0))[3][0]


def test_uniforms_are_uniform_and_independent() -> None:
    keys = photo_keys(map(str, range(4000)))
    first = np.zeros(4000, np.int64)
    u = np.concatenate([uniforms(keys, first, 0, epoch, 5) for epoch in (0, 1)], axis=1)
    assert u.min() >= 0
    assert u.max() < 1
    for column in u.T:
        assert kstest(column, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(u.T) - np.eye(10)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    np.testing.assert_array_equal(uniforms(keys, first, 0, 1, 3), u[:, 5:8])


def test_splitmix64_against_its_reference() -> None:
    """The first outputs of the reference implementation (Vigna 2015) from state 1234567."""
    state = np.array([1234567], np.uint64)
    steps = np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert _mixed(state + steps).tolist() == expected
