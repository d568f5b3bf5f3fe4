"""The SavedModel with metadata: as in this process, by name, and by the photo alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ajl_tf import predict
from ajl_tf.dataset.metadata import Column, clean, coded
from ajl_tf.errors import run_verb
from ajl_tf.models.classifier import build_classifier
from ajl_tf.models.metadata import photo_only
from ajl_tf.serving.batch import predict_photos
from ajl_tf.serving.blend import answer
from ajl_tf.serving.recorded import columns_taken
from ajl_tf.serving.savedmodel import Member, class_names, load, save
from ajl_tf.serving.spread import predict_spread
from ajl_tf.serving.with_metadata import coded_texts, make_server, served_columns

pytestmark = pytest.mark.usefixtures("tiny_backbone")
NAMES = ("acne", "eczema", "tinea")
SEX = Column("sex", "category", ("female", "male", "ärztin"))
AGE = Column("age", "number", (), 50.0, 20.0)
WEIGHTS = (0.3, 0.7)
SITE = Column("site", "category", ("1", "2", "arm", "leg"))
TABLE = pd.DataFrame(
    {
        "sex": ["female", " Male ", "ÄRZTIN", "diverse", "", "unknown", "male", "-1", "nan", "1.0"],
        "age": ["20", "30.0", "", "-1", "unknown", " 77.5", "-1.0", "1e3", "NaN", "0"],
        "site": ["arm", "leg", "1", "1.0", "", "Leg", "toe", "ARM", "2", "2.00"],
    }
)


@pytest.fixture(scope="module")
def members(tiny_backbone: str, tiny_classifiers: list[Any]) -> list[Member]:
    """One of the photo alone, and one with three columns."""
    keras.utils.set_random_seed(0)
    columns = (SEX, AGE, SITE)
    network = build_classifier(tiny_backbone, "none", 32, 3, 0.0, metadata=columns)
    rng = np.random.default_rng(0)
    network.head.set_weights([rng.normal(0, 1, w.shape) for w in network.head.weights])
    networks = (tiny_classifiers[0].model, network.model)
    given = zip(networks, WEIGHTS, strict=True)
    return [Member(each, 32, None, "none", weight) for each, weight in given]


@pytest.fixture(scope="module")
def folder(members: list[Member], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_server(members, NAMES, 40, "cover"), tmp_path_factory.mktemp("told"), {})


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load(folder)


@pytest.fixture(scope="module")
def canvases() -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (len(TABLE), 40, 40, 3)).astype(np.uint8)


def texts(table: pd.DataFrame) -> dict[str, tf.Tensor]:
    return {name: tf.constant(table[name].to_numpy(object)) for name in table}


def said(members: list[Member], canvases: np.ndarray, table: pd.DataFrame | None) -> np.ndarray:
    """What the networks give in this process, metadata encoded by pandas."""
    logits = []
    for member in members:
        known = table is not None and member.columns
        codes = tf.constant(coded(table, member.columns)) if known else None
        logits.append(member.outputs()(tf.constant(canvases), codes)[1].numpy())
    return answer(logits, WEIGHTS)


def test_texts_mean_in_the_graph_what_they_mean_in_a_table() -> None:
    for column in (SEX, AGE, SITE):
        cells = TABLE[column.name]
        got = coded_texts(column, tf.constant(cells.to_numpy(object)))
        np.testing.assert_allclose(got, column.codes(clean(cells)), rtol=1e-6)


def test_a_number_that_is_none_is_refused_by_the_graph() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="45 years"):
        coded_texts(AGE, tf.constant(["45 years"]))


def test_it_says_with_metadata_what_is_said_in_this_process(
    model: Any, members: list[Member], canvases: np.ndarray
) -> None:
    got = model.signatures["serve_metadata"](images=tf.constant(canvases), **texts(TABLE))
    expected = said(members, canvases, TABLE)
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-5)
    alone = said(members, canvases, None)
    known = np.array([0, 1, 2, 5, 6, 7, 8, 9])
    assert np.abs(expected - alone)[known].max(axis=1).min() > 0.01
    named = [name.decode() for name in got["predicted"].numpy()]
    assert named == [NAMES[place] for place in expected.argmax(axis=1)]


def test_without_metadata_it_says_what_the_photo_says(
    model: Any, members: list[Member], canvases: np.ndarray
) -> None:
    got = model.signatures["serving_default"](images=tf.constant(canvases))["probabilities"]
    np.testing.assert_allclose(got, said(members, canvases, None), atol=1e-5)
    nothing = texts(TABLE.assign(sex="", age="unknown", site="-1"))
    told = model.signatures["serve_metadata"](images=tf.constant(canvases), **nothing)
    np.testing.assert_allclose(told["probabilities"], got, atol=1e-6)
    outputs = members[1].outputs()(tf.constant(canvases))[1]
    resized = tf.image.resize(canvases, (32, 32))
    np.testing.assert_allclose(outputs, photo_only(members[1].model)(resized), atol=1e-4)


def test_files_take_metadata_too(model: Any, canvases: np.ndarray) -> None:
    files = [tf.io.encode_png(canvas) for canvas in canvases]
    got = model.signatures["serve_bytes_metadata"](bytes=tf.stack(files), **texts(TABLE))
    expected = model.signatures["serve_metadata"](images=tf.constant(canvases), **texts(TABLE))
    np.testing.assert_allclose(got["probabilities"], expected["probabilities"], atol=1e-6)
    alone = model.signatures["serve_bytes"](bytes=tf.stack(files))
    by_image = model.signatures["serving_default"](images=tf.constant(canvases))
    np.testing.assert_allclose(alone["probabilities"], by_image["probabilities"], atol=1e-6)


def test_the_inputs_have_the_columns_names(model: Any) -> None:
    inputs = model.signatures["serve_metadata"].structured_input_signature[1]
    assert set(inputs) == {"images", "sex", "age", "site"}
    told = {column["name"]: column for column in columns_taken(model)}
    assert told["sex"] == {
        "name": "sex",
        "kind": "category",
        "values": ["female", "male", "ärztin"],
    }
    assert told["age"]["kind"] == "number"
    assert told["site"]["values"] == ["1", "2", "arm", "leg"]
    assert class_names(model) == list(NAMES)


def test_views_of_a_photo_share_its_metadata(members: list[Member], canvases: np.ndarray) -> None:
    network, codes = members[1].model, tf.constant(coded(TABLE, members[1].columns))
    flips = Member(network, 32, views="flips").outputs()(tf.constant(canvases), codes)[1]
    photo = tf.image.resize(canvases, (32, 32))
    turned = [tf.image.rot90(photo, turns) for turns in range(4)]
    views = [*turned, *(tf.reverse(view, (2,)) for view in turned)]
    expected = np.mean([network([view, codes]) for view in views], axis=0)
    np.testing.assert_allclose(flips, expected, atol=1e-3)


def test_several_networks_columns_are_one_list(tiny_backbone: str) -> None:
    other = Column("sex", "category", ("divers", "male"))
    models = [
        build_classifier(tiny_backbone, "none", 32, 3, 0.0, metadata=columns).model
        for columns in ((SEX, AGE), (other, Column("site", "number")), (SITE,))
    ]
    told = served_columns([Member(model, 32) for model in models])
    assert [(each["name"], each["kind"]) for each in told] == [
        ("sex", "category"),
        ("age", "number"),
        ("site", "number"),
    ]
    assert told[0]["values"] == ["divers", "female", "male", "ärztin"]


def test_a_model_of_photos_alone_has_nothing_of_it(saved_model: Path) -> None:
    plain = load(saved_model)
    assert set(plain.signatures) == {"serving_default", "serve_bytes"}
    assert columns_taken(plain) == []
    assert not hasattr(plain, "serve_metadata")


@pytest.mark.skipif("AJL_RAY" not in os.environ, reason="AJL_RAY=1 runs Ray, see test_spread")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # at its own settings
def test_workers_are_told_each_photos_metadata(
    folder: Path, model: Any, canvases: np.ndarray, tmp_path: Path
) -> None:
    for number, canvas in enumerate(canvases):
        tf.io.write_file(str(tmp_path / f"{number}.png"), tf.io.encode_png(canvas))
    paths = [tmp_path / f"{number}.png" for number in range(len(canvases))]
    cells = {name: TABLE[name].to_numpy(object) for name in TABLE}
    # Ten photos are two blocks, for two workers at most.
    answers = list(predict_spread(folder, paths, 1, cells, workers=3))
    expected = list(predict_photos(model, paths, 4, cells))
    got, wanted = (
        np.concatenate([each.probabilities for each in given]) for given in (answers, expected)
    )
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert list(predict_spread(folder, [], 4, None, workers=2)) == []


def test_shards_take_what_is_told_of_the_photos_of_others(
    folder: Path, drawn_set: Path, tmp_path: Path
) -> None:
    """Of three photos one is told; a shard has others, or no photo at all."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted((drawn_set / "test" / "test").glob("*.jpg"))[:3]):
        shutil.copy(path, photos / f"{number}.jpg")
    told = tmp_path / "told.csv"
    told.write_text("image_id,sex\n0,male\n", encoding="utf-8")
    ids: list[str] = []
    for shard in range(8):
        out = tmp_path / f"{shard}.csv"
        words = [str(folder), str(photos), "--out", str(out), "--metadata", str(told)]
        assert run_verb(predict.main, [*words, "--shard", f"{shard}/8"]) == 0
        ids += pd.read_csv(out, dtype=str)["image_id"].tolist()
    assert ids == ["0", "1", "2"]
