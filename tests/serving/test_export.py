"""A run becomes a SavedModel: its folds their average, calibrated; nothing is replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar
from sklearn.metrics import f1_score

from ajl_tf import export
from ajl_tf.errors import run_verb
from ajl_tf.runs import REPORT, RESULT, read_json, write_json
from ajl_tf.serving.blend import answer
from ajl_tf.serving.export import after_training
from ajl_tf.serving.savedmodel import load
from ajl_tf.serving.sources import Options

pytestmark = pytest.mark.usefixtures("tiny_backbone")
NAMES = ["acne", "eczema", "tinea"]
QUIET = "--no-unlike"
Folds = tuple[Path, Path]


@pytest.fixture(scope="module", autouse=True)
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


def exported(run: Path, saved_models: Path, *options: str) -> Path:
    before = set(saved_models.glob("it/*"))
    assert export.main([str(run), "--saved-models", str(saved_models), *options]) == 0
    (version,) = set(saved_models.glob("it/*")) - before
    return version


def facts_of(version: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((version / "ajl_tf.json").read_text(encoding="utf-8"))
    return found


def served(version: Path, canvases: np.ndarray) -> dict[str, np.ndarray]:
    answers = load(version).signatures["serving_default"](images=tf.constant(canvases))
    return {name: values.numpy() for name, values in answers.items()}


@pytest.fixture(scope="module")
def folds(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone: str,
) -> Folds:
    """A run of two folds, and its exported version."""
    folder = tmp_path_factory.mktemp("folds")
    run = run_of(folder / "runs", networks[:2], photos)
    return run, exported(run, folder / "saved")


@pytest.fixture(scope="module")
def holdout(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone: str,
) -> Folds:
    """A run of one network, and its exported version."""
    folder = tmp_path_factory.mktemp("holdout")
    weights = "/home/me/tiny.weights.h5"
    run = run_of(folder / "runs", networks[:1], photos, split=True, weights=weights)
    return run, exported(run, folder / "saved")


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """By SciPy, from the definition."""

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        rows = scaled - scaled.max(axis=1, keepdims=True)
        own = rows[np.arange(len(rows)), labels]
        return float((np.log(np.exp(rows).sum(axis=1)) - own).mean())

    found = minimize_scalar(loss, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


def test_folds_are_averaged_at_the_temperature_of_the_photos_that_each_held_out(
    folds: Folds, networks: list[Any], photos: Any, logits_of_canvases: Callable[..., np.ndarray]
) -> None:
    run, version = folds
    assert version.parts[-2:] == ("it", "1")
    each = [logits_of_canvases(network, photos.canvases) for network in networks[:2]]
    labels = photos.table["label"].map(NAMES.index).to_numpy()
    fold = pd.read_csv(run / "manifest.csv")["fold"].to_numpy()
    held_out = np.where(fold[:, None] == 0, each[0], each[1])
    temperature = best_temperature(held_out, labels)
    assert abs(temperature - 1) > 0.1  # or this test would say nothing
    told = facts_of(version)["temperature"]
    assert told["temperature"] == pytest.approx(temperature, rel=1e-4)
    assert told["n"] == len(labels)
    assert told["rows"] == "rows of 2 folds, each by the network that held it out"
    by_hand = tf.nn.softmax((each[0] + each[1]) / 2 / temperature)
    got = served(version, photos.canvases)
    np.testing.assert_allclose(got["probabilities"], by_hand, atol=1e-5)
    in_process = answer(each, [1, 1], told["temperature"])
    np.testing.assert_allclose(got["probabilities"], in_process, atol=1e-5)


def test_a_holdout_is_calibrated_on_validation_rows_and_predicts_what_it_did(
    holdout: Folds, networks: list[Any], photos: Any, logits_of_canvases: Callable[..., np.ndarray]
) -> None:
    run, version = holdout
    logits = logits_of_canvases(networks[0], photos.canvases)
    rows = (pd.read_csv(run / "manifest.csv")["split"] == "validation").to_numpy()
    labels = photos.table["label"].map(NAMES.index).to_numpy()
    told = facts_of(version)["temperature"]
    expected = best_temperature(logits[rows], labels[rows])
    assert told["temperature"] == pytest.approx(expected, rel=1e-4)
    assert (told["n"], told["rows"]) == (rows.sum(), "validation rows")
    got = served(version, photos.canvases)
    np.testing.assert_allclose(got["probabilities"], tf.nn.softmax(logits / expected), atol=1e-5)
    raw = pd.read_csv(run / "predictions.csv")
    assert [label.decode() for label in got["predicted"]] == raw["predicted"].tolist()


def test_the_facts_and_the_card_lie_beside_it(holdout: Folds) -> None:
    run, version = holdout
    facts = facts_of(version)
    unlike = facts.pop("unlike")
    assert facts.pop("temperature").keys() == {"temperature", "n", "rows"}
    assert facts == {
        "class_names": NAMES,
        "backbone": "tiny",
        "weights": "tiny.weights.h5",  # without the folders of one machine
        "input_size": 32,
        "canvas": 40,
        "fit": "contain",
        "run": run.name,
        "config_hash": run.name.rpartition("-")[2],
        "members": [run.name],
        "views": "none",
        "logit_adjustment": 0.0,
    }
    assert unlike["false_alarms_of"] == "test rows"
    assert [row["group"] for row in unlike["false_alarms"]] == [
        "all", "1-2", "3-4", "5-6", "unknown"
    ]  # fmt: skip
    card = (version / "model_card.md").read_text(encoding="utf-8")
    for said in (run.name, "makes no diagnosis", "divided by a temperature", "### By skin tone"):
        assert said in card


def test_its_files_can_be_checked_with_the_card(holdout: Folds, tmp_path: Path) -> None:
    _, version = holdout
    card = (version / "model_card.md").read_text(encoding="utf-8")
    command = card.partition("in this folder:\n`")[2].partition("`\n")[0]

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=version,
            capture_output=True,
            text=True,
        )

    done = check()
    assert done.returncode == 0, done.stderr
    listed = {line.partition(": ")[0] for line in done.stdout.splitlines()}
    files = {str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()}
    assert listed == files - {"model_card.md"}
    data = (version / "ajl_tf.json").read_bytes()
    (version / "ajl_tf.json").write_bytes(data + b" ")
    done = check()
    (version / "ajl_tf.json").write_bytes(data)
    assert done.returncode == 1
    assert "ajl_tf.json: FAILED" in done.stdout


def test_a_second_export_is_a_second_version(
    holdout: Folds, capsys: pytest.CaptureFixture[str]
) -> None:
    run, first = holdout
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    second = exported(run, first.parents[1], QUIET)
    assert second == first.with_name("2")
    assert f"SavedModel   {second}" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert facts_of(second)["unlike"] is None
    assert facts_of(second)["temperature"] == pytest.approx(facts_of(first)["temperature"])


def test_a_refit_goes_before_the_folds_with_their_temperature(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Callable[..., np.ndarray],
    folds: Folds,
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path / "runs", networks[:2], photos)
    (run / "fold_10").mkdir()  # one that did not get to its end
    (run / "refit").mkdir()
    networks[1].save(run / "refit" / "model.keras")
    write_json(run / "refit" / RESULT, {"class_names": NAMES})
    version = exported(run, tmp_path / "saved")
    facts = facts_of(version)
    assert facts["members"] == ["refit"]
    assert facts["temperature"] == pytest.approx(facts_of(folds[1])["temperature"])
    logits = logits_of_canvases(networks[1], photos.canvases)
    expected = tf.nn.softmax(logits / facts["temperature"]["temperature"])
    got = served(version, photos.canvases)
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-5)
    assert facts["unlike"]["n"] == len(photos.canvases)
    assert "a refit has trained on them" in facts["unlike"]["false_alarms_of"]


def refused(run: Path, tmp_path: Path, capsys: Any, *options: str) -> str:
    arguments = [str(run), "--saved-models", str(tmp_path / "saved"), *options]
    assert run_verb(export.main, arguments) == 2
    assert not list((tmp_path / "saved").glob("*/*"))
    said: str = capsys.readouterr().err
    assert said.startswith("error: ")
    return said


def test_what_cannot_be_exported_is_said(
    run_of: Callable[..., Path], networks: list[Any], photos: Any, tmp_path: Path, capsys: Any
) -> None:
    run = run_of(tmp_path / "runs", networks[:1], photos, split=True)

    def without(name: str) -> str:
        data = (run / name).read_bytes()
        (run / name).unlink()
        said = refused(run, tmp_path, capsys, QUIET)
        (run / name).write_bytes(data)
        return said

    assert "holds no trained model" in without(RESULT)
    assert "report.json is missing" in without(REPORT)
    assert "predictions.csv" in without("predictions.csv")
    assert "model.keras" in without("model.keras")
    for damaged in (b"", (run / "model.keras").read_bytes()[:5000]):
        (run / "model.keras").write_bytes(damaged)
        assert "model.keras" in refused(run, tmp_path, capsys, QUIET)


def test_members_that_disagree_on_the_classes_are_refused(
    run_of: Callable[..., Path], networks: list[Any], photos: Any, tmp_path: Path, capsys: Any
) -> None:
    run = run_of(tmp_path / "runs", networks[:2], photos)
    write_json(run / "fold_1" / RESULT, {"class_names": ["acne", "eczema", "warts"]})
    assert "disagree on the classes" in refused(run, tmp_path, capsys)


def test_photos_that_are_gone_are_named_with_the_way_round(
    run_of: Callable[..., Path], networks: list[Any], photos: Any, tmp_path: Path, capsys: Any
) -> None:
    run = run_of(tmp_path / "runs", networks[:1], photos, split=True)
    manifest = pd.read_csv(run / "manifest.csv", dtype=str)
    manifest.loc[5, "path"] = str(tmp_path / "gone.png")
    manifest.to_csv(run / "manifest.csv", index=False)
    for options in ((), (QUIET, "--tta", "flips")):
        said = refused(run, tmp_path, capsys, *options)
        assert "--no-unlike and without --tta" in said
        assert f"{tmp_path / 'gone.png'}: cannot be read" in said
    assert facts_of(exported(run, tmp_path / "saved", QUIET))["unlike"] is None
    capsys.readouterr()
    assert after_training(run, tmp_path) == Options(unlike=False, cache=tmp_path)
    assert "warning: 1 of 120 photos of the run are not here" in capsys.readouterr().err


def predicted_by(scores: Path, photos: Any) -> list[str]:
    """What a folder of scores says of each photo, in their order."""
    said = pd.read_csv(scores / "predictions.csv").set_index("image_id")["predicted"]
    labels: list[str] = said[photos.table["image_id"].astype(said.index.dtype)].tolist()
    return labels


def answered(run: Path, logits: list[np.ndarray]) -> np.ndarray:
    """The labels of logits (N, C) of two networks, of each photo by the one that held it out."""
    fold = pd.read_csv(run / "manifest.csv")["fold"].to_numpy()
    return np.asarray(NAMES)[np.where(fold[:, None] == 0, *logits).argmax(axis=1)]


def views_by_hand(network: Any, canvases: np.ndarray, logits_of: Any) -> np.ndarray:
    """The mean of the logits over every flip and quarter turn, by NumPy."""
    turned = [np.rot90(canvases, turns, axes=(1, 2)) for turns in range(4)]
    views = turned + [view[:, ::-1] for view in turned]
    mean: np.ndarray = np.mean([logits_of(network, view) for view in views], axis=0)
    return mean


def test_other_views_than_the_runs_are_scored_anew(
    folds: Folds,
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = folds
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    runs = tmp_path / "runs"
    version = exported(run, tmp_path / "saved", QUIET, "--tta", "flips", "--runs", str(runs))
    (scores,) = runs.iterdir()
    assert f"scores       {scores}" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before
    facts = facts_of(version)
    assert (facts["views"], facts["run"]) == ("flips", scores.name)
    each = [views_by_hand(network, photos.canvases, logits_of_canvases) for network in networks[:2]]
    expected = answered(run, each)
    said = pd.read_csv(scores / "predictions.csv").set_index("image_id")["predicted"]
    plain = pd.read_csv(run / "predictions.csv").set_index("image_id")["predicted"]
    ids = photos.table["image_id"].astype(said.index.dtype)
    assert said[ids].tolist() == expected.tolist()
    assert (said[ids] != plain[ids]).any()  # or this test would say nothing
    labels = photos.table["label"]
    score = f1_score(labels, expected, average="weighted")
    assert read_json(scores / REPORT)["overall"]["weighted_f1"]["value"] == pytest.approx(score)
    card = (version / "model_card.md").read_text(encoding="utf-8")
    for words in (
        "averaged over the eight flips",
        f"scores of `{scores.name}`",
        f"run `{run.name}`",
        "after a temperature from other rows",
    ):
        assert words in card


def test_adjusted_logits_are_served_and_scored_anew_without_a_photo(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Any,
    tmp_path: Path,
) -> None:
    gone = replace(photos, table=photos.table.assign(path="gone.png"))
    run = run_of(tmp_path / "of", networks[:2], gone)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    runs, asked = tmp_path / "runs", ("--logit-adjustment", "1.5", "--runs", str(tmp_path / "runs"))
    version = exported(run, tmp_path / "saved", QUIET, *asked)
    assert {path: path.read_bytes() for path in before} == before
    (scores,) = runs.iterdir()
    facts = facts_of(version)
    assert (facts["logit_adjustment"], facts["run"]) == (1.5, scores.name)
    assert "1.5 times the log" in (version / "model_card.md").read_text(encoding="utf-8")
    share = photos.table["label"].value_counts(normalize=True)[NAMES].to_numpy()
    plain = [logits_of_canvases(network, photos.canvases) for network in networks[:2]]
    each = [logits - 1.5 * np.log(share) for logits in plain]
    expected = answered(run, each)
    assert (expected != answered(run, plain)).any()  # or this test would say nothing
    assert predicted_by(scores, photos) == expected.tolist()
    heat = facts["temperature"]["temperature"]
    got = served(version, photos.canvases)["probabilities"]
    mean = tf.nn.softmax((plain[0] + plain[1]) / 2 / heat - 1.5 * np.log(share) / heat)
    np.testing.assert_allclose(got, mean, atol=1e-5)


@pytest.mark.parametrize("split", [True, False])
def test_logits_are_adjusted_by_how_common_a_condition_is_among_the_rows_that_trained(
    run_of: Callable[..., Path], networks: list[Any], photos: Any, tmp_path: Path, split: bool
) -> None:
    """Of a holdout by its training rows, of a fold alone by the other one's, but for dropped."""
    run = run_of(tmp_path / "of", networks[: 2 - split], photos, split=split)
    if not split:
        (run / "fold_1" / RESULT).unlink()
    manifest = pd.read_csv(run / "manifest.csv", dtype=str)
    common = {"acne": 6, "eczema": 3, "tinea": 1}
    trained = (
        manifest.iloc[:1]
        .loc[[0] * 13]
        .assign(
            image_id=[f"trained-{n}" for n in range(13)],
            label=[*(name for name, count in common.items() for _ in range(count)), *["tinea"] * 3],
            drop_reason=[None] * 10 + ["doubted"] * 3,
            **({"split": "train"} if split else {"fold": "1"}),
        )
    )
    held = manifest if split else manifest[manifest["fold"] == "0"]
    pd.concat([held, trained]).to_csv(run / "manifest.csv", index=False)
    strength = ("--logit-adjustment", "1.5", "--runs", str(tmp_path / "runs"))
    logits = []
    for name, options in (("plain", ()), ("adjusted", strength)):
        version = exported(run, tmp_path / name, QUIET, *options)
        heat = facts_of(version)["temperature"]["temperature"]
        logits.append(heat * np.log(served(version, photos.canvases)["probabilities"]))
    taken = logits[0] - logits[1]
    share = 1.5 * np.log(np.array([6, 3, 1]) / 10)
    assert taken - taken[:, :1] == pytest.approx(
        np.tile(share - share[0], (len(taken), 1)), abs=1e-3
    )


