"""The explain verb: pictures, numbers and words of a run, out of fold, and what it refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ajl_tf import explain
from ajl_tf.assessment.predictions import make_predictions, write_predictions
from ajl_tf.config_file import parse_experiment
from ajl_tf.dataset.images import decode, fit, to_input
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.errors import run_verb
from ajl_tf.explanation import methods, publish
from ajl_tf.models.classifier import build_classifier
from ajl_tf.runs import create_run, write_json

NAMES = ["drawn-ring", "drawn-spot-ragged", "drawn-star"]
PHOTOS = 30


@pytest.fixture(scope="module")
def run(
    drawn_set: Path,
    tiny_backbone: str,
    tiny_classifiers: list[Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of two folds on 30 drawn photos; fold 1's network has fold 0's logits reversed."""
    first = tiny_classifiers[0].model
    second = keras.models.clone_model(first)
    *weights, kernel, bias = first.get_weights()
    second.set_weights([*weights, kernel[:, ::-1], bias[::-1]])
    model = {"backbone": tiny_backbone, "weights": "none", "input_size": 32}
    return made_run(drawn_set, tmp_path_factory.mktemp("explained"), model, (first, second))


@pytest.fixture(scope="module")
def attentive(
    drawn_set: Path, tiny_backbone: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[keras.Model]]:
    """A run of two folds whose networks pool by attention, and the networks; nothing is learned."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    networks = []
    for _ in range(2):
        network = build_classifier(tiny_backbone, "none", 32, 3, 0.0, pooling="attention").model
        pool = network.get_layer("pooled_features")
        pool.set_weights([rng.normal(0, 2, weight.shape) for weight in pool.weights])
        networks.append(network)
    model = {"backbone": tiny_backbone, "weights": "none", "input_size": 32}
    model["pooling"] = "attention"
    folder = tmp_path_factory.mktemp("attentive")
    return made_run(drawn_set, folder, model, networks), networks


def made_run(
    drawn_set: Path, folder: Path, model: dict[str, Any], networks: Sequence[keras.Model]
) -> Path:
    """A run with one network a fold."""
    from ajl_tf.dataset.canvases import load_canvases

    values = {
        "name": "tiny",
        "data": {"canvas": 48},
        "model": model,
        "phases": [{"name": "all", "epochs": 1}],
    }
    experiment = parse_experiment(values, "the test")
    folder = create_run(experiment, folder / "runs", ["the test"])
    rows = labelled(read_manifest([drawn_set])).head(PHOTOS)
    rows = rows.assign(label=np.resize(NAMES, PHOTOS), fold=np.arange(PHOTOS) % 2)
    rows.to_csv(folder / "manifest.csv", index=False)
    canvases = load_canvases(
        rows["path"].tolist(), 48, "cover", cache=folder, memory_limit_mb=64, announce=False
    )
    tables = []
    for fold, network in enumerate(networks):
        part, chosen = folder / f"fold_{fold}", rows["fold"].to_numpy() == fold
        part.mkdir()
        network.save(part / "model.keras")
        logits = network(to_input(canvases[chosen], 32)).numpy()
        probabilities = keras.ops.softmax(logits).numpy()
        tables.append(make_predictions(rows[chosen], NAMES, probabilities))
        write_predictions(part / "predictions.csv", tables[-1])
        write_json(part / "result.json", {"class_names": NAMES})
    write_predictions(folder / "predictions.csv", pd.concat(tables, ignore_index=True))
    return folder


def explained(run: Path, *options: str) -> str:
    with redirect_stdout(io.StringIO()) as printed:
        assert run_verb(explain.main, [str(run), *options]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def told(run: Path, drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("out") / "new" / "explained"
    masks = ["--masks", str(drawn_set / "masks")]
    options = ["--method", "grad_cam, occlusion", "--limit", "12", "--tone-audit"]
    return out, explained(run, *masks, *options, "--out", str(out))


def numbers(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "explain.json").read_text(encoding="utf-8"))
    return found


def test_every_photo_has_its_picture_and_its_numbers(told: tuple[Path, str], run: Path) -> None:
    out, _ = told
    photos = numbers(out)["photos"]
    predictions = pd.read_csv(run / "predictions.csv").set_index("image_id")
    assert len(photos) == 12
    for photo in photos:
        row = predictions.loc[photo["image_id"]]
        assert photo["explained_by"] == f"fold_{row['fold']}"
        assert photo["trained_on"] is False
        assert (photo["label"], photo["predicted"]) == (row["label"], row["predicted"])
        assert photo["probability"] == pytest.approx(row[f"prob_{photo['predicted']}"], abs=1e-4)
        assert set(photo["methods"]) == {"grad_cam", "occlusion", "random"}
        for figures in photo["methods"].values():
            assert 0 <= figures["deletion"] <= 1
            assert 0 <= figures["insertion"] <= 1
        with Image.open(out / "overlays" / f"{photo['image_id']}.png") as picture:
            assert picture.width > 3 * 240  # the photo and two maps
            assert len(set(picture.crop((10, 64, 250, 304)).get_flattened_data())) > 100
    assert {path.stem for path in (out / "overlays").iterdir()} == {p["image_id"] for p in photos}
    assert {photo["explained_by"] for photo in photos} == {"fold_0", "fold_1"}


def test_the_summary_is_the_photos_mean(told: tuple[Path, str]) -> None:
    found = numbers(told[0])
    photos, summary = found["photos"], found["summary"]
    for method in ("grad_cam", "occlusion"):
        own, chance = (
            np.array([photo["methods"][name]["deletion"] for photo in photos])
            for name in (method, "random")
        )
        assert summary[method]["deletion"]["value"] == pytest.approx(own.mean(), abs=1e-5)
        against = summary[method]["deletion_minus_random"]
        assert against["value"] == pytest.approx((own - chance).mean(), abs=1e-5)
        assert against["low"] < against["value"] < against["high"]
        curve = np.array(summary[method]["deletion_curve"])
        assert np.trapezoid(curve, dx=1 / 16) == pytest.approx(own.mean(), abs=1e-4)
        inside = summary[method]["inside_mask"]
        assert sum(group["n"] for group in inside["by_tone"]) == inside["overall"]["n"]
        shares = [photo["mask_share"] for photo in photos]
        assert 0 < np.mean(shares) < 1
        assert inside["overall"]["n"] + inside["overall"]["empty"] == 12
    near = summary["random"]["inside_mask"]["overall"]["share_minus_area"]
    assert near["low"] < 0 < near["high"]


def test_what_is_printed_says_out_of_fold_and_no_diagnosis(told: tuple[Path, str]) -> None:
    out, printed = told
    assert "photos    12: 12 explained by the network that held them out" in printed
    assert printed.count("(held it out)") == 12
    assert "no diagnosis" in printed
    assert "faithfulness over 12 photos" in printed
    assert f"numbers   {out / 'explain.json'}" in printed
    lines = [line for line in printed.splitlines() if str(out) not in line]
    assert max(map(len, lines)) <= 100


def test_the_tone_audit_has_a_table_pictures_and_a_summary(told: tuple[Path, str]) -> None:
    out, printed = told
    table = pd.read_csv(out / "tone_audit.csv")
    audit = numbers(out)["tone_audit"]
    assert audit["photos"] + audit["left_out"] == 12
    assert table["image_id"].nunique() == audit["photos"] > 6
    assert set(table["predicted_after"]) <= set(NAMES)
    assert (table["flipped"] == (table["predicted"] != table["predicted_after"])).all()
    tone = table[(table["kind"] == "tone") & (table["degrees"] == 20)]
    overall = audit["sizes"]["20"]["flips"]["overall"]
    by_photo = tone.groupby("image_id")["flipped"].mean()
    assert overall["tone"]["value"] == pytest.approx(by_photo.mean(), abs=1e-5)
    assert len(list((out / "tones").glob("*.png"))) == min(12, audit["photos"])
    assert "tone audit of" in printed


def test_mistakes_only_and_files_made_again(run: Path, tmp_path: Path) -> None:
    options = ["--misclassified", "--fold", "0", "--method", "grad_cam"]
    options += ["--out", str(tmp_path / "out")]
    explained(run, *options, "--limit", "3")
    photos = numbers(tmp_path / "out")["photos"]
    assert all(photo["label"] != photo["predicted"] for photo in photos)
    sure = [photo["probability"] for photo in photos]
    assert sure == sorted(sure, reverse=True)
    (tmp_path / "out" / "mine.txt").write_text("kept")
    explained(run, *options, "--limit", "2")
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 2
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_attention_is_the_softmax_over_places_by_hand_and_is_scored_on_masks(
    attentive: tuple[Path, list[keras.Model]], drawn_set: Path, tmp_path: Path
) -> None:
    run, networks = attentive
    options = ["--method", "attention", "--limit", "5", "--masks", str(drawn_set / "masks")]
    printed = explained(run, *options, "--out", str(tmp_path / "out"))
    assert printed.count("    attention ") == 2  # deletion, insertion
    assert printed.count("\n  attention ") == 1  # on the lesion
    found = numbers(tmp_path / "out")
    inside = found["summary"]["attention"]["inside_mask"]["overall"]
    assert (inside["n"], inside["empty"]) == (5, 0)
    manifest = pd.read_csv(run / "manifest.csv").set_index("image_id")
    shares = []
    for photo in found["photos"]:
        network = networks[manifest["fold"][photo["image_id"]]]
        pool = network.get_layer("pooled_features")
        seen, wanted = pool.get_weights()
        image = seen_by_network(Path(manifest["path"][photo["image_id"]]))
        features = keras.Model(network.input, pool.input)(image).numpy()[0].astype(np.float64)
        counts = np.exp(np.tanh(features @ seen) @ wanted)
        whole = Image.fromarray((counts / counts.sum()).astype(np.float32)).resize(
            (32, 32), Image.Resampling.BILINEAR
        )
        mask = seen_by_network(drawn_set / "masks" / f"{photo['image_id']}.png")
        lesion = mask[0].mean(axis=-1) > 127.5
        attribution = np.asarray(whole)
        assert np.ptp(attribution) > 0.02
        expected = attribution[lesion].sum() / attribution.sum()
        own = photo["methods"]["attention"]
        assert own["inside_mask"] == pytest.approx(expected, abs=1e-3)
        assert own["sum"] == pytest.approx(attribution.sum(), rel=1e-3)
        shares.append(own["inside_mask"])
    assert inside["share"]["value"] == pytest.approx(np.mean(shares), abs=1e-5)


def seen_by_network(path: Path) -> np.ndarray:
    """A photo or mask as the network's input `(1, 32, 32, 3)`."""
    canvas = fit(decode(path.read_bytes()), 48, "cover")
    return np.asarray(to_input(canvas[None], 32))


