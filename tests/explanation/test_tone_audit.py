"""The tone audit, with networks whose flips are known, and the sums of its table."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from ajl_tf.dataset.phantom import draw_image
from ajl_tf.explanation.explaining import Subject
from ajl_tf.explanation.network import Network
from ajl_tf.explanation.printed import audit_table
from ajl_tf.explanation.summaries import summarise_audit
from ajl_tf.explanation.tone_audit import LIMITS, SHAM, SHAMS, TONE, audit_photos, per_photo

SIZE = 64


def network(weights: list[float], threshold: float) -> Network:
    """Says class 1 where the photo's mean colour, weighted, is above a threshold."""
    image = keras.Input((SIZE, SIZE, 3))
    mixed = keras.layers.Conv2D(1, 1, name="mixed")
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled_features")(mixed(image))
    entry = keras.Input((1,))
    dense = keras.layers.Dense(2, use_bias=False)
    head = keras.Model(entry, dense(entry), name="head")
    model = keras.Model(image, head(pooled))
    kernel = np.array(weights, np.float32).reshape(1, 1, 3, 1)
    mixed.set_weights([kernel, np.array([-threshold], np.float32)])
    dense.set_weights([np.array([[-1, 1]], np.float32)])
    return Network([model], SIZE)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Twelve drawn photos of tone 4, square, and a blue one, with the lesions' masks."""
    canvases, masks = [], []
    for seed in range(60):
        photo, mask = draw_image("drawn-spot-ragged", 4, SIZE, np.random.default_rng(seed))
        if photo.shape == (SIZE, SIZE, 3):
            canvases.append(photo)
            masks.append(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=-1))
    canvases, masks = canvases[:12], masks[:12]
    canvases.append(np.full((SIZE, SIZE, 3), (0, 0, 200), np.uint8))
    masks.append(masks[0])
    ids = [f"photo-{number}" for number in range(13)]
    rows = pd.DataFrame({"image_id": ids, "skin_tone": [4] * 6 + [-1] * 7, "group_id": ids})
    return Subject(rows, np.stack(canvases), np.stack(masks))


def audited(subject: Subject, judge: Network) -> pd.DataFrame:
    each = list(audit_photos(judge, subject, np.arange(13)))
    assert [bool(rows) for rows, _ in each] == [True] * 12 + [False]
    for rows, canvases in each[:12]:
        assert len(canvases) == len(rows) + 1
    return pd.DataFrame([row for rows, _ in each for row in rows])


@pytest.fixture(scope="module")
def by_light(subject: Subject) -> pd.DataFrame:
    """Of a network that asks whether the first photo's skin is lighter than it is."""
    weights = [0.2126, 0.7152, 0.0722]
    light = (subject.canvases[:12] @ np.array(weights)).mean(axis=(1, 2))
    return audited(subject, network(weights, float(light.min()) - 2))


def test_a_network_that_judges_by_lightness_flips_with_the_tone(by_light: pd.DataFrame) -> None:
    darkest = by_light[by_light["predicted"] == 1]
    assert set(darkest["predicted"]) == {1}
    tone = darkest[darkest["kind"] == TONE]
    assert not tone[tone["direction"] == "lighter"]["flipped"].any()
    assert tone[(tone["direction"] == "darker") & (tone["degrees"] == 40)]["flipped"].mean() > 0.5
    redder = darkest[darkest["direction"].isin(["redder", "greener"])]
    assert redder["flipped"].mean() < 0.2


def test_a_network_that_judges_by_redness_flips_with_the_sham(subject: Subject) -> None:
    red = subject.canvases[:12].astype(float) @ np.array([1, -1, 0])
    table = audited(subject, network([1, -1, 0], float(red.mean(axis=(1, 2)).min()) - 1))
    flips = per_photo(table)
    assert flips["excess"].mean() < -0.1
    greener = table[(table["direction"] == "greener") & (table["degrees"] == 40)]
    assert greener["flipped"].mean() == 1


def test_what_is_measured_of_each_shift(by_light: pd.DataFrame) -> None:
    tone, sham = (by_light[by_light["kind"] == kind] for kind in (TONE, SHAM))
    sign = np.where(tone["direction"] == "darker", -1, 1)
    achieved = tone["ita_after"] - tone["ita"]
    assert (achieved - sign * tone["degrees"]).abs().max() < 3
    assert (tone["ita"] + sign * tone["degrees"]).between(*LIMITS).all()
    assert (sham["ita_after"] - sham["ita"]).abs().median() < 1
    assert set(sham["direction"]) == set(SHAMS)
    change = by_light.groupby(["degrees", "kind"])["colour_change"].median().unstack()
    np.testing.assert_allclose(change[TONE], change[SHAM], rtol=0.1)
    assert (change.loc[40.0] > 1.8 * change.loc[20.0]).all()
    assert (tone["contrast"] > 3).all()
    assert tone["contrast_error"].median() < 1


def test_no_tone_is_moved_beyond_what_skin_has(subject: Subject) -> None:
    photo, _ = draw_image("drawn-ring", 6, SIZE, np.random.default_rng(1))
    canvas = np.ascontiguousarray(photo[:48, :48])
    rows = subject.rows.iloc[:1]
    one = Subject(rows, np.stack([canvas]))
    ((found, _),) = audit_photos(network([1, 1, 1], 0), one, np.array([0]))
    ways = {(row["direction"], row["degrees"]) for row in found if row["kind"] == TONE}
    assert {("lighter", 20.0), ("lighter", 40.0)} <= ways
    assert ("darker", 40.0) not in ways
    assert "contrast" not in found[0]


def test_the_summary_of_a_table_by_hand() -> None:
    def row(photo: str, tone: int, direction: str, flipped: int, size: float = 20.0) -> Any:
        kind = SHAM if direction in SHAMS else TONE
        return {
            "image_id": photo,
            "skin_tone": tone,
            "group_id": photo,
            "kind": kind,
            "direction": direction,
            "degrees": size,
            "ita": 30.0,
            "ita_after": {"darker": 11.0, "lighter": 50.0}.get(direction, 30.0),
            "colour_change": 7.0,
            "flipped": flipped,
        }

    table = pd.DataFrame(
        [
            row("a", 1, "darker", 1),
            row("a", 1, "lighter", 0),
            *(row("a", 1, way, flip) for way, flip in zip(SHAMS, (1, 0, 0, 0), strict=True)),
            row("b", 5, "darker", 1),
            *(row("b", 5, way, 0) for way in SHAMS),
        ]
    )
    summary = summarise_audit(table, left_out=3)
    json.dumps(summary, allow_nan=False)
    assert (summary["photos"], summary["left_out"], list(summary["sizes"])) == (2, 3, ["20"])
    told = summary["sizes"]["20"]
    overall = told["flips"]["overall"]
    assert [overall[name]["value"] for name in (TONE, SHAM, "excess")] == [0.75, 0.125, 0.625]
    assert (overall["darker"]["value"], overall["darker"]["n"]) == (1.0, 2)
    assert (overall["lighter"]["value"], overall["lighter"]["n"]) == (0.0, 1)
    assert overall[TONE]["low"] is None  # two photos make no interval
    assert [(g["group"], g["excess"]["value"]) for g in told["flips"]["by_band"]] == [
        ("1-2", 0.25),
        ("5-6", 1.0),
    ]
    assert told["shift_achieved"] == {"n": 3, "median": 19.0, "p5": 19.0, "p95": 19.9}
    text = audit_table(summary)
    assert max(map(len, text.splitlines())) <= 100
    assert "tone 5-6" in text