def test_adjusted_logits_go_with_what_is_learnt_from_photos_and_with_the_experiments_own(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Any,
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path / "of", networks[:2], photos, adjusted=0.5)
    runs, asked = tmp_path / "runs", ("--logit-adjustment", "1.5", "--runs", str(tmp_path / "runs"))
    version = exported(run, tmp_path / "saved", *asked)
    facts = facts_of(version)
    assert facts["logit_adjustment"] == 2.0
    assert facts["unlike"]["n"] == len(photos.canvases)
    assert "2 times the log" in (version / "model_card.md").read_text(encoding="utf-8")
    share = photos.table["label"].value_counts(normalize=True)[NAMES].to_numpy()
    each = [logits_of_canvases(n, photos.canvases) - 1.5 * np.log(share) for n in networks[:2]]
    expected = answered(run, each)
    (scores,) = runs.iterdir()
    assert predicted_by(scores, photos) == expected.tolist()


def test_a_refit_is_scored_by_its_folds_with_the_views_that_are_asked_for(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Any,
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path / "of", networks[:2], photos)
    (run / "refit").mkdir()
    networks[1].save(run / "refit" / "model.keras")
    write_json(run / "refit" / RESULT, {"class_names": NAMES})
    runs = tmp_path / "runs"
    version = exported(run, tmp_path / "saved", "--tta", "flips", "--runs", str(runs), QUIET)
    assert facts_of(version)["members"] == ["refit"]
    each = [views_by_hand(network, photos.canvases, logits_of_canvases) for network in networks[:2]]
    plain = [logits_of_canvases(network, photos.canvases) for network in networks[:2]]
    expected = answered(run, each)
    assert (expected != answered(run, plain)).any()  # or this test would say nothing
    (scores,) = runs.iterdir()
    assert predicted_by(scores, photos) == expected.tolist()


def test_a_run_with_views_is_served_with_them_and_needs_no_photo_for_it(
    run_of: Callable[..., Path],
    networks: list[Any],
    photos: Any,
    logits_of_canvases: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = replace(photos, table=photos.table.assign(path="gone.png"))
    run = run_of(tmp_path / "runs", networks[:1], gone, split=True, views="flips")
    version = exported(run, tmp_path / "saved", QUIET)
    facts = facts_of(version)
    assert (facts["views"], facts["run"]) == ("flips", run.name)
    logits = views_by_hand(networks[0], photos.canvases, logits_of_canvases)
    expected = tf.nn.softmax(logits / facts["temperature"]["temperature"])
    got = served(version, photos.canvases)["probabilities"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert "without --tta" in refused(run, tmp_path / "other", capsys, QUIET, "--tta", "none")