def test_without_a_method_named_attention_is_shown_where_there_is_one(
    attentive: tuple[Path, list[keras.Model]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slow in ("shap", "occlusion"):
        monkeypatch.setitem(methods.METHODS, slow, methods.grad_cam)
    monkeypatch.setattr(methods, "load_shap", lambda: None)
    explained(attentive[0], "--limit", "1", "--out", str(tmp_path / "out"))
    assert numbers(tmp_path / "out")["methods"] == ["grad_cam", "shap", "occlusion", "attention"]


def test_a_photo_of_ones_own_is_explained_by_all_folds(
    run: Path, drawn_set: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "my photo.jpg"
    photo.write_bytes(next((drawn_set / "test" / "test").glob("*.jpg")).read_bytes())
    printed = explained(run, str(photo), "--method", "grad_cam", "--out", str(tmp_path / "out"))
    assert "1 unknown to the run" in printed
    (record,) = numbers(tmp_path / "out")["photos"]
    assert record["explained_by"] == "all folds"
    assert record["trained_on"] is record["label"] is None
    assert (tmp_path / "out" / "overlays" / "my photo.png").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "magic"], "grad_cam,shap,occlusion,attention. Received: 'magic'"),
        (["--method", "attention"], "this run has model.pooling = 'average'"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--split", "test"], "this run has folds: choose with --fold"),
        (["--split", "val"], "this run has folds: choose with --fold"),
        (["no-such-photo.jpg"], "no-such-photo.jpg"),
        (["--masks", "nowhere"], "--masks takes a folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Path,
    options: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert run_verb(explain.main, [str(run), *options, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_of_other_things_is_left_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run_verb(explain.main, [str(run), "--out", str(tmp_path)]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_out_of_memory_says_what_to_do(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish, "explain_all", lambda *_: np.zeros(1 << 50))  # petabytes
    options = ["--limit", "2", "--out", str(tmp_path / "out")]
    assert run_verb(explain.main, [str(run), *options]) == 2
    said = capsys.readouterr().err
    assert "error: out of memory (" in said
    assert "fewer photos (--limit)" in said
    assert not (tmp_path / "out").exists()
