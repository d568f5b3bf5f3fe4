"""The train verb from a folder of photos to a SavedModel, on drawn photos and a tiny network."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score, log_loss, recall_score
from tensorflow.python.framework import ops

from ajl_tf import evaluate, train
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.dataset.canvases import load_canvases
from ajl_tf.errors import UserError, run_verb
from ajl_tf.runs import read_json
from ajl_tf.training import members

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
EXPERIMENT = """
name = "it"
seed = 3
[split]
name = "drawn"
scheme = "60/20/20"
[model]
backbone = "tiny"
weights = "none"
[augment]
horizontal_flip = true
rotation = 20.0
brightness = 0.1
cutmix = 1.0
[training]
batch_size = 16
[[phases]]
name = "feature_extraction"
epochs = 3
augment = false
learning_rate = 3e-2
[[phases]]
name = "fine_tuning"
epochs = 2
unfreeze = 1.0
learning_rate = 3e-3
"""
BANDS = {"1-2": (1, 2), "3-4": (3, 4), "5-6": (5, 6), "unknown": (-1,)}
Run = Callable[..., Path]
FLIPS = ("--set", "model.views=flips")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("train")
    (root / "it.toml").write_text(EXPERIMENT, encoding="utf-8")
    return root


def places(root: Path) -> list[str]:
    return [
        *("--runs", str(root / "runs"), "--splits", str(root / "splits")),
        *("--saved-models", str(root / "saved_models"), "--cache", str(root / "cache")),
    ]


@pytest.fixture(scope="module")
def trained(root: Path, drawn_set: Path) -> Run:
    """Runs the verb to its end and returns the folder of the run."""

    def run(*arguments: str) -> Path:
        before = set((root / "runs").glob("*"))
        gradients = set(ops.gradient_registry.list())
        assert train.main([*arguments, "--data", str(drawn_set), *places(root)]) == 0
        assert set(ops.gradient_registry.list()) == gradients  # each would keep a graph alive
        (made,) = set((root / "runs").glob("*")) - before
        return made

    return run


@pytest.fixture(scope="module")
def holdout(root: Path, trained: Run) -> Path:
    return trained(str(root / "it.toml"))


@pytest.fixture(scope="module")
def folds(root: Path, trained: Run) -> Path:
    return trained(str(root / "it.toml"), "--folds", "2", *FLIPS)


@pytest.fixture(scope="module")
def apart(root: Path, trained: Run) -> list[Path]:
    arguments = [str(root / "it.toml"), "--folds", "2", *FLIPS]
    return [trained(*arguments, "--fold", fold) for fold in ("0", "1")]


def history(folder: Path) -> pd.DataFrame:
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return pd.DataFrame([json.loads(line) for line in lines])


def weights(model: Path) -> list[np.ndarray]:
    return [np.array(w) for w in keras.saving.load_model(model, compile=False).get_weights()]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_run_folder_holds_all_that_the_run_was(holdout: Path, drawn_set: Path) -> None:
    assert {path.name for path in holdout.iterdir()} == {
        *("config.toml", "environment.json", "manifest.csv", "history.jsonl", "result.json"),
        *("best.weights.h5", "model.keras", "predictions.csv", "report.json", "tensorboard"),
        *("report.html", "figures"),
        "job.json",
    }
    assert re.fullmatch(r"it-\d{8}-\d{6}-[0-9a-f]{8}", holdout.name)
    manifest = pd.read_csv(holdout / "manifest.csv")
    rows = pd.read_csv(drawn_set / "train.csv")
    assert set(manifest["image_id"]) == set(rows["md5hash"])
    assert set(manifest["split"]) == {"train", "validation", "test"}
    assert len(history(holdout)) == 5
    result = read_json(holdout / "result.json")
    assert re.fullmatch("[0-9a-f]{16}", result["data_hash"])
    counts = manifest["split"].value_counts()
    assert (result["train"], result["validation"]) == (counts["train"], counts["validation"])
    report = read_json(holdout / "report.json")
    assert report["n"] == counts["test"]
    assert report["twins"]["n"] == 0  # known from the manifest, and none: groups are not divided


def test_evaluate_gives_the_report_that_train_gave(
    holdout: Path, folds: Path, tmp_path: Path
) -> None:
    for run in (holdout, folds):
        assert evaluate.main([str(run), "--out", str(tmp_path / run.name)]) == 0
        again = tmp_path / run.name / "report.json"
        assert again.read_bytes() == (run / "report.json").read_bytes()


def test_predictions_are_of_the_rows_that_did_not_train(holdout: Path) -> None:
    manifest = pd.read_csv(holdout / "manifest.csv").set_index("image_id")
    predictions = read_predictions(holdout / "predictions.csv").set_index("image_id")
    assert set(predictions.index) == set(manifest.index[manifest["split"] != "train"])
    rows = manifest.loc[predictions.index]
    for column in ("label", "skin_tone", "split", "group_id"):
        assert (predictions[column] == rows[column]).all()


def test_validation_scores_are_scikit_learns_on_the_predictions(holdout: Path) -> None:
    """The kept weights are those of the best epoch, and the predictions are made with them."""
    predictions = read_predictions(holdout / "predictions.csv")
    rows = predictions[predictions["split"] == "validation"]
    label, predicted = rows["label"], rows["predicted"]
    epochs = history(holdout)
    best = epochs.loc[epochs["val_weighted_f1"].idxmax()]
    names = sorted(pd.read_csv(holdout / "manifest.csv")["label"].unique())
    probabilities = rows[[f"prob_{name}" for name in names]].to_numpy(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = {
        "weighted_f1": f1_score(label, predicted, average="weighted", zero_division=0),
        "macro_recall": recall_score(
            label, predicted, average="macro", labels=sorted(set(label)), zero_division=0
        ),
        "loss": log_loss(label, probabilities, labels=names),
    }
    for band, tones in BANDS.items():
        inside = rows["skin_tone"].isin(tones)
        if inside.any():
            expected[f"recall_{band}"] = recall_score(
                label[inside],
                predicted[inside],
                average="macro",
                labels=sorted(set(label[inside])),
                zero_division=0,
            )
    assert len(expected) >= 6
    for name, value in expected.items():
        assert best[f"val_{name}"] == pytest.approx(value, abs=1e-5), name
    assert best["val_weighted_f1"] > epochs["val_weighted_f1"].min()
    assert sum(read_json(holdout / "result.json")["epochs_kept"].values()) == best["epoch"] + 1


def test_the_model_is_the_best_weights(holdout: Path) -> None:
    model = keras.saving.load_model(holdout / "model.keras", compile=False)
    before = [np.array(w) for w in model.get_weights()]
    model.load_weights(holdout / "best.weights.h5")
    assert same(before, model.get_weights())
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not {kind for kind in kinds if "Random" in kind or "Mix" in kind}


def test_no_augmentation_reaches_the_saved_model(root: Path, holdout: Path) -> None:
    versions = [path.parent for path in (root / "saved_models").glob("*/*/ajl_tf.json")]
    (version,) = [v for v in versions if read_json(v / "ajl_tf.json")["run"] == holdout.name]
    graph = tf.saved_model.load(str(version)).signatures["serving_default"].graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    operations = {node.op for node in nodes}
    assert "Conv2D" in operations
    assert not {op for op in operations if "Random" in op or "ProjectiveTransform" in op}


def test_one_seed_gives_the_same_bits_twice(folds: Path, apart: list[Path]) -> None:
    assert len({folds, *apart}) == 3
    for fold, again in enumerate(apart):
        first, second = (run / f"fold_{fold}" for run in (folds, again))
        assert same(weights(first / "model.keras"), weights(second / "model.keras"))
        name = "predictions.csv"
        assert (first / name).read_bytes() == (second / name).read_bytes()
        timing = ["images_per_second", "seconds"]
        pd.testing.assert_frame_equal(
            history(first).drop(columns=timing), history(second).drop(columns=timing)
        )


def test_tensorboard_has_the_curves_and_the_pictures(holdout: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def events(part: str) -> EventAccumulator:
        accumulator = EventAccumulator(
            str(holdout / "tensorboard" / part), size_guidance={"tensors": 0}
        )
        accumulator.Reload()
        return accumulator

    epochs = history(holdout)
    for part, prefix in (("train", ""), ("validation", "val_")):
        accumulator = events(part)
        wanted = {
            "train": {"loss", "learning_rate", "images_per_second"},
            "validation": {"loss", "weighted_f1", "macro_recall"}
            | {f"recall_{band}" for band in BANDS if f"val_recall_{band}" in epochs},
        }[part]
        for name in wanted:
            points = accumulator.Tensors(f"epoch_{name}")
            assert [point.step for point in points] == epochs["epoch"].tolist(), name
            shown = [float(tf.make_ndarray(point.tensor_proto)) for point in points]
            np.testing.assert_allclose(shown, epochs[prefix + name], rtol=1e-4, err_msg=name)
    pictures = events("pictures")
    (batch,) = pictures.Tensors("augmented batch")  # of the phase that augments
    assert batch.step == 3
    encoded = tf.make_ndarray(batch.tensor_proto)[2:]  # after width and height
    assert len(encoded) == 16
    assert tf.io.decode_png(encoded[0]).shape == (32, 32, 3)
    for name in ("confusion matrix", "scores by tone band", "reliability"):
        # The last epoch of each phase; on a slow machine others too.
        assert {2, 4} <= {point.step for point in pictures.Tensors(name)} <= set(range(5))
    scores = [name for name in pictures.Tags()["tensors"] if name.startswith("by_band/accuracy/")]
    assert scores
    for name in scores:
        assert [point.step for point in pictures.Tensors(name)] == epochs["epoch"].tolist()


def test_folds_predict_every_row_once_out_of_fold(folds: Path, root: Path) -> None:
    manifest = pd.read_csv(folds / "manifest.csv").set_index("image_id")
    assert set(manifest["fold"]) == {0, 1}
    predictions = read_predictions(folds / "predictions.csv").set_index("image_id")
    assert predictions.index.is_unique
    assert set(predictions.index) == set(manifest.index)
    assert (predictions["fold"] == manifest.loc[predictions.index, "fold"]).all()
    split = pd.read_csv(root / "splits" / "drawn_2-folds.csv").set_index("image_id")
    assert split["fold"].to_dict() == manifest["fold"].to_dict()
    parts = [read_predictions(folds / f"fold_{fold}" / "predictions.csv") for fold in (0, 1)]
    for fold, part in enumerate(parts):
        assert set(part["fold"]) == {fold}
        result = read_json(folds / f"fold_{fold}" / "result.json")
        assert result["predicted"] == len(part)
        assert result["train"] + result["validation"] == len(manifest) - len(part)
    assert read_json(folds / "report.json")["n"] == len(manifest)


def test_held_out_photos_are_answered_with_the_views_of_the_experiment(folds: Path) -> None:
    table = read_predictions(folds / "fold_0" / "predictions.csv")
    paths = pd.read_csv(folds / "manifest.csv").set_index("image_id")["path"]
    canvases = load_canvases(
        paths[table["image_id"]].tolist(), 37, "cover", cache=folds, memory_limit_mb=64
    )
    turned = [np.rot90(canvases, turns, axes=(1, 2)) for turns in range(4)]
    views = [tf.image.resize(view, (32, 32)) for view in turned + [v[:, ::-1] for v in turned]]
    network = keras.saving.load_model(folds / "fold_0" / "model.keras", compile=False)
    expected = tf.nn.softmax(np.mean([network(view, training=False) for view in views], axis=0))
    alone = tf.nn.softmax(network(views[0], training=False))
    probabilities = table[[name for name in table if name.startswith("prob_")]]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert np.abs(alone - expected).max() > 1e-3  # else this test would say nothing


def test_folds_trained_apart_merge_to_the_same_and_refit(
    folds: Path, apart: list[Path], root: Path, drawn_set: Path, trained: Run, tmp_path: Path
) -> None:
    there = tmp_path / apart[1].name  # as it comes from a machine that has the photos elsewhere
    shutil.copytree(apart[1], there)
    text = (there / "manifest.csv").read_text(encoding="utf-8")
    moved = text.replace(str(drawn_set), "/mnt/elsewhere")
    assert moved != text
    (there / "manifest.csv").write_text(moved, encoding="utf-8")
    merged = trained("--merge", str(there), str(apart[0]), "--refit")
    assert all(Path(path).is_file() for path in pd.read_csv(merged / "manifest.csv")["path"])
    name = "predictions.csv"
    assert (merged / name).read_bytes() == (folds / name).read_bytes()
    trained_where = read_json(merged / "environment.json")["folds"]
    for fold in (0, 1):
        there = read_json(apart[fold] / "environment.json")
        assert trained_where[f"fold_{fold}"] == there
        assert there["command"][-2:] == ["--fold", str(fold)]
        model = Path(f"fold_{fold}") / "model.keras"
        assert same(weights(merged / model), weights(folds / model))
    result = read_json(merged / "refit" / "result.json")
    rows = pd.read_csv(merged / "manifest.csv")
    assert (result["train"], result["validation"], result["predicted"]) == (len(rows), 0, 0)
    kept = [read_json(merged / f"fold_{f}" / "result.json")["epochs_kept"] for f in (0, 1)]
    for phase, epochs in result["epochs_kept"].items():
        assert epochs == round(np.median([by_phase[phase] for by_phase in kept]))
    assert len(history(merged / "refit")) == sum(result["epochs_kept"].values())
    facts = [read_json(path) for path in (root / "saved_models").glob("it/*/ajl_tf.json")]
    served = {fact["run"]: fact["members"] for fact in facts}
    assert served[merged.name] == ["refit"]
    assert served[folds.name] == ["fold_0", "fold_1"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the verb says when it ends with exit code 2, and with that alone."""
    capsys.readouterr()
    assert run_verb(train.main, arguments) == 2
    said = capsys.readouterr().err
    assert "\nerror: " in f"\n{said}"
    assert "Traceback" not in said
    return said


