"""The typology angle of skin around a lesion: patches of published colour, drawn photos."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.stats import rankdata

from ajl_tf.dataset.phantom import KINDS, draw_image
from ajl_tf.dataset.phantom.skin import base_colour
from ajl_tf.inspection.agreement import tone_agreement, tone_disagreements
from ajl_tf.inspection.colour import reduced, to_lab
from ajl_tf.inspection.skin import find_skin
from ajl_tf.inspection.tone import (
    FITZPATRICK_BOUNDS,
    TONE_CLASSES,
    fitzpatrick_type,
    measure_tone,
    typology_angle,
)

Image = NDArray[np.uint8]

# sRGB and CIELAB (D65) as colour-science tables print them.
PUBLISHED = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (128, 128, 128): (53.59, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
}
# Two patches of the ColorChecker chart: sRGB, and the angle of the chart's published CIELAB (D50,
# hence the tolerance): dark skin (37.99, 13.56, 14.06), light skin (65.71, 18.13, 17.81).
CHART = {(115, 82, 68): -40.5, (194, 150, 130): 41.4}


def plain(colour: tuple[int, int, int], size: int = 60) -> Image:
    return np.full((size, size, 3), colour, np.uint8)


@pytest.mark.parametrize("colour", PUBLISHED)
def test_cielab_is_as_published(colour: tuple[int, int, int]) -> None:
    np.testing.assert_allclose(to_lab(plain(colour))[0, 0], PUBLISHED[colour], atol=0.15)


@pytest.mark.parametrize("colour", CHART)
def test_angle_of_the_charts_skin_patches(colour: tuple[int, int, int]) -> None:
    measured = measure_tone(plain(colour))
    assert measured["ita"] == pytest.approx(CHART[colour], abs=4)
    assert measured["skin_share"] == 1
    assert measured["ita_confidence"] > 0.9


# --- Drawn photos ---


class Drawn:
    """A drawn photo with its lesion's mask and the angle that its skin was drawn with."""

    def __init__(self, kind: str, tone: int, seed: int) -> None:
        self.kind, self.tone = kind, tone
        key = [tone, seed]
        self.image, self.lesion = draw_image(kind, tone, 160, np.random.default_rng(key))
        skin_stream = np.random.default_rng(key).spawn(4)[1]
        self.drawn_angle = float(typology_angle(base_colour(tone, skin_stream)))
        # After light and camera: what a measurement can find at best.
        around = np.median(to_lab(self.image)[~self.lesion], axis=0)
        self.photo_angle = float(typology_angle(around))


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    kinds = list(KINDS)
    return [
        Drawn(kinds[number], tone, seed=number)
        for tone in range(1, 7)
        for number in range(len(kinds))
    ]


@pytest.fixture(scope="module")
def measured(drawn: list[Drawn]) -> pd.DataFrame:
    table = pd.DataFrame([measure_tone(photo.image) for photo in drawn])
    table["image_id"] = [f"{n:03}" for n in range(len(drawn))]
    table["skin_tone"] = [photo.tone for photo in drawn]
    table["drawn"] = [photo.drawn_angle for photo in drawn]
    table["photo"] = [photo.photo_angle for photo in drawn]
    return table


@pytest.mark.parametrize("tone", range(1, 7))
def test_lesions_hardly_move_the_angle_on_any_tone(measured: pd.DataFrame, tone: int) -> None:
    rows = measured[measured["skin_tone"] == tone]
    away = (rows["ita"] - rows["photo"]).abs()
    assert away.median() < 1.5
    assert away.quantile(0.9) < 5


@pytest.mark.parametrize("tone", range(1, 7))
def test_angle_is_near_the_drawn_one_but_for_the_camera(measured: pd.DataFrame, tone: int) -> None:
    rows = measured[measured["skin_tone"] == tone]
    assert (rows["ita"] - rows["drawn"]).abs().median() < 13


@pytest.mark.parametrize("tone", range(1, 7))
def test_skin_of_every_tone_is_found(drawn: list[Drawn], tone: int) -> None:
    shares = []
    for photo in drawn:
        if photo.tone == tone:
            found = find_skin(to_lab(photo.image)).mask
            shares.append(found[~photo.lesion].mean())
    assert np.median(shares) > 0.9


def test_strong_lesions_are_left_out(drawn: list[Drawn]) -> None:
    crusts = [photo for photo in drawn if photo.kind == "drawn-dome-crusted" and photo.tone < 5]
    for photo in crusts:
        taken = find_skin(to_lab(photo.image)).mask
        assert taken[photo.lesion].mean() < 0.5 < taken[~photo.lesion].mean()


