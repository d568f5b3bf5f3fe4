"""The export verb: a run becomes a SavedModel, its folds their average, and nothing is replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
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
PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def experiment(tiny_backbone: str) -> Experiment:
    values = {
        "name": "it",
        "data": {"canvas": 40, "fit": "contain"},
        "model": {"backbone": tiny_backbone, "weights": "none", "input_size": 32},
        "phases": [{"name": "all", "epochs": 1}],
    }
    return parse_experiment(values, "the test")


def new_run(experiment: Experiment, runs: Path) -> Path:
    """A run with a report and, as yet, without a model."""
    folder = create_run(experiment, runs, ["the test"])
    rows = pd.DataFrame({"image_id": list("abcdef"), "label": NAMES * 2, "skin_tone": 2})
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 6)
    write_json(folder / REPORT, make_report(make_predictions(rows, NAMES, probabilities)))
    return folder


@pytest.fixture
def run(experiment: Experiment, tmp_path: Path) -> Path:
    return new_run(experiment, tmp_path / "runs")


@pytest.fixture(scope="module")
def networks(tiny_classifiers: list[Any]) -> list[Any]:
    """Two networks of one input size; the second has the first's logits in another order."""
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
    before = set(saved_models.glob("it/*"))
    assert export.main([str(run), "--saved-models", str(saved_models)]) == 0
    (version,) = set(saved_models.glob("it/*")) - before
    return version


@pytest.fixture(scope="module")
def single(
    experiment: Experiment, networks: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The run of the first network, and its exported version."""
    folder = tmp_path_factory.mktemp("single")
    run = new_run(experiment, folder / "runs")
    finished(run, networks[0])
    return run, exported(run, folder / "saved")


def probabilities(folder: Path) -> np.ndarray:
    served = load(folder).signatures["serving_default"](images=tf.constant(PHOTOS))
    array: np.ndarray = served["probabilities"].numpy()
    return array


def by_hand(network: Any) -> np.ndarray:
    logits = network(tf.image.resize(PHOTOS, (32, 32)), training=False).numpy()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def test_a_run_of_one_network(single: tuple[Path, Path], networks: list[Any]) -> None:
    _, version = single
    assert version.parts[-2:] == ("it", "1")
    np.testing.assert_allclose(probabilities(version), by_hand(networks[0]), atol=1e-5)


def test_the_card_and_the_facts_lie_beside_it(
    single: tuple[Path, Path], experiment: Experiment
) -> None:
    run, version = single
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
    single: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, first = single
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    second = exported(run, first.parents[1])
    assert second == first.with_name("2")
    assert f"SavedModel   {second}" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}


def test_folds_are_averaged_and_a_refit_goes_before_them(
    run: Path, networks: list[Any], tmp_path: Path
) -> None:
    each = [by_hand(network) for network in networks]
    assert np.abs(each[0] - each[1]).max() > 0.1
    for fold, network in enumerate(networks):
        finished(run / f"fold_{fold}", network)
    (run / "fold_10").mkdir()  # one that did not get to its end
    version = exported(run, tmp_path / "saved")
    np.testing.assert_allclose(probabilities(version), (each[0] + each[1]) / 2, atol=1e-5)
    facts = json.loads((version / "ajl_tf.json").read_text(encoding="utf-8"))
    assert facts["members"] == ["fold_0", "fold_1"]
    finished(run / "refit", networks[1])
    version = exported(run, tmp_path / "saved")
    np.testing.assert_allclose(probabilities(version), each[1], atol=1e-5)


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