def test_runs_that_do_not_fit_together_are_not_merged(
    apart: list[Path], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = map(str, apart)
    there = places(tmp_path)
    assert "fold 1 is missing: train it with --fold 1" in refused(capsys, "--merge", first, *there)
    assert "fold 0 is there twice" in refused(capsys, "--merge", first, second, first, *there)

    other = shutil.copytree(second, tmp_path / "other")
    config = (other / "config.toml").read_text()
    (other / "config.toml").write_text(config.replace("seed = 3", "seed = 4"))
    assert f"{other}: its experiment differs" in refused(
        capsys, "--merge", first, str(other), *there
    )

    shifted = shutil.copytree(second, tmp_path / "shifted")
    result = shifted / "fold_1" / "result.json"
    result.write_text(result.read_text().replace(read_json(result)["data_hash"], "0" * 16))
    assert "different data or splits" in refused(capsys, "--merge", first, str(shifted), *there)

    with_flags = refused(capsys, "--merge", first, second, "--set", "seed=4", *there)
    assert "--merge takes the experiment from the runs" in with_flags
    assert "is no run" in refused(capsys, "--merge", str(root), *there)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_scored_fold_neither_trains_nor_selects(
    keep: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ajl_tf.config_file import load_experiment

    class Seen(Exception):  # noqa: N818 - no error: it ends the training once it has been seen
        pass

    def fit(classifier: object, rows: object, *_: object, **__: object) -> list[int]:
        raise Seen(rows)

    monkeypatch.setattr(members, "fit", fit)
    path = tmp_path / "it.toml"
    path.write_text(EXPERIMENT)
    n = 60
    manifest = pd.DataFrame(
        {
            "image_id": [f"id{i:02}" for i in range(n)],
            "label": [f"label {i % 3}" for i in range(n)],
            "skin_tone": [i % 6 + 1 for i in range(n)],
            "group_id": [f"group {i // 6}" for i in range(n)],
            "fold": [i // 6 % 3 for i in range(n)],
        }
    )
    canvases = np.zeros((n, 37, 37, 3), np.uint8)
    experiment = load_experiment(path, ["split.scheme=3 folds", f"training.keep={keep}"])
    job = members.Job(experiment, manifest, canvases, "hash")
    for fold in range(3):
        with pytest.raises(Seen) as seen:
            members.train_fold(job, tmp_path / f"{fold}", fold)
        rows = seen.value.args[0]
        used = np.concatenate([rows.train, rows.validation])
        assert sorted(used) == np.flatnonzero(manifest["fold"] != fold).tolist()
        assert (len(rows.validation) > 0) == (keep == "best")
        groups = [set(manifest["group_id"][part]) for part in (rows.train, rows.validation)]
        assert not groups[0] & groups[1]
        assert [rows.class_names[label] for label in rows.labels] == manifest["label"].tolist()


def test_dropped_photos_train_nothing_and_are_scored_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ajl_tf.config_file import load_experiment

    seen = []

    def fit(classifier: object, rows: Any, *_: object, **__: object) -> list[int]:
        seen.append({*rows.train, *rows.validation})
        return [1, 1]

    monkeypatch.setattr(members, "fit", fit)
    (tmp_path / "it.toml").write_text(EXPERIMENT)
    n, gone = 60, {0, 1, 30, 31}
    manifest = pd.DataFrame(
        {
            "image_id": [f"id{i:02}" for i in range(n)],
            "label": [f"label {i % 3}" for i in range(n)],
            "skin_tone": 1,
            "group_id": [f"id{i:02}" for i in range(n)],
            "drop_reason": ["dark" if i in gone else None for i in range(n)],
        }
    )
    canvases = np.zeros((n, 37, 37, 3), np.uint8)
    parts = np.array(["train", "validation", "test"])[np.arange(n) // 20]
    fold = np.arange(n) // 30

    def job(scheme: str, **columns: object) -> members.Job:
        experiment = load_experiment(tmp_path / "it.toml", [f"split.scheme={scheme}"])
        return members.Job(experiment, manifest.assign(**columns), canvases, "hash")

    members.train_holdout(job("34/33/33", split=parts), tmp_path / "holdout")
    assert seen.pop() == set(range(40)) - {0, 1}  # 30 and 31 validate, for they are scored
    held_out = read_predictions(tmp_path / "holdout" / "predictions.csv")
    assert held_out["image_id"].tolist() == manifest["image_id"][20:].tolist()
    in_folds = job("2 folds", fold=fold)
    members.train_fold(in_folds, tmp_path / "fold_0", 0)
    assert seen.pop() == set(range(30, 60)) - gone
    scored = read_predictions(tmp_path / "fold_0" / "predictions.csv")
    assert scored["image_id"].tolist() == manifest["image_id"][:30].tolist()
    members.train_refit(in_folds, tmp_path / "refit", [tmp_path / "fold_0"])
    assert seen.pop() == set(range(60)) - gone

    only = manifest.assign(
        fold=fold, label=["rare" if i in (0, 1, 50) else "acne" for i in range(n)]
    )
    with pytest.raises(UserError, match="rare: all of its photos are in fold 1 or dropped"):
        members.check_split(only)


def test_a_run_records_which_photos_it_dropped_and_why(
    root: Path,
    drawn_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(members, "train_holdout", lambda job, run: None)
    monkeypatch.setattr(train, "_finish", lambda *_: 0)
    photos = pd.read_csv(drawn_set / "train.csv", dtype=str)
    flagged = photos.loc[photos["qc"] == "1 Diagnostic", "md5hash"].tolist()
    shoe = photos.loc[photos["qc"].isna(), "md5hash"].iloc[0]
    (tmp_path / "drop.csv").write_text(f"image_id,reason\n{shoe},a shoe\n")
    arguments = [str(root / "it.toml"), "--data", str(drawn_set), *places(tmp_path)]
    drop = ["--set", f"data.drop={tmp_path / 'drop.csv'}", "--set", 'data.drop_qc=["1 Diagnostic"]']

    assert train.main(arguments) == 0
    assert "dropped" not in capsys.readouterr().out
    assert train.main([*arguments, *drop]) == 0
    said = capsys.readouterr().out
    assert f"{len(flagged) + 1} photos are dropped: they train nothing" in said
    plain, dropping = sorted((tmp_path / "runs").iterdir(), key=lambda run: run.stat().st_mtime_ns)
    assert not (plain / "dropped.csv").exists()
    recorded = pd.read_csv(dropping / "dropped.csv").set_index("image_id")["reason"].to_dict()
    assert recorded == {shoe: "a shoe", **dict.fromkeys(flagged, "qc: 1 Diagnostic")}
    assert flagged
    # The shared split is the same, and every photo is in the manifest still.
    columns = ["image_id", "split"]
    manifests = [pd.read_csv(run / "manifest.csv") for run in (plain, dropping)]
    pd.testing.assert_frame_equal(*(manifest[columns] for manifest in manifests))
    again = dropping / "dropped.csv"  # which is a table of the form that data.drop takes
    assert train.main([*arguments, "--set", f"data.drop={again}"]) == 0


def test_a_split_that_leaks_is_used_with_a_warning_and_a_list(
    root: Path,
    drawn_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(members, "train_holdout", lambda job, run: None)
    monkeypatch.setattr(train, "_finish", lambda *_: 0)
    arguments = [str(root / "it.toml"), "--data", str(drawn_set), *places(tmp_path)]
    assert train.main(arguments) == 0
    assert "leak" not in capsys.readouterr().err
    (clean,) = (tmp_path / "runs").iterdir()
    assert not (clean / "leaks.csv").exists()

    manifest = pd.read_csv(clean / "manifest.csv", dtype=str)
    sizes = manifest["group_id"].value_counts()
    one, two, *_ = manifest.loc[manifest["group_id"] == sizes.index[0], "image_id"]
    split = manifest[["image_id", "split"]]
    sides = {one: "train", two: "validation"}
    split = split.assign(split=split["image_id"].map(sides).fillna(split["split"]))
    split.to_csv(tmp_path / "splits/leaky_60-20-20.csv", index=False)
    assert train.main([*arguments, "--set", 'split.name="leaky"']) == 0
    said = capsys.readouterr().err
    assert "warning: the split leaks. 1 group stands on more than one side" in said
    (leaky,) = set((tmp_path / "runs").iterdir()) - {clean}
    leaks = pd.read_csv(leaky / "leaks.csv")
    assert {one, two} <= set(leaks["image_id"])
    assert set(leaks["group_id"]) == {sizes.index[0]}
    assert str(leaky / "leaks.csv") in said


def test_a_merged_run_keeps_the_record_of_dropped_photos(apart: list[Path], tmp_path: Path) -> None:
    from ajl_tf.training.merging import merge_runs

    runs = [shutil.copytree(run, tmp_path / run.name) for run in apart]
    assert not (merge_runs(runs, tmp_path / "runs")[0] / "dropped.csv").exists()
    for run in runs:
        (run / "dropped.csv").write_text("image_id,reason\nx,dark\n")
    merged = merge_runs(runs, tmp_path / "runs")[0]
    assert (merged / "dropped.csv").read_text() == "image_id,reason\nx,dark\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no experiment was named"),
        (["nowhere.toml"], "no experiment file nowhere.toml"),
        (["{it}", "--data", "nowhere"], "nowhere"),
        (["{it}", "--set", "training.batch=3"], "training.batch: unknown key"),
        (["{it}", "--data", "{data}", "--set", "data.drop=none.csv"], "none.csv does not exist"),
        (["{it}", "--set", "split.scheme=80/30"], "split.scheme '80/30' is no scheme"),
        (["{it}", "--folds", "1"], "split.scheme '1 folds' is no scheme"),
        (["{it}", "--folds", "3", "--fold", "3"], "--fold must be 0 to 2. Received: 3"),
        (["{it}", "--folds", "3", "--fold", "-1"], "--fold must be 0 to 2. Received: -1"),
        (["{it}", "--fold", "0"], "--fold and --refit go with folds"),
        (["{it}", "--refit"], "--fold and --refit go with folds"),
        (["{it}", "--folds", "3", "--fold", "0", "--refit"], "--refit needs all folds"),
        (
            ["{it}", "--folds", "3", "--refit", "--set", "phases.0.schedule=plateau"],
            "leaves schedule = 'plateau' nothing to watch (phases: feature_extraction)",
        ),
        (["{it}", "--data", "{data}", "--set", "phases.1.unfreeze=conv_9"], "no layer 'conv_9'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    arguments: list[str],
    said: str,
    root: Path,
    drawn_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        argument.format(it=root / "it.toml", data=drawn_set) if "{" in argument else argument
        for argument in arguments
    ]
    assert said in refused(capsys, *arguments, *places(tmp_path))


def csv_of(drawn_set: Path, folder: Path, labels: list[str]) -> Path:
    photos = sorted((drawn_set / "train").rglob("*.jpg"))[: len(labels)]
    rows = {"image_id": [photo.stem for photo in photos], "path": photos, "label": labels}
    pd.DataFrame(rows).to_csv(folder / "it.csv", index=False)
    return folder / "it.csv"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["acne", "", "acne"], "row 3: label '' is empty"),
        (["acne"] * 10 + ["rash"], "rash: all of its photos are in fold"),
    ],
)
def test_labels_that_nothing_can_be_trained_on_are_named(
    labels: list[str],
    said: str,
    root: Path,
    drawn_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = csv_of(drawn_set, tmp_path, labels)
    arguments = [str(root / "it.toml"), "--folds", "2", "--data", str(data)]
    assert said in refused(capsys, *arguments, *places(tmp_path))
    assert not (tmp_path / "runs").exists()


def test_weighing_twice_is_warned_of(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["class_weights=inverse", "sampler=class", "double_weighting=true"]
    arguments = [text for change in changes for text in ("--set", f"balance.{change}")]
    with pytest.raises(UserError, match="nowhere"):
        train.main([str(root / "it.toml"), "--data", "nowhere", *arguments])
    assert "weigh rare classes twice" in capsys.readouterr().err


def test_help_answers_without_tensorflow() -> None:
    program = (
        "import sys; from ajl_tf.train import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules or 'pandas' in sys.modules)"
    )
    helped = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert helped.returncode == 0
    assert "--folds" in helped.stdout


def test_an_interrupt_ends_with_one_message_and_keeps_what_was_written(
    root: Path, drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(root / "it.toml"), "--set", "phases.0.epochs=2000"]
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.wait(0.1):
            if list(tmp_path.glob("runs/*/history.jsonl")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        code = run_verb(train.main, [*arguments, "--data", str(drawn_set), *places(tmp_path)])
    finally:
        ended.set()
        watcher.join()
    errors = capsys.readouterr().err
    assert code == 130
    assert errors.splitlines()[-2].startswith("interrupted: ")
    assert "Traceback" not in errors
    (run,) = tmp_path.glob("runs/*")
    assert errors.splitlines()[-1].endswith(f": python -m ajl_tf.train --resume {run}")
    assert history(run)["epoch"].tolist() == list(range(len(history(run))))
    assert (run / "config.toml").is_file()
    assert (run / "best.weights.h5").is_file()
    assert not list(run.rglob(".*"))
    assert not (run / "result.json").exists()  # it is not taken for a finished run
