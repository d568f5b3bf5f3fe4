"""Runs with metadata as SavedModels: fitted on what was recorded, alone or beside another run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf import export
from ajl_tf.dataset.metadata import Column
from ajl_tf.models.classifier import build_classifier
from ajl_tf.models.metadata import photo_only
from ajl_tf.serving.blend import answer
from ajl_tf.serving.savedmodel import load
from ajl_tf.serving.sources import Options, open_source, with_networks

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
TONE = Column("skin_tone", "category", tuple("123456"))


class Told:
    """A network that is asked of all photos in their order, each with its recorded tone."""

    def __init__(self, network: Any, tones: np.ndarray):
        self.network, self.tones = network, tones
        self.codes = np.where(tones > 0, tones - 1.0, np.nan)[:, None].astype(np.float32)

    def __call__(self, images: Any, training: bool) -> Any:
        return self.network([images, tf.constant(self.codes)], training=training)

    def save(self, path: Path) -> None:
        self.network.save(path)


@pytest.fixture(scope="module")
def told(tiny_backbone: str, networks: list[Any], photos: Any) -> Told:
    """As one of the networks, and moved by the tone beside what it sees."""
    classifier = build_classifier(tiny_backbone, "none", 32, 3, 0.0, metadata=(TONE,))
    *seen, kernel, bias = networks[1].get_weights()
    classifier.features.set_weights(seen)
    rng, (first, second, _) = np.random.default_rng(0), classifier.head.weights
    hidden, whole = rng.normal(0, 0.5, first.shape), rng.normal(0, 0.1, second.shape)
    classifier.head.set_weights([hidden, np.concatenate([kernel, whole[len(kernel) :]]), bias])
    return Told(classifier.model, photos.table["skin_tone"].to_numpy())


@pytest.fixture(scope="module")
def runs(
    run_of: Callable[..., Path],
    told: Told,
    networks: list[Any],
    photos: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    folder = tmp_path_factory.mktemp("metadata") / "runs"
    kinds = {"skin_tone": "category"}
    made = [
        run_of(folder, [told], photos, split=True, name="told", metadata=kinds),
        run_of(folder, [networks[0]], photos, split=True, name="plain"),
    ]
    shutil.copy(made[0] / "predictions.csv", made[0] / "predictions_photo_only.csv")
    return made


def test_a_network_is_shown_its_held_out_photos_with_what_was_recorded(
    runs: list[Path], told: Told, photos: Any
) -> None:
    source = with_networks(open_source(runs[0]), 40, Options())
    expected = told(tf.image.resize(photos.canvases, (32, 32)), training=False)
    np.testing.assert_allclose(source.held_out.logits, expected, atol=1e-3)


def test_it_serves_beside_a_run_of_photos_alone(
    runs: list[Path], told: Told, networks: list[Any], photos: Any, tmp_path: Path
) -> None:
    places = ["--saved-models", str(tmp_path), "--runs", str(tmp_path / "runs"), "--name", "both"]
    assert export.main([*map(str, runs), *places, "--no-unlike"]) == 0
    version = tmp_path / "both" / "1"
    facts = json.loads((version / "ajl_tf.json").read_text(encoding="utf-8"))
    weights = [run["weight"] for run in facts["runs"]]
    heat = facts["temperature"]["temperature"]
    assert min(weights) > 0
    images = np.stack([np.asarray(Image.open(path)) for path in photos.table["path"]])
    resized = tf.image.resize(photos.canvases, (32, 32))
    plain = networks[0](resized, training=False).numpy()
    cells = np.where(told.tones > 0, told.tones.astype(str), "").astype(object)
    model = load(version)
    with_tone = model.signatures["serve_metadata"](
        images=tf.constant(images), skin_tone=tf.constant(cells)
    )
    alone = model.signatures["serving_default"](images=tf.constant(images))
    known = told(resized, training=False).numpy()
    unknown = photo_only(told.network)(resized).numpy()
    for got, own in ((with_tone, known), (alone, unknown)):
        expected = answer([own, plain], weights, heat)
        np.testing.assert_allclose(got["probabilities"], expected, atol=1e-4)
    assert np.abs(with_tone["probabilities"] - alone["probabilities"]).max() > 0.01
    card = (version / "model_card.md").read_text(encoding="utf-8")
    assert "**skin_tone tells the skin's tone.**" in card
    assert card.count("| `skin_tone` | category | 1, 2, 3, 4, 5, 6 |") == 1
