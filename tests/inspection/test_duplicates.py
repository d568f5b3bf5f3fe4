"""Copies are found, and nothing else; a photo is looked at once; a bad file is said, not fatal."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from ajl_tf.dataset.manifest import read_manifest
from ajl_tf.dataset.phantom import draw_set
from ajl_tf.inspection import examination
from ajl_tf.inspection.duplicates import find_duplicates
from ajl_tf.inspection.grouping import group_duplicates
from ajl_tf.inspection.survey import survey


def stored(image: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def two_thirds(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return image[: height * 2 // 3, width // 3 :]


def lettered(image: np.ndarray) -> np.ndarray:
    """The same lines, logo and ruler on any photo."""
    marked = image.copy()
    for height in (60, 150, 240):
        cv2.putText(marked, "(c) 2009 city clinic", (10, height), 0, 0.7, (255,) * 3, 2)
    cv2.circle(marked, (30, 30), 20, (20, 40, 160), -1)
    for step in range(0, image.shape[1], 8):
        cv2.line(marked, (step, len(image) - 16), (step, len(image)), (0,) * 3, 2)
    return marked


CHANGES = {
    "re-encoded": lambda x: x,
    "stored badly": lambda x: stored(x, 25),
    "resized": lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "cropped": lambda x: x[: round(len(x) * 0.8), round(x.shape[1] * 0.2) :],
    "cropped by a third": two_thirds,
    "mirrored": lambda x: x[:, ::-1],
    "upside down": lambda x: x[::-1],
    "turned by 90°": lambda x: np.rot90(x),
    "turned by 180°": lambda x: np.rot90(x, 2),
    "turned by 270°": lambda x: np.rot90(x, 3),
    "squeezed": lambda x: cv2.resize(x, (128, 128), interpolation=cv2.INTER_AREA),
    "brightened": lambda x: np.clip(x * 1.3, 0, 255).astype(np.uint8),
    "dimmed": lambda x: (x * 0.7).astype(np.uint8),
    "marked": lettered,
    "framed": lambda x: np.pad(x, ((30, 30), (30, 30), (0, 0)), constant_values=255),
    "turned, mirrored, cropped": lambda x: two_thirds(np.rot90(x)[:, ::-1]),
    "marked, halved": lambda x: CHANGES["resized"](lettered(x)),
}


def saved(folder: Path, name: str, image: np.ndarray, quality: int = 80) -> dict[str, str]:
    path = folder / f"{name}.jpg"
    Image.fromarray(np.ascontiguousarray(image)).save(path, quality=quality)
    return {"image_id": name, "path": str(path), "group_id": name}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("drawn"), 100, 256)


@pytest.fixture(scope="module")
def originals(drawn: Path) -> list[np.ndarray]:
    paths = read_manifest([drawn])["path"].iloc[:16]
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_nothing_else(
    originals: list[np.ndarray], change: str, tmp_path: Path
) -> None:
    rows = []
    for number, image in enumerate(originals[:8]):
        rows.append(saved(tmp_path, f"{number}", image, 92))
        rows.append(saved(tmp_path, f"{number} copy", CHANGES[change](image), 70))
    rows += [saved(tmp_path, f"other {i}", image) for i, image in enumerate(originals[8:])]
    pairs = find_duplicates(pd.DataFrame(rows), tmp_path / "cache")
    found = set(zip(pairs["first"], pairs["second"], strict=True))
    planted = {(f"{number}", f"{number} copy") for number in range(8)}
    assert len(found & planted) >= 7
    # Sixteen drawings are alike in style, never the same.
    assert found <= planted
    assert set(pairs["kind"]) == {"near"}
    assert pairs["similarity"].between(0, 1).all()


def test_photos_that_share_lettering_a_logo_and_a_ruler_are_no_copies(
    originals: list[np.ndarray], tmp_path: Path
) -> None:
    rows = [saved(tmp_path, str(i), lettered(x)) for i, x in enumerate(originals)]
    assert find_duplicates(pd.DataFrame(rows), None).empty


def test_the_copies_of_a_drawn_set_are_those_of_its_truth_file(drawn: Path) -> None:
    pairs = find_duplicates(read_manifest([drawn], labels=False), None)
    truth = pd.read_csv(drawn / "drawn_truth.csv")
    copies = truth[truth["copy_of"].notna()]
    found = {frozenset(pair) for pair in pairs[["first", "second"]].itertuples(index=False)}
    assert len(copies) > 3
    assert found == {
        frozenset(pair) for pair in copies[["md5hash", "copy_of"]].itertuples(index=False)
    }


def smooth_pictures() -> list[np.ndarray]:
    """Next to nothing is in them: walls, gradients, corners in the shade, one soft spot."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:180, :240] / 180
    pictures = []
    for number in range(80):
        angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7, 2)
        away = np.hypot(x - 4 / 3 * centre[0], y - centre[1])
        light = (
            np.ones_like(x),
            0.7 + rng.uniform(0.1, 0.6) * (np.cos(angle) * x + np.sin(angle) * y),
            1.1 - rng.uniform(0.1, 0.6) * away ** rng.uniform(1, 2),
            1 - rng.uniform(0.2, 0.5) * np.exp(-((away / rng.uniform(0.1, 0.3)) ** 2)),
        )[number % 4]
        skin = np.array([200, 160, 135]) * rng.uniform(0.5, 1.1) * light[..., None]
        noise = rng.normal(0, rng.uniform(0, 2), (180, 240, 1))
        pictures.append(np.clip(skin + noise, 0, 255).astype(np.uint8))
    return pictures


