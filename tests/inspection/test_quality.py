"""Faults planted on drawn photos are found, and told apart from dark, pale and lesioned skin."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from ajl_tf.dataset.phantom import KINDS, draw_image
from ajl_tf.inspection.quality import RULES, find_issues, measure_quality

Image = NDArray[np.uint8]
Change = Callable[[Image], Image]


def drawn(tone: int, seed: int = 0, kind: str | None = None) -> Image:
    """A drawn photo at two thirds of its size, hence as sharp as one from a camera."""
    image = draw_image(kind, tone, 300, np.random.default_rng([tone, seed]))[0]
    size = image.shape[1] * 2 // 3, image.shape[0] * 2 // 3
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def issues(image: Image, **stored: float) -> set[str]:
    height, width = image.shape[:2]
    row = {"image_id": "x", "width": width, "height": height} | measure_quality(image) | stored
    return set(find_issues(pd.DataFrame([row]))["issue"])


@pytest.fixture(scope="module")
def photos() -> list[Image]:
    """Two of each tone, with lesions."""
    kinds = list(KINDS)
    return [drawn(tone, seed, kinds[tone + 6 * seed]) for tone in range(1, 7) for seed in (1, 2)]


# --- Faults ---


def lit(gain: float) -> Change:
    """As if exposed longer or shorter."""
    return lambda image: np.clip(image * gain, 0, 255).astype(np.uint8)


def gamma(power: float) -> Change:
    return lambda image: np.rint(255 * (image / 255) ** power).astype(np.uint8)


def blurred(sigma: float) -> Change:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def bordered(share: float, level: int) -> Change:
    def add(image: Image) -> Image:
        rows = round(share * len(image))
        edges = ((rows, rows), (0, 0), (0, 0))
        return np.pad(image, edges, constant_values=level)

    return add


def lettered(text: str, scale: float, level: int) -> Change:
    def write(image: Image) -> Image:
        copy = image.copy()
        place = 8, len(copy) - 8
        cv2.putText(copy, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (level,) * 3, 1)
        return copy

    return write


def beside(other: Image, axis: int, gap: int) -> Change:
    """Two pictures in one, edge to edge or with a white gap between."""

    def join(image: Image) -> Image:
        size = image.shape[1::-1]
        second = np.asarray(cv2.resize(other, size, interpolation=cv2.INTER_AREA), np.uint8)
        shape = list(image.shape)
        shape[axis] = gap
        return np.concatenate([image, np.full(shape, 255, np.uint8), second], axis=axis)

    return join


def noisy_grey(image: Image) -> Image:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


PLANTED: dict[str, tuple[str, Change]] = {
    "far underexposed": ("dark", lit(0.1)),
    "underexposed": ("dark", lit(0.3)),
    "a steep gamma": ("dark", gamma(15)),
    "overexposed": ("over_exposed", lit(2.6)),
    "blur of 2 pixels": ("blurred", blurred(2)),
    "blur of 4 pixels": ("blurred", blurred(4)),
    "thin black bars": ("border", bordered(0.02, 0)),
    "broad white bars": ("border", bordered(0.25, 255)),
    "bars as grey as skin": ("border", bordered(0.12, 205)),
    "white initials": ("text", lettered("SFS", 0.6, 255)),
    "a small line": ("text", lettered("www.example.org", 0.5, 255)),
    "a large line": ("text", lettered("copyright", 0.7, 255)),
    "side by side with a gap": ("collage", beside(drawn(2, 9), 1, 6)),
    "one above the other with a gap": ("collage", beside(drawn(5, 9), 0, 4)),
    "no colour": ("grey", noisy_grey),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_on_every_tone(photos: list[Image], fault: str) -> None:
    issue, change = PLANTED[fault]
    hits = [issue in issues(change(photo)) for photo in photos]
    assert np.mean(hits) >= 0.9, hits
    assert all(any(hits[two : two + 2]) for two in range(0, len(hits), 2)), hits


def test_nothing_is_found_on_drawn_photos_of_any_tone(photos: list[Image]) -> None:
    assert [issues(photo) & {issue for issue, _ in PLANTED.values()} for photo in photos] == [
        set()
    ] * len(photos)


@pytest.mark.parametrize("column", ["sharpness", "border", "highlights"])
def test_more_of_a_fault_measures_worse(photos: list[Image], column: str) -> None:
    steps: dict[str, list[Change]] = {
        "sharpness": [blurred(sigma) for sigma in (0.7, 1.2, 2)],
        "border": [bordered(share, 0) for share in (0.02, 0.1, 0.2, 0.3)],
        "highlights": [lit(gain) for gain in (1, 0.7, 0.5, 0.3)],
    }
    falls = column in ("sharpness", "highlights")
    for photo in photos:
        values = [measure_quality(change(photo))[column] for change in steps[column]]
        assert values == sorted(values, reverse=falls)


def test_a_seam_between_alike_halves_is_none(photos: list[Image]) -> None:
    for photo in photos:
        half = photo[:, : photo.shape[1] // 2]
        mirrored = np.concatenate([half, half[:, ::-1]], axis=1)
        assert "collage" not in issues(mirrored)


def test_a_bar_over_the_eyes_is_no_collage(photos: list[Image]) -> None:
    for photo in photos:
        height, width = photo.shape[:2]
        photo = photo.copy()
        photo[height // 3 : height // 3 + 24, width // 5 : -width // 5] = 0
        assert "collage" not in issues(photo)


def test_a_plain_background_is_no_border() -> None:
    photo = np.full((240, 320, 3), 255, np.uint8)
    cv2.ellipse(photo, (160, 120), (90, 90), 0, 0, 360, (190, 140, 110), -1)
    assert "border" not in issues(photo)
    assert measure_quality(photo)["border"] == 0


def test_stubble_is_no_lettering() -> None:
    photo = drawn(5, 3).copy()
    height, width = photo.shape[:2]
    for x in range(20, width - 20, 7):
        cv2.line(photo, (x, height - 22), (x + 1, height - 14), (25, 18, 15), 2)
    assert "text" not in issues(photo)


# --- Not skin ---


def text_page() -> Image:
    page = np.full((300, 240, 3), 250, np.uint8)
    for row in range(25, 290, 18):
        cv2.putText(page, "Lorem ipsum dolor sit", (12, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1)
    return page


def stained_slide() -> Image:
    rng = np.random.default_rng(0)
    slide = np.full((240, 320, 3), (205, 150, 215), np.uint8)
    for _ in range(900):
        centre = int(rng.integers(320)), int(rng.integers(240))
        cv2.circle(slide, centre, int(rng.integers(2, 6)), (110, 50, 150), -1)
    return slide


def clip_art() -> Image:
    art = np.full((240, 240, 3), 255, np.uint8)
    cv2.rectangle(art, (40, 40), (200, 120), (0, 90, 230), -1)
    cv2.circle(art, (120, 170), 50, (20, 170, 60), -1)
    return art


@pytest.mark.parametrize("make", [text_page, stained_slide, clip_art])
def test_what_is_no_skin_is_off_topic(make: Callable[[], Image]) -> None:
    assert "off_topic" in issues(make())


@pytest.mark.parametrize("cast", [(1, 1, 1), (1.1, 1, 0.8), (0.85, 1, 1.15), (0.9, 1.08, 1)])
def test_skin_of_any_tone_is_on_topic_in_coloured_light(
    photos: list[Image], cast: tuple[float, float, float]
) -> None:
    for photo in photos:
        tinted = np.clip(photo * np.array(cast), 0, 255).astype(np.uint8)
        assert "off_topic" not in issues(tinted)


def test_a_plain_patch_is_uniform() -> None:
    rng = np.random.default_rng(0)
    patch = 128 + rng.normal(0, 2, (200, 200, 3))
    assert {"uniform", "grey"} <= issues(patch.astype(np.uint8))


# --- Sizes, scores and words ---


def test_sizes_are_those_of_the_stored_file(photos: list[Image]) -> None:
    assert {"too_small", "odd_aspect"} & issues(photos[0]) == set()
    assert "too_small" in issues(photos[0], width=127, height=500)
    assert "odd_aspect" in issues(photos[0], width=2000, height=700)


def test_each_issue_has_a_score_and_a_sentence_with_the_figure() -> None:
    rows = [
        {rule.column: value for rule in RULES}
        | {"image_id": name, "width": 1000, "height": 900, "shorter_side": 0, "aspect": 0}
        | {rule.column: value}
        for rule in RULES
        for name, value in (("bound", rule.bound), ("worst", rule.worst), ("none", np.nan))
    ]
    for rule, three in zip(RULES, (rows[i : i + 3] for i in range(0, len(rows), 3)), strict=True):
        if rule.column in ("shorter_side", "aspect"):
            continue
        found = find_issues(pd.DataFrame(three)).query("issue == @rule.issue")
        assert found["image_id"].tolist() == ["bound", "worst"]
        assert found["score"].tolist() == pytest.approx([0.5, 1])
        assert found["why"].str.contains(r"\d").all()


def test_no_photos_have_no_issues() -> None:
    columns = ["image_id", "width", "height", *measure_quality(np.zeros((9, 9, 3), np.uint8))]
    found = find_issues(pd.DataFrame(columns=columns))
    assert list(found) == ["image_id", "issue", "score", "why"]
    assert found.empty


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=150).map(lambda s: (*s, 3))))
def test_any_picture_has_an_answer(image: Image) -> None:
    measured = measure_quality(image)
    assert list(measured) == list(measure_quality(np.zeros((9, 9, 3), np.uint8)))
    assert all(isinstance(value, float) for value in measured.values())
    assert not any(np.isinf(value) for value in measured.values())
    for name in ("brightness", "highlights", "clipped", "could_be_skin", "seam", "border"):
        assert 0 <= measured[name] <= 1, name


@pytest.mark.parametrize("level", [0, 127, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (400, 300)])
def test_plain_pictures_have_an_answer(level: int, size: tuple[int, int]) -> None:
    measured = measure_quality(np.full((*size, 3), level, np.uint8))
    assert np.isfinite(list(measured.values())).all()
    assert (measured["contrast"], measured["sharpness"], measured["border"]) == (0, 0, 0)
