"""The drawn set: the competition's layout, the same bytes again, skin and lesions as promised."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ajl_tf.dataset.phantom import KINDS, draw_image, draw_set, write
from ajl_tf.dataset.phantom.plan import plan_photos
from ajl_tf.dataset.phantom.skin import base_colour
from ajl_tf.errors import UserError

# Published classes of the individual typology angle: Del Bino and Bernerd 2013.
PUBLISHED_ANGLES = {1: (55, 90), 2: (41, 55), 3: (28, 41), 4: (10, 28), 5: (-30, 10), 6: (-90, -30)}

TO_LAB = ImageCms.buildTransform(
    ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("sets") / "drawn", images=600, size=96, seed=0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(opened(path)).astype(float)


def to_lab(image: np.ndarray) -> np.ndarray:
    """CIELAB by the colour management library that Pillow carries: an independent way."""
    lab = np.asarray(ImageCms.applyTransform(Image.fromarray(image), TO_LAB)).astype(float)
    chroma = (lab[..., 1:] + 128) % 256 - 128  # stored as signed bytes
    return np.concatenate([lab[..., :1] / 2.55, chroma], axis=-1)


def angle_of(lab: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(np.median(lab[..., 0]) - 50, np.median(lab[..., 2]))))


# --- layout -------------------------------------------------------------------------------------


def test_columns_are_the_competitions(drawn: Path) -> None:
    def header(name: str) -> str:
        return (drawn / name).read_bytes().split(b"\n")[0].decode()

    assert header("train.csv") == (
        "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,"
        "three_partition_label,qc,ddi_scale"
    )
    assert header("test.csv") == "md5hash,fitzpatrick_scale,fitzpatrick_centaur,qc,ddi_scale"
    assert header("sample_submission.csv") == "md5hash,label"
    assert header("drawn_test_labels.csv") == "md5hash,label"


def test_every_row_has_its_photo_and_mask_and_nothing_else_lies_about(drawn: Path) -> None:
    train, test = rows(drawn / "train.csv"), rows(drawn / "test.csv")
    photos = {f"train/train/{row['label']}/{row['md5hash']}.jpg" for row in train}
    photos |= {f"test/test/{row['md5hash']}.jpg" for row in test}
    masks = {f"masks/{row['md5hash']}.png" for row in train + test}
    texts = {"train.csv", "test.csv", "sample_submission.csv", "README.txt", "drawn.json"}
    texts |= {"drawn_test_labels.csv", "drawn_truth.csv"}
    assert set(contents(drawn)) == photos | masks | texts
    assert len(photos) == 600
    assert len(train) == 420
    for row in train + test:
        assert re.fullmatch("[0-9a-f]{32}", row["md5hash"])


def test_photos_are_rgb_jpegs_of_varying_aspect_with_masks_of_their_size(drawn: Path) -> None:
    aspects = set()
    for path in sorted((drawn / "test" / "test").iterdir()):
        image, mask = opened(path), opened(drawn / "masks" / f"{path.stem}.png")
        assert (image.format, image.mode, mask.mode) == ("JPEG", "RGB", "L")
        assert image.size == mask.size
        assert set(np.unique(np.asarray(mask))) == {0, 255}
        assert image.width * image.height == pytest.approx(96 * 96, rel=0.03)
        aspects.add(round(image.width / image.height, 1))
    assert len(aspects) >= 4


def test_values_are_written_as_the_competition_writes_them(drawn: Path) -> None:
    train, test = rows(drawn / "train.csv"), rows(drawn / "test.csv")
    bands = {"-1": "-1", "1": "12", "2": "12", "3": "34", "4": "34", "5": "56", "6": "56"}
    for row in train + test:
        assert row["fitzpatrick_centaur"] in bands
        assert row["ddi_scale"] == bands[row["fitzpatrick_scale"]]
    for label in KINDS:
        assert re.fullmatch("drawn(-[a-z]+)+", label)
    tree = {
        (row["label"], row["nine_partition_label"], row["three_partition_label"]) for row in train
    }
    nine = {(middle, top) for _, middle, top in tree}
    assert len(tree) == len(KINDS)  # one parent each
    assert len(nine) == len({middle for middle, _ in nine}) > 3
    assert len({top for _, top in nine}) == 3
    qc = Counter(row["qc"] for row in train)
    assert qc[""] > 0.9 * len(train)
    assert qc["1 Diagnostic"] > 0


def test_submission_and_answers_have_the_ids_of_the_test_rows(drawn: Path) -> None:
    ids = [row["md5hash"] for row in rows(drawn / "test.csv")]
    answers, sample = rows(drawn / "drawn_test_labels.csv"), rows(drawn / "sample_submission.csv")
    truth = {row["md5hash"]: row["label"] for row in rows(drawn / "drawn_truth.csv")}
    assert [row["md5hash"] for row in answers] == ids
    assert all(truth[row["md5hash"]] == row["label"] for row in answers)
    assert sorted(row["md5hash"] for row in sample) == sorted(ids)
    assert [row["md5hash"] for row in sample] != ids
    guessed = sum(row["label"] == truth[row["md5hash"]] for row in sample)
    assert guessed < 0.2 * len(sample)  # the sample gives no answers away


def test_readme_says_that_it_is_drawn(drawn: Path) -> None:
    text = (drawn / "README.txt").read_text(encoding="utf-8")
    assert text.startswith("ALL PHOTOS IN THIS FOLDER ARE DRAWN")
    assert "proves nothing about dermatology" in text
    assert "--images 600 --size 96 --seed 0" in text


# --- what the plan promises ---------------------------------------------------------------------


def test_imbalance_is_about_ten_to_one_and_no_kind_is_missing() -> None:
    photos = plan_photos(1000, seed=3)
    train = Counter(photo.label for photo in photos if photo.split == "train")
    test = Counter(photo.label for photo in photos if photo.split == "test")
    assert set(train) == set(test) == set(KINDS)
    assert 7 <= max(train.values()) / min(train.values()) <= 13


@given(images=st.integers(100, 400), seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_plans_keep_their_numbers(images: int, seed: int) -> None:
    photos = plan_photos(images, seed)
    train = [photo for photo in photos if photo.split == "train"]
    assert len(photos) == len({photo.image_id for photo in photos}) == images
    assert len(train) == round(0.7 * images)
    assert {photo.kind for photo in train} == set(KINDS)
    assert {photo.kind for photo in photos if photo.split == "test"} == set(KINDS)
    assert {photo.change for photo in photos} >= {"exact", "re-encoded", "mirrored", "brightened"}


def test_tones_are_partly_unknown_and_doubted_by_a_second_opinion() -> None:
    photos = plan_photos(3000, seed=1)
    unknown = np.mean([photo.stated_tone == -1 for photo in photos])
    both = [photo for photo in photos if photo.second_tone != -1]
    apart = np.abs([photo.second_tone - photo.tone for photo in both])
    assert 0.02 < unknown < 0.06
    assert 0.4 < np.mean(apart == 0) < 0.6
    assert np.mean(apart <= 1) > 0.85
    assert any(photo.stated_tone == -1 for photo in both)
    shares = Counter(photo.tone for photo in photos)
    assert shares[2] > 4 * shares[6] > 0


def test_the_mix_of_kinds_differs_by_tone() -> None:
    photos = plan_photos(3000, seed=1)
    tones = {
        kind: np.mean([photo.tone for photo in photos if photo.kind == kind]) for kind in KINDS
    }
    assert tones["drawn-knots-scratched"] > tones["drawn-dome-shiny"] + 1


def test_other_seeds_plan_other_sets() -> None:
    assert plan_photos(100, seed=0) == plan_photos(100, seed=0)
    one, other = plan_photos(100, seed=0), plan_photos(100, seed=1)
    assert not {photo.image_id for photo in one} & {photo.image_id for photo in other}


# --- copies -------------------------------------------------------------------------------------


def test_copies_are_there_as_the_truth_says(drawn: Path) -> None:
    truth = {row["md5hash"]: row for row in rows(drawn / "drawn_truth.csv")}
    paths = {path.stem: path for path in drawn.rglob("*.jpg")}
    copies = [row for row in truth.values() if row["copy_of"]]
    assert len(copies) == 12
    across = [row for row in copies if row["split"] != truth[row["copy_of"]]["split"]]
    assert 0 < len(across) < len(copies)
    for row in copies:
        copy, original = paths[row["md5hash"]], paths[row["copy_of"]]
        same_bytes = copy.read_bytes() == original.read_bytes()
        assert same_bytes == (row["change"] == "exact")
        expected = pixels(original)
        if row["change"] == "mirrored":
            expected = expected[:, ::-1]
        difference = pixels(copy) - expected
        if row["change"] == "brightened":
            assert 4 < difference.mean() < 60
        else:
            assert abs(difference.mean()) < 1.5
            assert np.abs(difference).mean() < 6
        mask, original_mask = (
            pixels(drawn / "masks" / f"{name}.png") for name in (row["md5hash"], row["copy_of"])
        )
        if row["change"] == "mirrored":
            original_mask = original_mask[:, ::-1]
        assert np.array_equal(mask, original_mask)


def test_only_copies_share_bytes_and_a_few_of_them_are_labelled_wrongly(drawn: Path) -> None:
    truth = {row["md5hash"]: row for row in rows(drawn / "drawn_truth.csv")}
    by_bytes: dict[bytes, list[str]] = {}
    for path in drawn.rglob("*.jpg"):
        by_bytes.setdefault(path.read_bytes(), []).append(path.stem)
    for twins in (names for names in by_bytes.values() if len(names) > 1):
        assert any(truth[name]["change"] == "exact" for name in twins)
    wrong = [row for row in truth.values() if row["label"] != row["kind"]]
    assert 0 < len(wrong) <= 4
    for row in wrong:
        assert row["split"] == "train"
        assert row["copy_of"]
        assert KINDS[row["kind"]].lookalike == row["label"]


# --- the same bytes again -----------------------------------------------------------------------


def test_same_seed_same_bytes_whatever_the_number_of_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write.os, "cpu_count", lambda: 1)
    one = contents(draw_set(tmp_path / "one", images=100, size=48, seed=5))
    monkeypatch.setattr(write.os, "cpu_count", lambda: 3)
    three = contents(draw_set(tmp_path / "three", images=100, size=48, seed=5))
    assert one == three


def test_a_photo_does_not_depend_on_the_photos_drawn_before() -> None:
    def draw() -> np.ndarray:
        return draw_image("drawn-star", 2, 64, np.random.default_rng(9))[0]

    first = draw()
    draw_image("drawn-ring", 5, 80, np.random.default_rng(1))
    assert np.array_equal(first, draw())


# --- pictures -----------------------------------------------------------------------------------


@given(
    kind=st.sampled_from([None, *KINDS]),
    tone=st.integers(1, 6),
    size=st.integers(48, 90),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_any_picture_has_its_size_and_a_mask(
    kind: str | None, tone: int, size: int, seed: int
) -> None:
    image, mask = draw_image(kind, tone, size, np.random.default_rng(seed))
    assert image.dtype == np.uint8
    assert mask.dtype == np.bool_
    assert image.shape == (*mask.shape, 3)
    assert mask.size == pytest.approx(size * size, rel=0.1)
    assert mask.any() == (kind is not None)
    assert mask.mean() < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_photo_differs_from_bare_skin_where_the_mask_is(kind: str) -> None:
    inside, outside, untouched = [], [], []
    for seed, tone in itertools.product(range(3), (1, 3, 6)):
        image, mask = draw_image(kind, tone, 96, np.random.default_rng([seed, tone]))
        skin, empty = draw_image(None, tone, 96, np.random.default_rng([seed, tone]))
        assert not empty.any()
        difference = np.abs(image.astype(float) - skin).mean(axis=-1)
        inside.append(difference[mask].mean())
        outside.append(difference[~mask].mean())
        untouched.append((difference == 0).mean())
    assert np.mean(inside) > 6
    assert np.mean(inside) > 5 * np.mean(outside)
    assert np.mean(untouched) > 0.3  # skin, light and camera are the same


def test_skin_has_the_published_typology_angles() -> None:
    for tone, (low, high) in PUBLISHED_ANGLES.items():
        rng = np.random.default_rng(tone)
        colours = np.array([base_colour(tone, rng) for _ in range(200)])
        angles = np.degrees(np.arctan2(colours[:, 0] - 50, colours[:, 2]))
        assert low < angles.min() < angles.max() < high
        assert np.ptp(angles) > 5  # people of one tone differ


def test_photos_of_skin_keep_the_order_and_ranges_of_the_tones() -> None:
    medians = []
    for tone, (low, high) in PUBLISHED_ANGLES.items():
        photos = [draw_image(None, tone, 40, np.random.default_rng([8, n]))[0] for n in range(60)]
        angles = [angle_of(to_lab(photo)) for photo in photos]
        medians.append(np.median(angles))
        assert low < medians[-1] < high
        assert np.std(angles) > 3  # light and camera blur the borders
    assert medians == sorted(medians, reverse=True)


def test_redness_shows_less_on_dark_skin() -> None:
    def reddening(tone: int) -> float:
        changes = []
        for seed in range(12):
            image, mask = draw_image("drawn-plaque-smooth", tone, 64, np.random.default_rng(seed))
            skin, _ = draw_image(None, tone, 64, np.random.default_rng(seed))
            changes.append((to_lab(image) - to_lab(skin))[mask][:, 1].mean())
        return float(np.mean(changes))

    light, dark = reddening(1), reddening(6)
    assert light > 1.5 * dark > 0


def test_colour_alone_does_not_give_the_label_away(drawn: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import f1_score
    from sklearn.model_selection import train_test_split

    paths = {path.stem: path for path in drawn.rglob("*.jpg")}
    truth = [row for row in rows(drawn / "drawn_truth.csv") if not row["copy_of"]]
    labels = [row["label"] for row in truth]
    for mode in ("RGB", "HSV"):
        histograms = []
        for row in truth:
            colours = np.asarray(opened(paths[row["md5hash"]]).convert(mode)).reshape(-1, 3)
            cells = (colours.astype(int) // 32) @ [64, 8, 1]
            histograms.append(np.bincount(cells, minlength=512) / len(cells))
        known, held_out, known_labels, held_out_labels = train_test_split(
            np.sqrt(histograms), labels, test_size=0.2, random_state=0, stratify=labels
        )
        forest = RandomForestClassifier(150, random_state=0).fit(known, known_labels)
        score = f1_score(held_out_labels, forest.predict(held_out), average="weighted")
        assert 0.08 < score < 0.4  # above chance: there is something in the photos


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_kind_or_tone_is_named() -> None:
    with pytest.raises(ValueError, match="'ring'"):
        draw_image("ring", 1, 64, np.random.default_rng(0))
    with pytest.raises(ValueError, match="Received: 7"):
        draw_image("drawn-ring", 7, 64, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"images": 99}, "at least 100 images.*Received: 99"),
        ({"size": 47}, "at least 48 pixels.*Received: 47"),
        ({"seed": -1}, "0 or more.*Received: -1"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, arguments: dict[str, int], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        draw_set(tmp_path / "set", **{"images": 100, "size": 48, "seed": 0, **arguments})
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        draw_set(tmp_path, images=100, size=48)
    assert contents(tmp_path) == {"train.csv": b"mine"}
    with pytest.raises(UserError, match="is a file"):
        draw_set(tmp_path / "train.csv", images=100, size=48)


def test_an_unchanged_drawn_set_is_replaced_and_a_changed_one_kept(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()  # an empty folder is taken
    draw_set(out, images=100, size=48, seed=0)
    draw_set(out, images=100, size=48, seed=1)
    assert "--seed 1" in (out / "README.txt").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with (out / "train.csv").open("a") as file:
        file.write("a line of mine\n")
    before = contents(out)
    with pytest.raises(UserError, match="changed by somebody else"):
        draw_set(out, images=100, size=48, seed=0)
    assert contents(out) == before


@pytest.mark.parametrize("there_before", [False, True])
def test_an_interrupted_drawing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there_before: bool
) -> None:
    out = tmp_path / "set"
    if there_before:
        draw_set(out, images=100, size=48, seed=0)
    before = contents(tmp_path)
    calls = itertools.count()
    encode = write.encode_photo

    def interrupted(*arguments: object) -> tuple[bytes, bytes]:
        if next(calls) == 50:
            raise KeyboardInterrupt
        return encode(*arguments)

    monkeypatch.setattr(write, "encode_photo", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_set(out, images=100, size=48, seed=1)
    assert contents(tmp_path) == before
