"""One photo, one answer: however many are asked at once, in what order, as which kind of file."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ajl_tf import predict
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.errors import run_verb
from ajl_tf.serving.alarms import Unlike
from ajl_tf.serving.blend import answer
from ajl_tf.serving.savedmodel import Member, Server, load, save
from ajl_tf.serving.unlike import know

CLASS_NAMES = ["tinea", "acne, mild", 'the "other"']
CANVAS, ATOL = 40, 1e-5
WEIGHTS, HEAT = (0.3, 0.7), 4.0
SHARES = (0.25, 0.75)  # of how unlike a photo is
Answers = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def members(tiny_classifiers: list[Any]) -> list[Member]:
    """Two networks that share nothing: input, canvas, views, weight."""
    first, second = (classifier.model for classifier in tiny_classifiers)
    return [
        Member(first, 32, None, "none", WEIGHTS[0]),
        Member(second, 40, 36, "flips", WEIGHTS[1]),
    ]


@pytest.fixture(scope="module")
def unlike(members: list[Member], drawn_set: Path) -> Unlike:
    paths = sorted((drawn_set / "train" / "train").rglob("*.jpg"))[:60]
    canvases = load_canvases(
        [str(path) for path in paths],
        CANVAS,
        "cover",
        cache=drawn_set,
        memory_limit_mb=64,
        announce=False,
    )
    learned = [
        know(member.outputs()(canvases)[0].numpy(), np.ones(60), np.arange(60))
        for member in members
    ]
    known = tuple(each[0] for each in learned if each)
    return Unlike(known, SHARES, 0.95, 60, "drawn", ())


@pytest.fixture(scope="module")
def folder(members: list[Member], unlike: Unlike, tmp_path_factory: pytest.TempPathFactory) -> Path:
    server = Server(members, CLASS_NAMES, CANVAS, "cover", temperature=HEAT, unlike=unlike)
    return save(server, tmp_path_factory.mktemp("same") / "tiny", {})


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load(folder)


@pytest.fixture(scope="module")
def files(drawn_set: Path) -> list[bytes]:
    paths = sorted((drawn_set / "test" / "test").glob("*.jpg"))[:12]
    return [path.read_bytes() for path in paths]


def by_bytes(model: Any, files: list[bytes]) -> Answers:
    answers = model.signatures["serve_bytes"](bytes=tf.constant(files))
    return {name: values.numpy() for name, values in answers.items()}


def by_pixels(model: Any, pixels: np.ndarray) -> Answers:
    answers = model.signatures["serving_default"](images=tf.constant(pixels[None]))
    return {name: values.numpy() for name, values in answers.items()}


@pytest.fixture(scope="module")
def expected(model: Any, files: list[bytes]) -> Answers:
    return by_bytes(model, files)


def assert_same(got: Answers, expected: Answers, rows: list[int]) -> None:
    assert set(got) == {"probabilities", "predicted", "unlike"}
    np.testing.assert_allclose(got["probabilities"], expected["probabilities"][rows], atol=ATOL)
    np.testing.assert_allclose(got["unlike"], expected["unlike"][rows], atol=1e-3)
    assert got["predicted"].tolist() == expected["predicted"][rows].tolist()


def test_it_says_what_is_said_in_this_process(
    model: Any, members: list[Member], unlike: Unlike, files: list[bytes], expected: Answers
) -> None:
    canvases = tf.stack([model.preprocess(tf.constant(data)) for data in files])
    features, logits = zip(*(member.outputs()(canvases) for member in members), strict=True)
    told = answer([each.numpy() for each in logits], WEIGHTS, HEAT)
    np.testing.assert_allclose(expected["probabilities"], told, atol=ATOL)
    assert told.std(axis=0).min() > 0.01
    scores = [
        known.unlike(each.numpy()) for known, each in zip(unlike.known, features, strict=True)
    ]
    np.testing.assert_allclose(expected["unlike"], np.dot(SHARES, scores), atol=1e-3)
    assert float(model.unlike_threshold) == pytest.approx(0.95)


@given(size=st.integers(1, 257), seed=st.integers(0, 100))
@settings(max_examples=25)
def test_any_batch_in_any_order(
    model: Any, files: list[bytes], expected: Answers, size: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).integers(0, len(files), size).tolist()
    assert_same(by_bytes(model, [files[row] for row in rows]), expected, rows)


def test_the_largest_and_the_smallest_batch(
    model: Any, files: list[bytes], expected: Answers
) -> None:
    for size in (1, 257):
        rows = [row % len(files) for row in range(size)]
        assert_same(by_bytes(model, [files[row] for row in rows]), expected, rows)


def served_as_json(model: Any, body: str) -> str:
    """What TensorFlow Serving's REST API answers to a request in its row format."""
    request = json.loads(body)
    signature = model.signatures[request["signature_name"]]
    (inputs,) = signature.structured_input_signature[1:]
    columns = {
        name: tf.constant(
            [base64.b64decode(row[name]["b64"]) for row in request["instances"]]
            if spec.dtype == tf.string
            else [row[name] for row in request["instances"]],
            spec.dtype,
        )
        for name, spec in inputs.items()
    }
    answers = {name: values.numpy().tolist() for name, values in signature(**columns).items()}
    texts = {k: [v.decode() if isinstance(v, bytes) else v for v in a] for k, a in answers.items()}
    rows = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    return json.dumps({"predictions": rows})


