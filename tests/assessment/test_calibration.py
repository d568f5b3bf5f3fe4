"""Calibration errors by hand and against scikit-learn's bins, by band, and beside luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

from ajl_tf.assessment.bootstrap import Bootstrap
from ajl_tf.assessment.calibration import BINS, GROUPS, bins_of, calibration, equal_mass
from ajl_tf.assessment.scored import scored
from ajl_tf.assessment.sections import tell_all

CLASSES = ["a", "b", "c"]
BANDS = np.array([3, 0, 0, 1, 1, 2, 2])  # of skin tone 0 (standing for unknown), 1, 2, …


def _rows(n: int = 400, seed: int = 0, *, honest: float = 1.0, tones=(1, 2, 3, 4, 5, -1)):
    """Predictions whose answers are right with the stated probability to the power `honest`."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(3, 0.7), n)
    top = probabilities.argmax(axis=1)
    right = rng.random(n) < probabilities.max(axis=1) ** honest
    label = np.where(right, top, (top + rng.integers(1, 3, n)) % 3)
    columns = {f"prob_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)}
    table = pd.DataFrame(
        {
            "image_id": [str(i) for i in range(n)],
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[top],
            "skin_tone": rng.choice(tones, n),
            **columns,
        }
    )
    return scored(table)


def _told(rows, times: int = 200, resamples: int = 100):
    section = calibration(rows, rows.probabilities, times, 0)
    return tell_all({"x": section}, Bootstrap(rows.clusters, resamples, 0))["x"]["groups"]


def _members(rows, group: str):
    if group == "overall":
        return np.full(len(rows.label_idx), True)
    tone = rows.table["skin_tone"].to_numpy()
    return BANDS[np.maximum(tone, 0)] == GROUPS.index(group) - 1


def test_errors_equal_those_by_hand_in_every_group() -> None:
    rows = _rows()
    confidence = rows.probabilities.max(axis=1)
    for entry in _told(rows):
        there = _members(rows, entry["group"])
        c, right = confidence[there], rows.right[there]
        assert entry["n"] == there.sum()
        total = 0.0
        for m in range(BINS):
            inside = (c > m / BINS) & (c <= (m + 1) / BINS)
            if inside.any():
                total += inside.sum() * abs(right[inside].mean() - c[inside].mean())
        assert entry["ece"]["value"] == pytest.approx(total / there.sum(), abs=1e-6)
        edges = np.quantile(c, np.arange(1, BINS) / BINS)
        total = 0.0
        for low, high in zip([-1, *edges], [*edges, 2], strict=True):
            inside = (c > low) & (c <= high)
            if inside.any():
                total += inside.sum() * abs(right[inside].mean() - c[inside].mean())
        assert entry["adaptive_ece"]["value"] == pytest.approx(total / there.sum(), abs=1e-6)
        assert entry["overconfidence"]["value"] == pytest.approx(c.mean() - right.mean(), abs=1e-6)
        own = rows.probabilities[np.arange(len(c) if there.all() else len(there)), rows.label_idx]
        assert entry["log_loss"]["value"] == pytest.approx(-np.log(own[there]).mean(), abs=1e-5)


def test_the_reliability_diagram_equals_scikit_learns() -> None:
    rows = _rows()
    confidence = rows.probabilities.max(axis=1)
    right, stated = calibration_curve(rows.right, confidence, n_bins=BINS)
    found = _told(rows)[0]["reliability"]
    assert [entry["accuracy"]["value"] for entry in found] == pytest.approx(right, abs=1e-6)
    assert [entry["confidence"] for entry in found] == pytest.approx(stated, abs=1e-6)
    assert sum(entry["n"] for entry in found) == 400
    for entry in found:
        assert entry["from"] <= entry["confidence"] <= entry["to"]
        assert entry["accuracy"]["low"] <= entry["accuracy"]["value"] <= entry["accuracy"]["high"]


def test_equal_values_share_a_bin_whatever_their_order() -> None:
    confidence = np.repeat([0.4, 0.6, 0.9], [50, 30, 20])
    assert len(np.unique(equal_mass(confidence)[:50])) == 1
    shuffled = np.random.default_rng(0).permutation(100)
    assert np.array_equal(equal_mass(confidence[shuffled]), equal_mass(confidence)[shuffled])
    assert len(equal_mass(np.zeros(0))) == 0


def test_weights_count_rows_as_repeats() -> None:
    rows = _rows(60)
    confidence, right = rows.probabilities.max(axis=1), rows.right.astype(float)
    bands = np.arange(60) % 4
    weights = np.random.default_rng(0).integers(0, 3, (4, 60)).astype(float)
    found = bins_of(confidence, bands).sums(weights, right)
    bins = bins_of(confidence, bands)
    for kind in found:
        for i, times in enumerate(weights):
            one = sum(bins.sums(np.eye(60)[row], right)[kind] * times[row] for row in range(60))
            assert found[kind][i] == pytest.approx(one)


def test_a_calibrated_model_is_rarely_beyond_chance_and_an_overconfident_one_is() -> None:
    shares = [
        entry["ece"]["by_chance"]["share"]
        for seed in range(12)
        for entry in _told(_rows(300, seed), resamples=2)[:2]
    ]
    assert (np.array(shares) <= 0.05).mean() <= 0.2
    assert np.mean(shares) == pytest.approx(0.5, abs=0.17)
    over = _told(_rows(honest=2.0))[0]
    assert over["ece"]["by_chance"]["share"] < 0.05
    assert "is not calibrated" in over["ece"]["conclusion"]
    assert over["overconfidence"]["low"] > 0


def test_an_empty_band_has_nothing() -> None:
    told = {entry["group"]: entry for entry in _told(_rows(tones=(1, 3)), 20, 20)}
    assert told["5-6"]["n"] == 0
    assert told["5-6"]["ece"]["value"] is None
    assert told["5-6"]["ece"]["conclusion"] == "No photos."
    assert told["5-6"]["reliability"] == []
