"""Deletion and insertion against a slow loop; the share on a lesion; what chance gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.explanation.baselines import blurred, mean_coloured, random_maps
from ajl_tf.explanation.faithfulness import STEPS, area, curves, importance_order, share_inside
from ajl_tf.explanation.network import Network

IDS = [f"photo-{number}" for number in range(200)]


def test_curves_are_those_of_painting_pixel_by_pixel(corner: Network, photo: np.ndarray) -> None:
    attribution = np.random.default_rng(0).normal(size=(32, 32))
    found = curves(corner, photo[0], 0, attribution[None], seed=0)[0]
    ranked = sorted(
        ((y, x) for y in range(32) for x in range(32)), key=lambda place: -attribution[place]
    )
    flat, blur = mean_coloured(photo)[0], blurred(photo)[0]
    for step in (0, 1, 7, STEPS):
        deleted, inserted = photo[0].copy(), blur.copy()
        for place in ranked[: round(32 * 32 * step / STEPS)]:
            deleted[place], inserted[place] = flat[place], photo[0][place]
        expected = corner.probability(np.stack([deleted, inserted]), 0)
        np.testing.assert_allclose(found[:, step], expected, rtol=1e-4)


def test_the_area_of_a_straight_line_is_its_middle() -> None:
    assert area(np.linspace(1, 0, STEPS + 1)) == pytest.approx(0.5)
    assert area(np.full((2, STEPS + 1), 0.7)) == pytest.approx([0.7, 0.7])


def test_the_right_map_beats_chance_and_the_wrong_map_loses(corner: Network) -> None:
    """A photo that is bright where the network looks, on dark."""
    bright = np.full((32, 32, 3), 40, np.float32)
    bright[:16, :16] = 255
    right = np.zeros((32, 32))
    right[:16, :16] = 1
    maps = np.stack([right, *random_maps(IDS[:20], 32), -right])
    areas = area(curves(corner, bright, 0, maps, seed=0))
    deletion, insertion = areas[:, 0], areas[:, 1]
    assert deletion[0] < deletion[1:-1].min()
    assert deletion[-1] > deletion[1:-1].max()
    assert insertion[0] > insertion[1:-1].max()
    assert insertion[-1] < insertion[1:-1].min()


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=40), st.integers(0, 9))
def test_order_falls_and_draws_ties(values: list[float], seed: int) -> None:
    attribution = np.array(values)[None]
    order = importance_order(attribution, seed)
    assert sorted(order) == list(range(len(values)))
    assert (np.diff(attribution.ravel()[order]) <= 0).all()


def test_ties_are_not_from_top_to_bottom() -> None:
    order = importance_order(np.zeros((32, 32)), 0)
    assert abs(order[:512].mean() - 511.5) < 50


def test_share_inside_counts_what_is_positive() -> None:
    attribution = np.array([[3.0, 1.0], [-9.0, 0.0]])
    mask = np.array([[True, False], [True, True]])
    assert share_inside(attribution, mask) == 0.75
    assert share_inside(attribution, ~mask) == 0.25
    assert math.isnan(share_inside(np.zeros((2, 2)), mask))
    assert math.isnan(share_inside(-np.ones((2, 2)), mask))


def test_a_random_map_has_the_lesions_area_on_the_lesion() -> None:
    mask = np.zeros((32, 32), np.bool_)
    mask[4:14, 10:30] = True
    shares = [share_inside(attribution, mask) for attribution in random_maps(IDS, 32)]
    assert np.mean(shares) == pytest.approx(mask.mean(), abs=0.01)
    assert np.std(shares) > 0.01


def test_a_random_map_follows_from_the_name_alone() -> None:
    np.testing.assert_array_equal(random_maps(IDS[:3], 16)[2], random_maps([IDS[2]], 16)[0])
    assert np.ptp(random_maps(IDS[:2], 16), axis=0).max() > 0


def test_the_blur_keeps_flat_colour_and_takes_detail(photo: np.ndarray) -> None:
    flat = np.full((1, 32, 32, 3), 99, np.float32)
    np.testing.assert_allclose(blurred(flat), flat, rtol=1e-5)
    assert blurred(photo).std() < 0.2 * photo.std()
    np.testing.assert_allclose(mean_coloured(photo)[0, 3, 4], photo[0].mean(axis=(0, 1)), rtol=1e-5)
