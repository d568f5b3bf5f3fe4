"""Rows of an ablation against scikit-learn, resampled in a plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from ajl_tf.assessment.ablation import ablation
from ajl_tf.errors import UserError

NAMES = np.array(["a", "b", "c"])
RNG = np.random.default_rng(3)
N = 240
LABEL = RNG.integers(3, size=N)
TONE = np.tile([1, 3, 5, 6, -1, 2], N // 6)
GROUP = RNG.integers(150, size=N)


def table(right: float, seed: int) -> pd.DataFrame:
    """Predictions right about so often, rows in an order of their own."""
    rng = np.random.default_rng(seed)
    wrong = (LABEL + rng.integers(1, 3, size=N)) % 3
    predicted = np.where(rng.random(N) < right, LABEL, wrong)
    columns: dict[str, Any] = {
        "image_id": [f"p{i}" for i in range(N)],
        "label": NAMES[LABEL],
        "predicted": NAMES[predicted],
        "skin_tone": TONE,
        "group_id": GROUP,
        "fold": 0,
    }
    return pd.DataFrame(columns).sample(frac=1.0, random_state=seed)


def aligned(rows: pd.DataFrame, like: pd.DataFrame) -> np.ndarray:
    """Numbers of label and prediction, (N, 2), in the order of another table."""
    found = rows.set_index("image_id").loc[like["image_id"], ["label", "predicted"]]
    return np.searchsorted(NAMES, found.to_numpy(str))


def f1(rows: np.ndarray) -> float:
    return float(f1_score(*rows.T, average="weighted", zero_division=0))


def test_figures_and_intervals_are_those_of_a_loop_over_resamples() -> None:
    base = {1: table(0.6, 1), 2: table(0.6, 2)}
    better = {1: table(0.75, 3), 2: table(0.75, 4), 3: table(0.2, 5)}  # 3 has no pair
    found = ablation({"base": base, "better": better}, "base", resamples=30, seed=7)

    order = base[1]
    sides = [(aligned(better[s], order), aligned(base[s], order)) for s in (1, 2)]
    ids = {group: i for i, group in enumerate(dict.fromkeys(order["group_id"]))}
    cluster = order["group_id"].map(ids).to_numpy()
    rng = np.random.default_rng(7)
    scores, differences = [], []
    for _ in range(30):
        drawn = rng.integers(len(ids), size=len(ids))
        rows = np.concatenate([np.flatnonzero(cluster == c) for c in drawn])
        pairs = [(f1(new[rows]), f1(old[rows])) for new, old in sides]
        scores.append(np.mean([new for new, _ in pairs]))
        differences.append(np.mean([new - old for new, old in pairs]))
    row = found["rows"]["better"]
    each = [f1(new) - f1(old) for new, old in sides]
    low, high = np.quantile(differences, [0.025, 0.975])
    assert row["seeds"] == [1, 2]
    assert row["of_seeds"] == pytest.approx(each, abs=1e-6)
    assert row["difference"] == pytest.approx(
        {"value": np.mean(each), "low": low, "high": high}, abs=1e-6
    )
    low, high = np.quantile(scores, [0.025, 0.975])
    assert row["weighted_f1"] == pytest.approx(
        {"value": np.mean([f1(new) for new, _ in sides]), "low": low, "high": high}, abs=1e-6
    )
    assert row["conclusion"] == "higher"
    assert "difference" not in found["rows"]["base"]
    assert (found["n"], found["clusters"]) == (N, len(ids))


def test_the_worst_band_is_the_known_one_with_the_lowest_mean_recall() -> None:
    bad = table(0.9, 1)
    dark = bad["skin_tone"] >= 5
    bad.loc[dark, "predicted"] = "a"
    bad.loc[bad["skin_tone"] == -1, "predicted"] = "c"  # worse for the unknown, which is no band
    worst = ablation({"base": {0: bad}}, "base", resamples=50)["rows"]["base"]["worst_band"]
    rows = bad[dark]
    expected = recall_score(rows["label"], rows["predicted"], average="macro")
    assert worst["group"] == "5-6"
    assert worst["figure"]["value"] == pytest.approx(expected, abs=1e-6)
    assert worst["figure"]["low"] <= worst["figure"]["value"] <= worst["figure"]["high"]


def test_the_difference_on_the_worst_band_of_the_base_is_that_of_a_loop() -> None:
    """Also of a row whose own worst band is another."""
    base = {1: table(0.6, 1), 2: table(0.6, 2)}
    other = {1: table(0.75, 3), 2: table(0.75, 4)}
    for rows, tones in ((base, (5, 6)), (other, (1, 2))):
        for each in rows.values():
            each.loc[each["skin_tone"].isin(tones) & (each.index % 4 > 0), "predicted"] = "a"
    found = ablation({"base": base, "other": other}, "base", resamples=40, seed=7)["rows"]
    assert found["base"]["worst_band"]["group"] == "5-6"
    assert found["other"]["worst_band"]["group"] == "1-2"
    assert "band_of_base" not in found["base"]

    order = base[1]
    dark = order["skin_tone"].isin((5, 6)).to_numpy()
    sides = [(aligned(other[s], order), aligned(base[s], order)) for s in (1, 2)]
    ids = {group: i for i, group in enumerate(dict.fromkeys(order["group_id"]))}
    cluster = order["group_id"].map(ids).to_numpy()

    def gains(rows: np.ndarray) -> list[float]:
        """All conditions occur in all bands of every resample, so that recall is macro recall."""
        own = rows[dark[rows]]
        return [
            float(recall_score(*new[own].T, average="macro", zero_division=0))
            - float(recall_score(*old[own].T, average="macro", zero_division=0))
            for new, old in sides
        ]

    rng = np.random.default_rng(7)
    moved = []
    for _ in range(40):
        drawn = rng.integers(len(ids), size=len(ids))
        rows = np.concatenate([np.flatnonzero(cluster == c) for c in drawn])
        seen = order.iloc[rows].query("skin_tone > 0")
        assert len(set(zip((seen["skin_tone"] - 1) // 2, seen["label"], strict=True))) == 9
        moved.append(np.mean(gains(rows)))
    each = gains(np.arange(N))
    low, high = np.quantile(moved, [0.025, 0.975])
    told = found["other"]["band_of_base"]
    assert told["group"] == "5-6"
    assert told["of_seeds"] == pytest.approx(each, abs=1e-6)
    assert told["difference"] == pytest.approx(
        {"value": np.mean(each), "low": low, "high": high}, abs=1e-6
    )
    assert told["conclusion"] == "higher"


def test_what_differs_by_little_or_by_seed_is_noise() -> None:
    base = {1: table(0.6, 1), 2: table(0.6, 2)}
    rows = {
        "base": base,
        "same": base,
        "worse": {1: table(0.4, 5), 2: table(0.4, 6)},
        "turns": {1: table(0.99, 7), 2: base[2].assign(predicted=base[2]["predicted"])},
    }
    rows["turns"][2].loc[rows["turns"][2]["label"] == "a", "predicted"] = "b"
    found = ablation(rows, "base", resamples=200)["rows"]
    assert found["same"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["same"]["conclusion"] == "within the noise"
    assert found["worse"]["conclusion"] == "lower"
    first, second = found["turns"]["of_seeds"]
    assert second < 0 < found["turns"]["difference"]["low"] < first
    assert found["turns"]["conclusion"] == "within the noise"


def test_few_photos_have_no_interval() -> None:
    few = table(0.6, 1).iloc[:8]
    row = ablation({"base": {0: few}, "other": {0: few}}, "base", resamples=20)["rows"]["other"]
    assert row["difference"] == {"value": 0.0, "low": None, "high": None}
    assert row["conclusion"] == "too few photos for an interval"
    assert row["worst_band"] is None
    assert row["band_of_base"] is None


def test_other_photos_are_refused() -> None:
    rows = table(0.6, 1)
    with pytest.raises(UserError, match="not scored on the same photos"):
        ablation({"base": {4: rows}, "mixup": {4: rows.iloc[1:]}}, "base", resamples=5)