@pytest.mark.parametrize("tone", [1, 6])
@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (60, 110, 160), (70, 120, 90)])
def test_background_does_not_count(tone: int, background: tuple[int, int, int]) -> None:
    photo, _ = draw_image(None, tone, 160, np.random.default_rng(tone))
    alone = measure_tone(photo)
    height, width = photo.shape[:2]
    wide = np.full((height, 2 * width, 3), background, np.uint8)
    wide[:, width // 2 : width // 2 + width] = photo
    measured = measure_tone(wide)
    assert measured["ita"] == pytest.approx(alone["ita"], abs=3)
    assert measured["skin_share"] == pytest.approx(alone["skin_share"] / 2, abs=0.1)


def test_highlights_do_not_count() -> None:
    photo, _ = draw_image(None, 4, 160, np.random.default_rng(0))
    shiny = photo.copy()
    shiny[::9, ::7] = 255
    assert measure_tone(shiny)["ita"] == pytest.approx(measure_tone(photo)["ita"], abs=3)


def test_confidence_falls_with_each_doubt() -> None:
    photo, _ = draw_image(None, 3, 160, np.random.default_rng(1))
    good = measure_tone(photo)["ita_confidence"]
    assert good > 0.6
    bluish = np.clip(photo * np.array([0.75, 0.9, 1.25]), 0, 255).astype(np.uint8)
    little = np.zeros((640, 640, 3), np.uint8)
    little[:100, :100] = photo[:100, :100]
    too_bright = np.clip(photo * 1.45, 0, 255).astype(np.uint8)
    noise = np.random.default_rng(2).normal(0, 60, (40, 40, 1)).repeat(4, 0).repeat(4, 1)
    uneven = np.clip(photo[:130, :130] + noise[:130, :130], 0, 255).astype(np.uint8)
    for worse in (bluish, little, too_bright, uneven):
        assert measure_tone(worse)["ita_confidence"] < 0.75 * good


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (127, 127, 127), (0, 0, 255)])
def test_without_skin_there_is_no_angle(colour: tuple[int, int, int]) -> None:
    measured = measure_tone(plain(colour))
    assert np.isnan(measured["ita"])
    assert (measured["ita_confidence"], measured["skin_share"]) == (0, 0)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=150).map(lambda s: (*s, 3))))
def test_any_picture_has_an_answer(image: Image) -> None:
    measured = measure_tone(image)
    assert list(measured) == list(measure_tone(plain((194, 150, 130))))
    assert all(isinstance(value, float) for value in measured.values())
    assert not any(np.isinf(value) for value in measured.values())
    for name in ("ita_confidence", "skin_share", "skin_likely"):
        assert 0 <= measured[name] <= 1


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 128))
def test_a_reduced_copy_keeps_its_shape(height: int, width: int, side: int) -> None:
    small = reduced(np.zeros((height, width, 3), np.uint8), side)
    assert min(small.shape[:2]) == min(side, height, width)
    if min(height, width) > side:
        assert max(small.shape[:2]) == pytest.approx(
            max(height, width) * side / min(height, width), abs=0.5001
        )


# --- Types from angles ---


def test_bounds_belong_to_the_darker_class() -> None:
    assert fitzpatrick_type([60, 55, 41, 28, 10, -30, -31]).tolist() == [1, 2, 3, 4, 5, 6, 6]
    assert fitzpatrick_type([15, 5], "kinyanjui").tolist() == [5, 6]
    assert fitzpatrick_type([45, -10, -26], "groh").tolist() == [1, 5, 6]
    assert fitzpatrick_type(np.nan).tolist() == -1
    assert tuple(TONE_CLASSES.values())[:-1] == FITZPATRICK_BOUNDS["chardon"]


@given(
    st.lists(st.floats(-180, 180), min_size=2, max_size=30), st.sampled_from(["chardon", "groh"])
)
def test_lighter_is_never_a_darker_type(angles: list[float], bounds: str) -> None:
    types = fitzpatrick_type(sorted(angles), bounds)
    assert (np.diff(types) <= 0).all()
    assert set(types.tolist()) <= set(range(1, 7))


# --- Against the annotation ---

MANIFEST = ["image_id", "skin_tone"]


def test_planted_annotations_come_first(measured: pd.DataFrame) -> None:
    manifest = measured[["image_id", "skin_tone"]].copy()
    wrong = measured.query("skin_tone == 6 and ita_confidence > 0.5").index[:3]
    manifest.loc[wrong, "skin_tone"] = 1
    ranked = tone_disagreements(measured, manifest)
    assert set(ranked["image_id"][:3]) == set(manifest["image_id"][wrong])
    assert (ranked["gap"][:3] < -60).all()
    assert ranked["why"].str.contains("darker")[:3].all()
    assert ranked["score"].between(0, 1).all()
    assert (ranked["score"].diff().dropna() <= 0).all()


def test_doubtful_measurements_rank_low(measured: pd.DataFrame) -> None:
    ranked = tone_disagreements(measured.assign(ita_confidence=0.0), measured[MANIFEST])
    assert (ranked["score"] == 0).all()


def test_unknown_tones_and_rare_types_are_left_out(measured: pd.DataFrame) -> None:
    manifest = measured[MANIFEST].copy()
    manifest.loc[manifest["skin_tone"] == 2, "skin_tone"] = -1
    manifest.loc[manifest.query("skin_tone == 3").index[4:], "skin_tone"] = 4
    assert set(tone_disagreements(measured, manifest)["skin_tone"]) == {1, 4, 5, 6}


def test_agreement_is_spearmans_correlation(measured: pd.DataFrame) -> None:
    manifest = measured[MANIFEST].assign(fitzpatrick_centaur=pd.NA)
    manifest.loc[3:, "fitzpatrick_centaur"] = measured["skin_tone"][3:].astype(str)
    first, second = tone_agreement(measured, manifest.sample(frac=1, random_state=0))
    ranks = rankdata(measured["ita"]), rankdata(measured["skin_tone"])
    assert first["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert first["low"] < first["spearman"] < first["high"] < -0.8
    assert (first["column"], second["column"]) == ("skin_tone", "fitzpatrick_centaur")
    assert (first["photos"], second["photos"]) == (len(measured), len(measured) - 3)
    third = first["types"][2]
    assert (third["annotated"], third["measured"]) == (21, 21)
    assert third["median"] == pytest.approx(measured.query("skin_tone == 3")["ita"].median())


def test_agreement_of_nothing(measured: pd.DataFrame) -> None:
    manifest = measured[MANIFEST].assign(skin_tone=-1)
    (only,) = tone_agreement(measured, manifest)
    assert (only["photos"], only["spearman"], only["within_one"]) == (0, None, {})
    assert {row["median"] for row in only["types"]} == {None}
