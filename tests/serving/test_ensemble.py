"""Several runs as one SavedModel: weighted, calibrated, scored where nothing was fitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from ajl_tf import evaluate, export
from ajl_tf.assessment.held_out import parts_of
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.assessment.scored import scored
from ajl_tf.errors import run_verb
from ajl_tf.serving.blend import answer, fit_blend
from ajl_tf.serving.ensemble import FIFTHS_SEED
from ajl_tf.serving.savedmodel import load

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
NAMES = ["acne", "eczema", "tinea"]
RunOf = Callable[..., Path]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Two runs, their SavedModel and the folder of their scores."""

    runs: list[Path]
    version: Path
    scores: Path


def combine(folder: Path, runs: list[Path], *options: str) -> int:
    places = ["--saved-models", str(folder / "saved"), "--runs", str(folder / "runs")]
    return run_verb(export.main, [*map(str, runs), *places, *options])


@pytest.fixture(scope="module")
def ensemble(
    run_of: RunOf,
    networks: list[Any],
    photos: Any,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone: str,
) -> Ensemble:
    """Of runs that differ in folds, input size and canvas."""
    folder = tmp_path_factory.mktemp("ensemble")
    halves = np.arange(len(photos.table)) // 60
    pairs = [
        run_of(folder / "runs", networks[:2], photos),
        run_of(
            folder / "runs",
            [networks[2]] * 2,
            photos,
            folds=halves,
            size=40,
            name="larger",
            input_size=40,
            canvas=48,
        ),
    ]
    before = set((folder / "runs").iterdir())
    assert combine(folder, pairs, "--name", "both") == 0
    (scores,) = set((folder / "runs").iterdir()) - before
    return Ensemble(pairs, folder / "saved" / "both" / "1", scores)


def canvas_48(photos: Any) -> np.ndarray:
    """The shared canvas of photos of 40 by 40 pixels."""
    images = np.stack([np.asarray(Image.open(path)) for path in photos.table["path"]])
    array: np.ndarray = tf.cast(
        tf.round(tf.clip_by_value(tf.image.resize(images, (48, 48), antialias=True), 0, 255)),
        tf.uint8,
    ).numpy()
    return array


def logits_of(networks: list[Any], photos: Any) -> list[np.ndarray]:
    """Of the four networks (N, C), from the shared canvas, each by its own canvas and input."""
    shared = canvas_48(photos)
    own = tf.image.resize(shared, (40, 40), antialias=True)
    own = tf.cast(tf.round(tf.clip_by_value(own, 0, 255)), tf.uint8)
    small, large = tf.image.resize(own, (32, 32)), tf.image.resize(shared, (40, 40))
    inputs = zip(
        (*networks[:2], networks[2], networks[2]), (small, small, large, large), strict=True
    )
    return [network(images, training=False).numpy() for network, images in inputs]


def held_out(logits: list[np.ndarray]) -> list[np.ndarray]:
    """Of each run, each row by the network that held it out."""
    rows = np.arange(len(logits[0]))
    first, second = rows // 2 % 2, rows // 60
    return [
        np.where(first[:, None] == 0, logits[0], logits[1]),
        np.where(second[:, None] == 0, logits[2], logits[3]),
    ]


def facts_of(ensemble: Ensemble) -> dict[str, Any]:
    text = (ensemble.version / "ajl_tf.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_answers_with_the_weights_and_temperature_of_all_held_out_rows(
    ensemble: Ensemble, networks: list[Any], photos: Any
) -> None:
    logits = logits_of(networks, photos)
    labels = photos.table["label"].map(NAMES.index).to_numpy()
    blend = fit_blend(held_out(logits), labels)
    facts = facts_of(ensemble)
    assert [run["run"] for run in facts["runs"]] == [run.name for run in ensemble.runs]
    assert [run["weight"] for run in facts["runs"]] == pytest.approx(blend.weights, abs=1e-3)
    heat = facts["temperature"]["temperature"]
    assert heat == pytest.approx(blend.temperature.temperature, rel=1e-3)
    assert (facts["canvas"], facts["run"]) == (48, ensemble.scores.name)
    expected = answer(logits, np.repeat(blend.weights, 2).tolist(), heat)
    images = np.stack([np.asarray(Image.open(path)) for path in photos.table["path"]])
    got = load(ensemble.version).signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-4)
    assert 0 <= got["unlike"].numpy().min() <= got["unlike"].numpy().max() <= 1


