"""What each verb does with each kind of photo: the right pixels, or a reason. CONTRIBUTING says it.

The oracle is Pillow. A photo is of just the canvas's size, so that no resize blurs the comparison.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from ajl_tf import predict, preview, train
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.dataset.refusals import TOO_MANY_PIECES
from ajl_tf.errors import run_verb
from ajl_tf.serving.savedmodel import load

SIDE = 40
PROBABILITIES = ["prob_tinea", "prob_acne, mild", 'prob_the "other"']


def _picture() -> np.ndarray:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    waves = [np.sin(x / 13 + y / 29), np.cos(y / 11), np.sin(x / 7)]
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


def _encoded(photo: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    photo.save(out, kind, **options)
    return out.getvalue()


RGB = Image.fromarray(_picture())
ALPHA = RGB.copy()
ALPHA.putalpha(Image.fromarray(_picture()[::-1, :, 0]))
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a phone held upright
JPEG = _encoded(RGB, "JPEG")
_AT = JPEG.index(b"\xff\xc0") + 4  # the precision, in the frame's header
TWELVE_BITS = JPEG[:_AT] + bytes([12]) + JPEG[_AT + 1 :]
_ANIMATED: dict[str, Any] = {"save_all": True, "append_images": [RGB.rotate(180)]}

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: JPEG,
    "progressive JPEG": lambda: _encoded(RGB, "JPEG", progressive=True),
    "grey JPEG": lambda: _encoded(RGB.convert("L"), "JPEG"),
    "CMYK JPEG": lambda: _encoded(RGB.convert("CMYK"), "JPEG"),
    "RGB-stored JPEG": lambda: _encoded(RGB, "JPEG", keep_rgb=True),
    "turned JPEG": lambda: _encoded(RGB, "JPEG", exif=TURNED),
    "MPO": lambda: _encoded(RGB, "MPO", **_ANIMATED),
    "PNG": lambda: _encoded(RGB, "PNG"),
    "grey PNG": lambda: _encoded(RGB.convert("L"), "PNG"),
    "black and white PNG": lambda: _encoded(RGB.convert("1"), "PNG"),
    "palette PNG": lambda: _encoded(RGB.quantize(200), "PNG"),
    "palette PNG of 4 bits": lambda: _encoded(RGB.quantize(16), "PNG", bits=4),
    "palette PNG with alpha": lambda: _encoded(ALPHA.quantize(64), "PNG"),
    "16-bit PNG": lambda: _encoded(Image.fromarray(_picture()[..., 0].astype("u2") * 257), "PNG"),
    "PNG with alpha": lambda: _encoded(ALPHA, "PNG"),
    "grey PNG with alpha": lambda: _encoded(ALPHA.convert("LA"), "PNG"),
    "turned PNG": lambda: _encoded(RGB, "PNG", exif=TURNED),
    "animated PNG": lambda: _encoded(RGB, "PNG", **_ANIMATED),
    "JPEG after fill bytes": lambda: JPEG[:2] + b"\xff" * 10_000 + JPEG[2:],
    "1x1": lambda: _encoded(RGB.crop((7, 7, 8, 8)), "PNG"),
    "30000 wide": lambda: _encoded(RGB.resize((30_000, SIDE)), "PNG"),
}
UNSUPPORTED = "{} file; convert it to JPEG or PNG"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "WebP": (lambda: _encoded(RGB, "WEBP"), UNSUPPORTED.format("a WebP")),
    "animated WebP": (lambda: _encoded(RGB, "WEBP", **_ANIMATED), UNSUPPORTED.format("a WebP")),
    "GIF": (lambda: _encoded(RGB, "GIF"), UNSUPPORTED.format("a GIF")),
    "animated GIF": (lambda: _encoded(RGB, "GIF", **_ANIMATED), UNSUPPORTED.format("a GIF")),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1", UNSUPPORTED.format("a HEIC")),
    "TIFF": (lambda: _encoded(RGB, "TIFF"), UNSUPPORTED.format("a TIFF")),
    "truncated JPEG": (lambda: JPEG[:-100], "damaged, cut short or of a rare kind"),
    "truncated PNG": (lambda: _encoded(RGB, "PNG")[:-100], "damaged, cut short or of a rare kind"),
    "12-bit JPEG": (lambda: TWELVE_BITS, "damaged, cut short or of a rare kind"),
    "JPEG in pieces": (lambda: JPEG[:2] + b"\xff\xfe\0\2" * 20_000 + JPEG[2:], TOO_MANY_PIECES),
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"dear diary,", "not a JPEG or PNG photo (it begins with b'dear dia')"),
}


def by_pillow(data: bytes) -> np.ndarray:
    """Upright, on white, as RGB; the first picture of many."""
    with Image.open(io.BytesIO(data)) as opened:
        photo = ImageOps.exif_transpose(opened)
        if photo.mode == "I;16":
            return np.repeat((np.asarray(photo) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        if photo.has_transparency_data:
            white = Image.new("RGBA", photo.size, "white")
            photo = Image.alpha_composite(white, photo.convert("RGBA"))
        return np.asarray(photo.convert("RGB"))


def canvas_by_pillow(data: bytes) -> np.ndarray:
    pixels = by_pillow(data)
    if pixels.shape[:2] == (SIDE, SIDE):
        return pixels
    if pixels.shape[0] == 1:
        return np.broadcast_to(pixels[0, 0], (SIDE, SIDE, 3))
    left = (pixels.shape[1] - SIDE) // 2
    return pixels[:, left : left + SIDE]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds in one folder, each named .jpg whatever it is."""
    folder = tmp_path_factory.mktemp("photos")
    for name, make in ACCEPTED.items():
        (folder / f"{name}.jpg").write_bytes(make())
    for name, (make, _) in REFUSED.items():
        (folder / f"{name}.jpg").write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def model(saved_model: Path) -> Any:
    return load(saved_model)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_has_the_pixels_that_pillow_sees(
    name: str, photos: Path, model: Any, tmp_path: Path
) -> None:
    path = photos / f"{name}.jpg"
    expected = canvas_by_pillow(path.read_bytes())
    (trained,) = load_canvases(
        [str(path)], SIDE, "cover", cache=tmp_path, memory_limit_mb=1, announce=False
    )
    served = model.preprocess(tf.constant(path.read_bytes())).numpy()
    # Blending and the conversion of inks may round the other way.
    step = 1 if "alpha" in name or "CMYK" in name else 0
    assert np.abs(trained.astype(int) - expected).max() <= step
    np.testing.assert_array_equal(trained, served)