@pytest.mark.parametrize("signature", ["serve_bytes", "serving_default"])
def test_a_request_as_tensorflow_serving_takes_it(
    model: Any, files: list[bytes], expected: Answers, signature: str
) -> None:
    if signature == "serve_bytes":
        instances = [{"bytes": {"b64": base64.b64encode(data).decode()}} for data in files[:3]]
    else:
        canvases = [model.preprocess(tf.constant(data)) for data in files[:3]]
        instances = [{"images": canvas.numpy().tolist()} for canvas in canvases]
    body = json.dumps({"signature_name": signature, "instances": instances})
    rows = json.loads(served_as_json(model, body))["predictions"]
    assert [row["predicted"] for row in rows] == [n.decode() for n in expected["predicted"][:3]]
    got = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(got, expected["probabilities"][:3], atol=ATOL)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_jpeg_or_png_grey_or_alpha(model: Any, files: list[bytes], expected: Answers) -> None:
    pixels = tf.io.decode_jpeg(files[0], dct_method="INTEGER_ACCURATE").numpy()
    photo = Image.fromarray(pixels)
    opaque = photo.copy()
    opaque.putalpha(255)
    for same in (encoded(photo, "PNG"), encoded(opaque, "PNG")):
        assert_same(by_bytes(model, [same]), expected, [0])
    grey = photo.convert("L")
    plain = by_pixels(model, np.asarray(grey)[..., None].repeat(3, axis=2))
    assert_same(by_bytes(model, [encoded(grey, "PNG")]), plain, [0])
    sheer = photo.copy()
    sheer.putalpha(Image.linear_gradient("L").resize(photo.size))
    on_white = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), sheer)
    plain = by_pixels(model, np.asarray(on_white.convert("RGB")))
    got = by_bytes(model, [encoded(sheer, "PNG")])
    # A colour may be rounded to the next step.
    np.testing.assert_allclose(got["probabilities"], plain["probabilities"], atol=0.05)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_as_exif_says(model: Any, files: list[bytes], orientation: int) -> None:
    pixels = tf.io.decode_jpeg(files[1], dct_method="INTEGER_ACCURATE").numpy()[:, 8:]
    photo = Image.fromarray(pixels)
    exif = photo.getexif()
    exif[0x0112] = orientation
    data = encoded(photo, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert_same(by_bytes(model, [data]), by_pixels(model, np.asarray(upright)), [0])


def test_the_verb_says_how_unlike_each_photo_is(
    folder: Path,
    model: Any,
    files: list[bytes],
    expected: Answers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, data in enumerate(files):
        (photos / f"{number:02}.jpg").write_bytes(data)
    (photos / "none.jpg").touch()
    out = tmp_path / "out.csv"
    words = [str(folder), str(photos), "--out", str(out), "--batch-size", "5"]
    assert run_verb(predict.main, words) == 1  # one cannot be read
    table = pd.read_csv(out)
    assert table["image_id"].tolist() == list(range(12))
    np.testing.assert_allclose(table["unlike"], expected["unlike"], atol=1e-3)
    assert expected["unlike"].std() > 0.01
    threshold = float(model.unlike_threshold)
    count = int((table["unlike"] > threshold).sum())
    assert f"unlike       {count} photos above {threshold:.3f}" in capsys.readouterr().out