def test_a_refit_is_weighed_by_what_its_folds_say_from_the_shared_canvas(
    run_of: RunOf, ensemble: Ensemble, networks: list[Any], photos: Any, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "runs", networks[:2], photos)
    (run / "refit").mkdir()
    networks[0].save(run / "refit" / "model.keras")
    (run / "refit" / "result.json").write_text(json.dumps({"class_names": NAMES}))
    assert combine(tmp_path, [run, ensemble.runs[1]], "--name", "both") == 0
    facts = json.loads((tmp_path / "saved" / "both" / "1" / "ajl_tf.json").read_text("utf-8"))
    shared = held_out(logits_of(networks, photos))
    small = tf.image.resize(photos.canvases, (32, 32))
    each = [network(small, training=False).numpy() for network in networks[:2]]
    stored = [np.where((np.arange(len(each[0])) // 2 % 2)[:, None] == 0, *each), shared[1]]
    labels = photos.table["label"].map(NAMES.index).to_numpy()
    served, other = (
        fit_blend(logits, labels).temperature.temperature for logits in (shared, stored)
    )
    assert abs(other / served - 1) > 2e-3  # or this test would say nothing
    assert facts["temperature"]["temperature"] == pytest.approx(served, rel=2e-4)


def test_its_scores_are_of_rows_that_nothing_was_fitted_on(
    ensemble: Ensemble, networks: list[Any], photos: Any
) -> None:
    logits = held_out(logits_of(networks, photos))
    labels = photos.table["label"].map(NAMES.index).to_numpy()
    table = read_predictions(ensemble.scores / "predictions.csv")
    fifths = parts_of(scored(table.drop(columns="fold")), FIFTHS_SEED)  # the runs' folds differ
    assert fifths is not None
    table = table.assign(part=fifths.index).set_index("image_id").loc[photos.table["image_id"]]
    parts = table["part"].to_numpy(int)
    assert sorted(set(parts)) == [0, 1, 2, 3, 4]
    assert (photos.table.groupby("group_id")["image_id"].count() == 2).all()
    assert (table["part"].groupby(table["group_id"]).nunique() == 1).all()
    got = table[[f"prob_{name}" for name in NAMES]].to_numpy()
    for part in range(5):
        out = parts == part
        blend = fit_blend([own[~out] for own in logits], labels[~out])
        np.testing.assert_allclose(got[out], blend.answer([z[out] for z in logits]), atol=1e-3)
    report = json.loads((ensemble.scores / "report.json").read_text(encoding="utf-8"))
    assert report["n"] == len(labels)
    first = pd.concat(
        [read_predictions(ensemble.runs[0] / f"fold_{fold}/predictions.csv") for fold in (0, 1)]
    )
    assert table["fold"].to_dict() == dict(zip(first["image_id"], first["fold"], strict=True))
    assert report["rows"] == "out of fold, 2 folds"


def test_a_run_that_contradicts_the_labels_is_left_out_of_the_savedmodel(
    run_of: RunOf, networks: list[Any], photos: Any, tmp_path: Path
) -> None:
    wrong = keras.models.clone_model(networks[0])
    *body, kernel, bias = networks[0].get_weights()
    wrong.set_weights([*body, -kernel, -bias])
    runs = [
        run_of(tmp_path / "runs", networks[:2], photos),
        run_of(tmp_path / "runs", [wrong, wrong], photos, name="wrong"),
    ]
    assert combine(tmp_path, runs, "--no-unlike", "--name", "both") == 0
    assert combine(tmp_path, runs[:1], "--no-unlike") == 0
    both, alone = tmp_path / "saved" / "both" / "1", tmp_path / "saved" / "it" / "1"
    facts = json.loads((both / "ajl_tf.json").read_text(encoding="utf-8"))
    assert [run["weight"] for run in facts["runs"]] == [1, 0]
    assert ", weight 0: left out" in (both / "model_card.md").read_text(encoding="utf-8")
    images = tf.constant(photos.canvases)
    answers = [load(model).signatures["serving_default"](images=images) for model in (both, alone)]
    np.testing.assert_array_equal(*[answer["probabilities"] for answer in answers])
    sizes = [
        sum(file.stat().st_size for file in model.glob("variables/variables.data-*"))
        for model in (both, alone)
    ]
    assert sizes[0] == sizes[1]


def test_a_photo_whose_twin_trained_one_of_the_runs_is_told(
    run_of: RunOf, networks: list[Any], photos: Any, tmp_path: Path
) -> None:
    """The second run's folds divide every pair of twins, the first's none."""
    apart = np.empty(len(photos.table), np.int64)
    for rows in photos.table.groupby("group_id").indices.values():
        apart[rows] = [0, 1]
    runs = [
        run_of(tmp_path / "runs", networks[:2], photos),
        run_of(tmp_path / "runs", networks[:2], photos, folds=apart, name="leaky"),
    ]
    before = set((tmp_path / "runs").iterdir())
    assert combine(tmp_path, runs, "--no-unlike") == 0
    (scores,) = set((tmp_path / "runs").iterdir()) - before
    report = json.loads((scores / "report.json").read_text(encoding="utf-8"))
    assert report["twins"]["n"] == len(photos.table)


def test_it_is_evaluated_and_described_like_any_other(
    ensemble: Ensemble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (ensemble.version / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith("# both\n")
    assert all(run.name in card for run in ensemble.runs)
    assert "fitted on other parts of the photos" in card
    assert evaluate.main([str(ensemble.scores / "predictions.csv"), "--out", str(tmp_path)]) == 0
    assert "weighted F1" in capsys.readouterr().out


def test_what_does_not_go_together_is_said_all_at_once(
    run_of: RunOf, networks: list[Any], photos: Any, tmp_path: Path, capsys: Any
) -> None:
    def refused(other: Path, *options: str) -> str:
        assert combine(tmp_path / "out", [run, other], "--no-unlike", *options) == 2
        assert not (tmp_path / "out" / "saved").exists()
        said: str = capsys.readouterr().err
        assert said.startswith("error: ")
        return said

    runs = tmp_path / "runs"
    run = run_of(runs, networks[:2], photos)
    said = refused(run_of(runs, networks[:1], photos, split=True))
    assert f"cannot be one model with {run}" in said
    assert "has folds where the other has a holdout split" in said
    fewer = run_of(runs, networks[:2], photos, fit="cover")
    table = pd.read_csv(fewer / "fold_1" / "predictions.csv", dtype=str)
    table.iloc[3:].to_csv(fewer / "fold_1" / "predictions.csv", index=False)
    said = refused(fewer)
    assert "data.fit is 'cover', not 'contain'" in said
    assert "has other rows: 3 photos only on one side" in said
    relabelled = run_of(runs, networks[:2], photos)
    table = pd.read_csv(relabelled / "fold_0" / "predictions.csv", dtype=str)
    table.loc[0, "label"] = next(name for name in NAMES if name != table.loc[0, "label"])
    table.to_csv(relabelled / "fold_0" / "predictions.csv", index=False)
    assert f"has another label for 1 photos, as {table.loc[0, 'image_id']}" in refused(relabelled)
    assert "a run goes into an ensemble once" in refused(run)
    larger = run_of(runs, networks[:2], photos, canvas=48)
    assert "canvases of different sizes" in refused(larger)


def test_a_run_of_other_classes_is_refused(
    run_of: RunOf, networks: list[Any], photos: Any, tmp_path: Path, capsys: Any
) -> None:
    run = run_of(tmp_path / "runs", networks[:2], photos)
    other = run_of(tmp_path / "runs", networks[:2], photos)
    for part in (other / "fold_0", other / "fold_1"):
        (part / "result.json").write_text(json.dumps({"class_names": ["acne", "tinea", "warts"]}))
        text = (part / "predictions.csv").read_text().replace("eczema", "warts")
        (part / "predictions.csv").write_text(text)
    assert combine(tmp_path, [run, other], "--no-unlike") == 2
    said = capsys.readouterr().err
    assert "has other classes: 'eczema', 'warts' only on one side" in said