def test_predict_answers_for_what_is_accepted_and_lists_the_rest(
    photos: Path, saved_model: Path, model: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert run_verb(predict.main, [str(saved_model), str(photos), "--out", str(out)]) == 1
    table = read_predictions(out).set_index("image_id")
    assert sorted(table.index) == sorted(ACCEPTED)
    canvases = np.stack([canvas_by_pillow((photos / f"{n}.jpg").read_bytes()) for n in table.index])
    served = model.signatures["serving_default"](images=tf.constant(canvases))
    # One step of one channel moves a probability by less.
    np.testing.assert_allclose(table[PROBABILITIES], served["probabilities"], atol=0.01)
    errors = pd.read_csv(tmp_path / "out.csv.errors.csv").set_index("image_id")["reason"]
    assert sorted(errors.index) == sorted(REFUSED)
    for name, (_, reason) in REFUSED.items():
        assert errors[name].startswith(reason)


@pytest.mark.parametrize("name", REFUSED)
def test_the_savedmodels_own_functions_refuse_the_same(name: str, photos: Path, model: Any) -> None:
    data = (photos / f"{name}.jpg").read_bytes()
    words = "not a JPEG or PNG photo"
    if name.startswith(("truncated", "12-bit")):
        words = "Invalid (JPEG|PNG) data"
    elif name == "JPEG in pieces":
        words = re.escape(TOO_MANY_PIECES)
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        model.preprocess(tf.constant(data))
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        model.serve_bytes(tf.constant([JPEG, data]))


def test_serve_bytes_takes_all_that_is_accepted(photos: Path, model: Any) -> None:
    files = [(photos / f"{name}.jpg").read_bytes() for name in ACCEPTED]
    canvases = np.stack([model.preprocess(tf.constant(data)) for data in files])
    by_bytes = model.serve_bytes(tf.constant(files))["probabilities"]
    by_image = model.serving_default(tf.constant(canvases))["probabilities"]
    np.testing.assert_allclose(by_bytes, by_image, atol=1e-5)


EXPERIMENT = f"""
name = "it"
[data]
canvas = {SIDE}
[model]
backbone = "mobilenet_v2"
weights = "none"
input_size = 32
[[phases]]
name = "all"
epochs = 1
"""


@pytest.fixture
def arguments(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An experiment on a CSV that names every photo."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{path.stem},{path},{'ab'[i % 2]}" for i, path in enumerate(sorted(photos.iterdir()))]
    Path("all.csv").write_text("\n".join(["image_id,path,label", *rows]))
    Path("it.toml").write_text(EXPERIMENT)
    return ["it.toml", "--data", "all.csv"]


@pytest.mark.parametrize("verb", ["train", "preview"])
def test_train_and_preview_name_all_that_they_cannot_use_and_do_not_begin(
    verb: str, arguments: list[str], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb == "train":
        assert run_verb(train.main, arguments) == 2
    else:
        assert run_verb(preview.main, [*arguments, "--out", "grid.png", "--photos", "99"]) == 2
    said = capsys.readouterr().err
    assert f"{len(REFUSED)} of {len(REFUSED) + len(ACCEPTED)} photos cannot be used" in said
    for name, (_, reason) in REFUSED.items():
        assert re.search(rf"- {re.escape(str(photos / name))}\.jpg: {re.escape(reason)}", said)
    assert not any(str(photos / name) + ".jpg" in said for name in ACCEPTED)
    assert not Path("experiments/runs").exists()
    assert not Path("grid.png").exists()
