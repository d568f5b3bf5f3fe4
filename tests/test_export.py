"""The export verb: a run becomes a SavedModel, its folds their average, and nothing is replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ajl_tf import export
from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.config import Experiment
from ajl_tf.config_file import parse_experiment
from ajl_tf.errors import run_verb
from ajl_tf.runs import REPORT, RESULT, create_run, write_json
from ajl_tf.serving.savedmodel import load

pytestmark = pytest.mark.usefixtures("tiny_backbone")
NAMES = ["acne", "eczema", "tinea"]


@pytest.fixture(scope="module")
def experiment(tiny_backbone: str) -> Experiment:
    values = {
        "name": "it",
        "data": {"canvas": 40, "fit": "contain"},
        "model": {"backbone": tiny_backbone, "weights": "none", "input_size": 32},
        "phases": [{"name": "all", "epochs": 1}],
    }
    return parse_experiment(values, "the test")


@pytest.fixture
def run(experiment: Experiment, tmp_path: Path) -> Path:
    """A run with a report and, as yet, without a model."""
    folder = create_run(experiment, tmp_path / "runs", ["the test"])
    rows = pd.DataFrame({"image_id": list("abcdef"), "label": NAMES * 2, "skin_tone": 2})
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 6)
    write_json(folder / REPORT, make_report(make_predictions(rows, NAMES, probabilities)))
    return folder


@pytest.fixture
def networks(tiny_classifiers: list[Any]) -> list[Any]:
    """Two networks of one input size; the second has the first's logits in another order."""
    import keras

    first = tiny_classifiers[0].model
    second = keras.models.clone_model(first)
    *weights, kernel, bias = first.get_weights()
    second.set_weights([*weights, kernel[:, ::-1], bias[::-1]])
    return [first, second]


def finished(folder: Path, network: Any, names: list[str] = NAMES) -> None:
    folder.mkdir(exist_ok=True)
    network.save(folder / "model.keras")
    write_json(folder / RESULT, {"class_names": names})


def exported(run: Path, saved_models: Path) -> Path:
    assert export.main([str(run), "--saved-models", str(saved_models)]) == 0
    versions = (path for path in (saved_models / "it").iterdir())
    return max(versions, key=lambda path: int(path.name))


def probabilities(folder: Path, photos: np.ndarray) -> np.ndarray:
    served = load(folder).signatures["serving_default"](images=tf.constant(photos))
    array: np.ndarray = served["probabilities"].numpy()
    return array


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)


def by_hand(network: Any, photos: np.ndarray) -> np.ndarray:
    logits = network(tf.image.resize(photos, (32, 32)), training=False).numpy()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def test_a_run_of_one_network(
    run: Path, networks: list[Any], photos: np.ndarray, tmp_path: Path, capsys: Any
) -> None:
    finished(run, networks[0])
    version = exported(run, tmp_path / "saved")
    assert version == tmp_path / "saved" / "it" / "1"
    assert f"SavedModel   {version}" in capsys.readouterr().out
    np.testing.assert_allclose(
        probabilities(version, photos), by_hand(networks[0], photos), atol=1e-5
    )


def test_the_card_and_the_facts_lie_beside_it(
    run: Path, networks: list[Any], tmp_path: Path, experiment: Experiment
) -> None:
    finished(run, networks[0])
    version = exported(run, tmp_path / "saved")
    facts = json.loads((version / "ajl_tf.json").read_text(encoding="utf-8"))
    assert facts == {
        "class_names": NAMES,
        "backbone": "tiny",
        "weights": "none",
        "input_size": 32,
        "canvas": 40,
        "fit": "contain",
        "run": run.name,
        "config_hash": experiment.hash,
        "members": [run.name],
    }
    card = (version / "model_card.md").read_text(encoding="utf-8")
    assert run.name in card
    assert "makes no diagnosis" in card


def test_a_second_export_is_a_second_version(
    run: Path, networks: list[Any], photos: np.ndarray, tmp_path: Path
) -> None:
    finished(run, networks[0])
    first = exported(run, tmp_path / "saved")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    finished(run, networks[1])
    second = exported(run, tmp_path / "saved")
    assert (first.name, second.name) == ("1", "2")
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert np.abs(probabilities(first, photos) - probabilities(second, photos)).max() > 0.1


def test_folds_are_averaged_and_a_refit_goes_before_them(
    run: Path, networks: list[Any], photos: np.ndarray, tmp_path: Path
) -> None:
    each = [by_hand(network, photos) for network in networks]
    assert np.abs(each[0] - each[1]).max() > 0.1
    for fold, network in enumerate(networks):
        finished(run / f"fold_{fold}", network)
    (run / "fold_10").mkdir()  # one that did not get to its end
    version = exported(run, tmp_path / "saved")
    np.testing.assert_allclose(probabilities(version, photos), (each[0] + each[1]) / 2, atol=1e-5)
    facts = json.loads((version / "ajl_tf.json").read_text(encoding="utf-8"))
    assert facts["members"] == ["fold_0", "fold_1"]
    finished(run / "refit", networks[1])
    version = exported(run, tmp_path / "saved")
    np.testing.assert_allclose(probabilities(version, photos), each[1], atol=1e-5)


def refused(run: Path, tmp_path: Path, capsys: Any) -> str:
    assert run_verb(export.main, [str(run), "--saved-models", str(tmp_path / "saved")]) == 2
    assert not list((tmp_path / "saved").glob("*/*"))
    said: str = capsys.readouterr().err
    assert said.startswith("error: ")
    return said


def test_members_that_disagree_on_the_classes_are_refused(
    run: Path, networks: list[Any], tmp_path: Path, capsys: Any
) -> None:
    finished(run / "fold_0", networks[0])
    finished(run / "fold_1", networks[1], ["acne", "eczema", "warts"])
    assert "disagree on the classes" in refused(run, tmp_path, capsys)


def test_what_cannot_be_exported_is_said(
    run: Path, networks: list[Any], tmp_path: Path, capsys: Any
) -> None:
    assert "is no run: it has no config.toml" in refused(tmp_path, tmp_path, capsys)
    assert "holds no trained model" in refused(run, tmp_path, capsys)
    finished(run, networks[0])
    report = (run / REPORT).read_bytes()
    (run / REPORT).unlink()
    assert "report.json is missing" in refused(run, tmp_path, capsys)
    (run / REPORT).write_bytes(report)
    for damaged in (b"", (run / "model.keras").read_bytes()[:5000]):
        (run / "model.keras").write_bytes(damaged)
        assert "model.keras" in refused(run, tmp_path, capsys)
    (run / "model.keras").unlink()
    assert "model.keras" in refused(run, tmp_path, capsys)
