"""Small finished runs to export: real photos on disk, real answers of tiny networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf.assessment.predictions import make_predictions, read_manifest_columns, write_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.assessment.temperature import apply_temperature
from ajl_tf.config import Experiment
from ajl_tf.config_file import parse_experiment
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.runs import MANIFEST, PREDICTIONS, REPORT, RESULT, create_run, write_json

NAMES = ("acne", "eczema", "tinea")
ROWS = 120


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos of one hue each, with a pattern, on disk; their label mostly follows the hue."""

    table: pd.DataFrame
    canvases: np.ndarray


def draw_photos(folder: Path) -> Photos:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, ROWS)
    folder.mkdir()
    for number, label in enumerate(labels):
        base = rng.normal(120, 25, 3)
        base[label] += 60
        pattern = rng.normal(0, 12, (10, 10, 3)).repeat(4, axis=0).repeat(4, axis=1)
        pixels = (base + pattern).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    paths = sorted(folder.glob("*.png"))
    table = pd.DataFrame(
        {
            "image_id": [path.stem for path in paths],
            "path": [str(path) for path in paths],
            "label": np.asarray(NAMES)[labels],
            "skin_tone": rng.choice([1, 2, 3, 4, 5, 6, -1], ROWS),
            "group_id": [f"g{number // 2}" for number in range(ROWS)],
        }
    )
    canvases = load_canvases(
        table["path"].tolist(), 40, "contain", cache=folder, memory_limit_mb=64, announce=False
    )
    return Photos(table, canvases)


def experiment(name: str = "it", **model: Any) -> Experiment:
    values = {
        "name": name,
        "data": {"canvas": model.pop("canvas", 40), "fit": model.pop("fit", "contain")},
        "loss": {"logit_adjustment": model.pop("adjusted", 0.0)},
        "model": {"backbone": "tiny", "weights": "none", "input_size": 32, **model},
        "phases": [{"name": "all", "epochs": 1}],
    }
    return parse_experiment(values, "the test")


def logits(network: Any, canvases: np.ndarray, size: int = 32) -> np.ndarray:
    resized = tf.image.resize(canvases, (size, size))
    values: np.ndarray = network(resized, training=False).numpy()
    return values


def finish(
    folder: Path,
    networks: Sequence[Any],
    photos: Photos,
    *,
    split: bool = False,
    folds: np.ndarray | None = None,
    names: Sequence[str] = NAMES,
    size: int = 32,
) -> Path:
    """Writes what a training leaves: a run of folds, or with `split` of one network."""
    table = photos.table.copy()
    if split:
        table["split"] = np.where(np.arange(len(table)) % 4, "validation", "test")
        held = [np.ones(len(table), bool)]
        parts = [folder]
    else:
        numbers = np.arange(len(table)) // 2 % len(networks) if folds is None else folds
        table["fold"] = numbers
        held = [numbers == fold for fold in range(len(networks))]
        parts = [folder / f"fold_{fold}" for fold in range(len(networks))]
    table.to_csv(folder / MANIFEST, index=False)
    made = []
    for network, rows, part in zip(networks, held, parts, strict=True):
        part.mkdir(exist_ok=True)
        network.save(part / "model.keras")
        answers = apply_temperature(logits(network, photos.canvases[rows], size), 1.0)
        made.append(make_predictions(table[rows], names, answers))
        write_predictions(part / PREDICTIONS, made[-1])
        write_json(part / RESULT, {"class_names": list(names)})
    everything = pd.concat(made, ignore_index=True)
    write_predictions(folder / PREDICTIONS, everything)
    report = make_report(everything, read_manifest_columns(folder / MANIFEST), resamples=50)
    write_json(folder / REPORT, report)
    return folder


def new_run(runs: Path, networks: Sequence[Any], photos: Photos, **options: Any) -> Path:
    """A finished run; `options` are those of `finish` and `experiment`."""
    kept = {key: options.pop(key) for key in ("split", "folds", "names", "size") if key in options}
    made = experiment(**options)
    return finish(create_run(made, runs, ["the test"]), networks, photos, **kept)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """A hundred and twenty photos of three conditions."""
    return draw_photos(tmp_path_factory.mktemp("photos") / "of three")


@pytest.fixture(scope="session")
def networks(tiny_classifiers: list[Any], photos: Photos) -> list[Any]:
    """Three networks that know the conditions somewhat: heads fitted to disturbed labels."""
    (first, second), labels = tiny_classifiers, photos.table["label"].map(NAMES.index).to_numpy()
    made = []
    for number, (classifier, size) in enumerate([(first, 32), (first, 32), (second, 40)]):
        features = classifier.features(tf.image.resize(photos.canvases, (size, size))).numpy()
        told = np.eye(3)[(labels + (np.random.default_rng(number).random(ROWS) < 0.3)) % 3]
        columns = np.concatenate([features, np.ones((ROWS, 1))], axis=1)
        fitted = np.linalg.lstsq(columns, told - 1 / 3, rcond=None)[0]
        network = keras.models.clone_model(classifier.model)
        weights = classifier.model.get_weights()
        network.set_weights([*weights[:-2], 6 * fitted[:-1], 6 * fitted[-1]])
        made.append(network)
    return made


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Path]:
    """Makes a finished run: `run_of(folder of runs, networks, photos, …)`, see `new_run`."""
    return new_run


@pytest.fixture(scope="session")
def logits_of_canvases() -> Callable[..., np.ndarray]:
    """Logits `(N, C)` of a network for canvases, resized to its input."""
    return logits