def test_pictures_with_nothing_in_them_are_no_copies(
    originals: list[np.ndarray], tmp_path: Path
) -> None:
    rows = [saved(tmp_path, f"smooth {i}", x) for i, x in enumerate(smooth_pictures())]
    for number, image in enumerate(originals):
        blurred = cv2.GaussianBlur(image, (0, 0), 0.06 * min(image.shape[:2]))
        rows.append(saved(tmp_path, f"blurred {number}", blurred))
    assert find_duplicates(pd.DataFrame(rows), None).empty


def test_identical_files_and_given_groups(originals: list[np.ndarray], tmp_path: Path) -> None:
    rows = pd.DataFrame([saved(tmp_path, name, originals[0]) for name in ("b", "a")])
    rows.loc[2] = saved(tmp_path, "c", originals[1])
    rows.loc[3] = {**saved(tmp_path, "d", originals[2]), "group_id": "c"}
    pairs = find_duplicates(rows, None)
    assert pairs.to_dict("records") == [
        {"first": "a", "second": "b", "kind": "identical", "similarity": 1.0, "change": ""}
    ]
    assert group_duplicates(rows, None)["group_id"].tolist() == ["a", "a", "c", "c"]


def test_a_photo_is_looked_at_once(
    originals: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame([saved(tmp_path, str(i), x) for i, x in enumerate(originals[:4])])
    cache = tmp_path / "cache"
    seen, pairs = survey(rows, cache), find_duplicates(rows, cache)
    decoded = []
    open_photo = examination.open_photo
    monkeypatch.setattr(
        examination, "open_photo", lambda data: decoded.append(1) or open_photo(data)
    )
    pd.testing.assert_frame_equal(survey(rows, cache), seen)
    pd.testing.assert_frame_equal(find_duplicates(rows, cache), pairs)
    assert not decoded
    saved(tmp_path, "1", originals[5])  # another photo under the old name
    again = survey(rows, cache)
    assert len(decoded) == 1
    assert (again["digest"] != seen["digest"]).tolist() == [False, True, False, False]


def test_sizes_and_unreadable_files(originals: list[np.ndarray], tmp_path: Path) -> None:
    rows = pd.DataFrame(
        [
            saved(tmp_path, "good", originals[0][:100, :200]),
            saved(tmp_path, "torn", originals[1]),
            saved(tmp_path, "text", originals[2]),
            saved(tmp_path, "gone", originals[3]),
        ]
    )
    whole = (tmp_path / "torn.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_bytes(b"dear diary")
    (tmp_path / "gone.jpg").unlink()
    seen = survey(rows, None).set_index("image_id")
    assert seen["readable"].tolist() == [True, False, False, False]
    assert (seen.loc["good", "width"], seen.loc["good", "height"]) == (200, 100)
    assert "damaged" in seen.loc["torn", "reason"]
    assert "not a JPEG or PNG photo" in seen.loc["text", "reason"]
    assert "cannot be read" in seen.loc["gone", "reason"]
    assert seen.loc[["torn", "text", "gone"], "brightness"].isna().all()
    assert find_duplicates(rows, None).empty


def test_a_damaged_cache_is_set_aside(originals: list[np.ndarray], tmp_path: Path) -> None:
    rows = pd.DataFrame([saved(tmp_path, "a", originals[0])])
    cache = tmp_path / "cache"
    seen = survey(rows, cache)
    (file,) = cache.glob("*.sqlite")
    file.write_bytes(b"not a database at all" * 100)
    with pytest.warns(UserWarning, match="was damaged"):
        pd.testing.assert_frame_equal(survey(rows, cache), seen)
    assert len(list(cache.glob("*.damaged-*"))) == 1


def test_a_turned_photo_has_the_size_that_a_viewer_shows(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), "tan").save(stream, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    rows = pd.DataFrame([{"image_id": "a", "path": str(tmp_path / "a.jpg")}])
    assert survey(rows, None).loc[0, ["width", "height"]].tolist() == [40, 60]


def mistyped(photo: np.ndarray, orientation: int) -> bytes:
    """A JPEG with an orientation, and a resolution that is text instead of a fraction."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = bytearray(exif.tobytes())  # "Exif\0\0", then TIFF with one entry of 12 bytes
    assert block[14:16] == b"\0\x01"
    entry = bytes.fromhex("011a 0002 00000004") + b"abc\0"
    block[14:16] = b"\0\x02"
    block[28:28] = entry
    stream = io.BytesIO()
    Image.fromarray(photo[..., ::-1]).save(stream, "JPEG", quality=95, exif=bytes(block))
    return stream.getvalue()


def test_a_malformed_tag_beside_the_orientation_hides_no_copy(
    originals: list[np.ndarray], tmp_path: Path
) -> None:
    """TensorFlow's decoder, and so training, takes no notice of it."""
    photo = originals[0]
    (tmp_path / "a.jpg").write_bytes(mistyped(np.ascontiguousarray(np.rot90(photo)), 6))
    with pytest.raises((TypeError, AttributeError, struct.error)):
        ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))
    cv2.imwrite(str(tmp_path / "b.jpg"), photo)
    rows = pd.DataFrame(
        {"image_id": ["a", "b"], "path": [str(tmp_path / f"{name}.jpg") for name in "ab"]}
    )
    height, width = photo.shape[:2]
    seen = survey(rows, None)
    assert seen["readable"].all()
    assert seen.loc[0, ["width", "height"]].tolist() == [width, height]
    assert len(find_duplicates(rows, None)) == 1
