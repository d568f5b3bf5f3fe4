"""Which photos are explained, and by which network: never by one that trained on them unsaid."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ajl_tf.errors import UserError
from ajl_tf.explanation.choice import AVERAGE, Wanted, choose_photos
from ajl_tf.explanation.masks import read_masks, resized
from ajl_tf.files import write_text

IDS = list("abcdef")


@pytest.fixture
def photos(drawn_set: Path) -> dict[str, str]:
    """Six drawn photos under the ids a to f."""
    found = sorted((drawn_set / "test" / "test").glob("*.jpg"))[:6]
    return dict(zip(IDS, map(str, found), strict=True))


def member(folder: Path, predicted: pd.DataFrame | None = None) -> None:
    write_text(folder / "result.json", "{}")
    write_text(folder / "model.keras", "not looked into")
    if predicted is not None:
        write_text(folder / "predictions.csv", predicted.to_csv(index=False))


def predictions(ids: list[str], **more: object) -> pd.DataFrame:
    """Of two conditions; c, d and f are wrong, f by the widest margin."""
    sure = {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.2, "e": 0.7, "f": 0.1}
    x = np.array([sure[i] for i in ids])
    table = {"image_id": ids, "label": "x", "predicted": np.where(x > 0.5, "x", "y")}
    return pd.DataFrame({**table, "prob_x": x, "prob_y": 1 - x, **more})


def manifest(run: Path, photos: dict[str, str], **more: object) -> None:
    table = {"image_id": IDS, "path": list(photos.values()), "label": "x"}
    tones = {"skin_tone": [1, 2, 3, 4, 5, -1], "group_id": ["g", "g", *IDS[2:]]}
    write_text(run / "manifest.csv", pd.DataFrame({**table, **tones, **more}).to_csv(index=False))


@pytest.fixture
def folds(tmp_path: Path, photos: dict[str, str]) -> Path:
    run = tmp_path / "run"
    manifest(run, photos, fold=[0, 1, 0, 1, 0, 1])
    for fold, ids in ((0, ["a", "c", "e"]), (1, ["b", "d", "f"])):
        member(run / f"fold_{fold}", predictions(ids, fold=fold))
    return run


@pytest.fixture
def holdout(tmp_path: Path, photos: dict[str, str]) -> Path:
    run = tmp_path / "run"
    parts = ["train", "train", "validation", "validation", "test", "test"]
    manifest(run, photos, split=parts, drop_reason=[None, "poor", *[None] * 4])
    member(run, predictions(IDS[2:], split=parts[2:]))
    return run


def chosen(run: Path, wanted: Wanted) -> dict[str, tuple[str, object]]:
    rows = choose_photos(run, wanted)
    trained = [None if pd.isna(value) else bool(value) for value in rows["trained_on"]]
    return dict(zip(rows["image_id"], zip(rows["member"], trained, strict=True), strict=True))


def test_each_photo_has_the_fold_that_held_it_out(folds: Path) -> None:
    assert chosen(folds, Wanted()) == {
        **dict.fromkeys("ace", ("fold_0", False)),
        **dict.fromkeys("bdf", ("fold_1", False)),
    }
    assert set(chosen(folds, Wanted(fold=1))) == set("bdf")
    rows = choose_photos(folds, Wanted(fold=1)).set_index("image_id")
    assert rows["skin_tone"].to_dict() == {"b": 2, "d": 4, "f": -1}
    assert rows.loc["b", "group_id"] == "g"


@pytest.fixture
def stranger(drawn_set: Path) -> bytes:
    """A photo that no run knows."""
    return sorted((drawn_set / "test" / "test").glob("*.jpg"))[6].read_bytes()


def test_a_photo_of_the_run_is_known_by_its_content_and_a_stranger_is_not(
    folds: Path, photos: dict[str, str], stranger: bytes, tmp_path: Path
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "b.jpg").write_bytes(Path(photos["b"]).read_bytes())
    (some / "renamed.jpg").write_bytes(Path(photos["a"]).read_bytes())
    (some / "c.jpg").write_bytes(stranger)  # no c of the run, whatever its name
    wanted = {"a": ("fold_0", False), "b": ("fold_1", False), "c": (AVERAGE, None)}
    for named in ((some,), tuple(some.iterdir())):
        assert chosen(folds, Wanted(photos=named)) == wanted
    member(folds / "refit")
    assert chosen(folds, Wanted(photos=(some,))) == wanted | {"c": ("refit", None)}
    rows = choose_photos(folds, Wanted(photos=(some,))).set_index("image_id")
    assert rows.loc["b", "path"] == str(some / "b.jpg")
    assert rows.loc["b", "label"] == "x"
    assert pd.isna(rows.loc["c", "label"])
    assert rows.loc["c", "skin_tone"] == -1


def test_the_folder_that_the_run_trained_on_is_known(folds: Path, photos: dict[str, str]) -> None:
    folder = Path(photos["a"]).parent
    assert {i: who for i, who in chosen(folds, Wanted(photos=(folder,))).items() if i in IDS} == {
        **dict.fromkeys("ace", ("fold_0", False)),
        **dict.fromkeys("bdf", ("fold_1", False)),
    }


def test_where_the_photos_of_a_run_are_gone_their_names_count(
    folds: Path, photos: dict[str, str], stranger: bytes, tmp_path: Path
) -> None:
    manifest(folds, {name: str(tmp_path / "gone" / name) for name in photos}, fold=[0, 1] * 3)
    (tmp_path / "b.jpg").write_bytes(stranger)
    assert chosen(folds, Wanted(photos=(tmp_path / "b.jpg",))) == {"b": ("fold_1", False)}


def test_a_copy_of_a_fold_is_none_of_the_run(folds: Path) -> None:
    member(folds / "fold_0.bak")
    member(folds / "fold_old")
    assert chosen(folds, Wanted(photos=())) == {
        **dict.fromkeys("ace", ("fold_0", False)),
        **dict.fromkeys("bdf", ("fold_1", False)),
    }


def test_a_holdout_says_what_it_trained_on(
    holdout: Path, photos: dict[str, str], tmp_path: Path
) -> None:
    assert chosen(holdout, Wanted()) == dict.fromkeys("cdef", ("holdout", False))
    assert set(chosen(holdout, Wanted(split="test"))) == {"e", "f"}
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(Path(photos[name]).read_bytes())
    named = tuple(tmp_path / f"{name}.jpg" for name in "abc")
    assert chosen(holdout, Wanted(photos=named)) == {
        "a": ("holdout", True),
        "b": ("holdout", False),  # dropped: it trained nothing
        "c": ("holdout", False),
    }


def test_mistakes_come_with_the_most_confident_first(folds: Path) -> None:
    assert list(chosen(folds, Wanted(misclassified=True))) == ["f", "d", "c"]
    assert list(chosen(folds, Wanted(misclassified=True, fold=1, limit=1))) == ["f"]


def test_a_limit_takes_any_photos_but_always_the_same(folds: Path) -> None:
    every, some = list(chosen(folds, Wanted())), list(chosen(folds, Wanted(limit=3)))
    assert some == every[:3]
    assert every != sorted(every)


def refused(run: Path, wanted: Wanted) -> str:
    with pytest.raises(UserError) as error:
        choose_photos(run, wanted)
    return str(error.value)


def test_what_does_not_fit_the_run_is_refused(folds: Path, photos: dict[str, str]) -> None:
    assert "this run has folds: choose with --fold" in refused(folds, Wanted(split="test"))
    assert "It has 0, 1" in refused(folds, Wanted(fold=7))
    both = Wanted(photos=(Path(photos["a"]),), fold=1)
    assert "not both" in refused(folds, both)
    twice = Wanted(photos=(Path(photos["a"]), Path(photos["a"])))
    assert "named twice" in refused(folds, twice)
    (folds / "fold_1" / "model.keras").unlink()
    assert str(folds / "fold_1" / "model.keras") in refused(folds, Wanted())


def test_a_holdout_has_no_folds(holdout: Path) -> None:
    assert "this run has a split: use --split" in refused(holdout, Wanted(fold=0))
    good = predictions(["c"], split="validation").assign(predicted="x", prob_x=0.9, prob_y=0.1)
    write_text(holdout / "predictions.csv", good.to_csv(index=False))
    assert "none of these photos is misclassified" in refused(holdout, Wanted(misclassified=True))
    (holdout / "result.json").unlink()
    assert "holds no trained model" in refused(holdout, Wanted())


def test_a_fold_that_was_not_trained_cannot_explain_its_photos(
    folds: Path, photos: dict[str, str], tmp_path: Path
) -> None:
    (folds / "fold_1" / "result.json").unlink()
    assert set(chosen(folds, Wanted())) == set("ace")
    photo = tmp_path / "b.jpg"
    photo.write_bytes(Path(photos["b"]).read_bytes())
    assert "photos of fold_1" in refused(folds, Wanted(photos=(photo,)))


def test_photos_that_were_moved_are_found_with_data(
    folds: Path, photos: dict[str, str], tmp_path: Path
) -> None:
    manifest(folds, {key: str(tmp_path / f"gone-{key}.jpg") for key in photos}, fold=[0, 1] * 3)
    message = refused(folds, Wanted())
    assert "6 of 6 photos are not where they were" in message
    assert "--data" in message
    table = pd.DataFrame({"image_id": IDS, "path": list(photos.values()), "label": "x"})
    table.to_csv(tmp_path / "now.csv", index=False)
    rows = choose_photos(folds, Wanted(data=(tmp_path / "now.csv",)))
    assert rows.set_index("image_id")["path"].to_dict() == photos


def test_masks_are_fitted_as_their_photos_are(drawn_set: Path) -> None:
    def grey(path: Path) -> np.ndarray:
        return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))

    photo = max(
        (drawn_set / "test" / "test").glob("*.jpg"), key=lambda path: np.ptp(grey(path).shape)
    )
    mask = grey(drawn_set / "masks" / f"{photo.stem}.png") > 127
    height, width = mask.shape
    side, top, left = min(mask.shape), max(0, (height - width) // 2), max(0, (width - height) // 2)
    found = read_masks(drawn_set / "masks", [photo.stem], [str(photo)], side, "cover")
    square = resized(found, side)[0]
    np.testing.assert_array_equal(square, mask[top : top + side, left : left + side])
    small = resized(found, side // 2)[0]
    assert small.mean() == pytest.approx(square.mean(), abs=0.03)


def test_masks_that_do_not_fit_are_all_named(drawn_set: Path, tmp_path: Path) -> None:
    paths = sorted((drawn_set / "test" / "test").glob("*.jpg"))[:3]
    Image.new("L", (7, 5)).save(tmp_path / f"{paths[0].stem}.png")
    (tmp_path / f"{paths[1].stem}.png").write_text("no picture")
    with pytest.raises(UserError) as error:
        read_masks(tmp_path, [p.stem for p in paths], [str(p) for p in paths], 32, "cover")
    message = str(error.value)
    assert f"{paths[0].stem}.png: 7×5, its photo" in message
    assert f"{paths[1].stem}.png: " in message
    assert f"{paths[2].stem}.png is missing" in message
    with pytest.raises(UserError, match="--masks takes a folder"):
        read_masks(tmp_path / "none", [], [], 32, "cover")
