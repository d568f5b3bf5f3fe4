"""The plan of an epoch is a function of seed and epoch, and of nothing that went before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ajl_tf.config import Augment
from ajl_tf.training.plan import EpochPlan

ROWS = np.array([3, 5, 8, 13, 21, 34])
AUGMENT = Augment(horizontal_flip=True, rotation=30.0, brightness=0.2, mixup=0.4)


def plan(**changes: object) -> EpochPlan:
    return dataclasses.replace(EpochPlan(1, ROWS, None, AUGMENT, 40, 32), **changes)


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
