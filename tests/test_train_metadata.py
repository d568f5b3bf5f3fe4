"""The whole way with metadata: train, go on, export, predict, explain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ajl_tf import explain, predict, train
from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.errors import run_verb
from ajl_tf.models.classifier import load_classifier
from ajl_tf.models.metadata import columns_of
from ajl_tf.runs import open_run, read_json
from ajl_tf.training.members import train_fold
from ajl_tf.training.resuming import open_job, read_task

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
EXPERIMENT = """
name = "told"
seed = 3
[split]
name = "told"
scheme = "2 folds"
[model]
backbone = "tiny"
weights = "none"
metadata = { site = "category", age = "number", skin_tone = "category" }
[training]
batch_size = 16
keep = "last"
[[phases]]
name = "feature_extraction"
epochs = 25
augment = false
learning_rate = 3e-2
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("told")
    (root / "told.toml").write_text(EXPERIMENT, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def table(root: Path, drawn_set: Path) -> pd.DataFrame:
    """Drawn photos in a CSV; the site decides the label, wherever it is known."""
    rows = pd.read_csv(drawn_set / "train.csv")
    labels = rows["three_partition_label"]
    rng = np.random.default_rng(0)
    site = labels.map(dict(zip(sorted(labels.unique()), ("Arm", "Face", "Leg"), strict=True)))
    made = pd.DataFrame(
        {
            "image_id": rows["md5hash"],
            "path": f"{drawn_set}/train/train/" + rows["label"] + "/" + rows["md5hash"] + ".jpg",
            "label": labels,
            "skin_tone": rows["fitzpatrick_scale"],
            "site": site.mask(rng.random(len(rows)) < 0.1),
            "age": rng.integers(10, 90, len(rows)),
        }
    )
    made.to_csv(root / "photos.csv", index=False)
    return made


def places(root: Path) -> list[str]:
    return [
        *("--runs", str(root / "runs"), "--splits", str(root / "splits")),
        *("--saved-models", str(root / "saved_models"), "--cache", str(root / "cache")),
    ]


@pytest.fixture(scope="module")
def run(root: Path, table: pd.DataFrame) -> Path:
    """A run of two folds, exported."""
    arguments = [str(root / "told.toml"), "--data", str(root / "photos.csv"), *places(root)]
    assert train.main(arguments) == 0
    (made,) = (root / "runs").glob("*")
    return made


@pytest.fixture(scope="module")
def version(root: Path, run: Path) -> Path:
    return root / "saved_models" / "told" / "1"


def right(predictions: pd.DataFrame) -> pd.Series:
    rows = predictions.set_index("image_id")
    return rows["predicted"] == rows["label"]


def test_what_decides_the_label_is_learnt_and_the_photo_alone_is_scored_beside_it(
    run: Path, table: pd.DataFrame
) -> None:
    told = right(read_predictions(run / "predictions.csv"))
    alone = right(read_predictions(run / "predictions_photo_only.csv"))
    known = table.set_index("image_id")["site"].notna().reindex(told.index)
    assert set(told.index) == set(alone.index) == set(table["image_id"])
    assert told[known].mean() >= 0.95
    assert alone[known].mean() < 0.75
    report = read_json(run / "report.json")
    assert report["overall"]["accuracy"]["value"] == pytest.approx(told.mean())


def test_each_network_learnt_its_columns_from_the_rows_that_trained_it(run: Path) -> None:
    manifest = pd.read_csv(run / "manifest.csv")
    for fold in (0, 1):
        rows = manifest[manifest["fold"] != fold]
        site, age, tone = columns_of(load_classifier(run / f"fold_{fold}" / "model.keras"))
        assert site.values == ("arm", "face", "leg")
        assert age.mean == pytest.approx(rows["age"].mean())
        assert age.deviation == pytest.approx(rows["age"].std(ddof=0))
        assert list(tone.values) == sorted({str(each) for each in rows["skin_tone"]} - {"-1"})


def test_from_what_the_run_has_kept_the_same_network_is_trained(run: Path, tmp_path: Path) -> None:
    job = open_job(run, open_run(run)[1], read_task(run))
    train_fold(job, tmp_path / "again", 1)
    for name in ("predictions.csv", "predictions_photo_only.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (run / "fold_1" / name).read_bytes()


def test_it_says_what_it_takes_and_what_a_tone_means(
    root: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    from ajl_tf.config_file import load_experiment
    from ajl_tf.dataset.manifest import read_manifest
    from ajl_tf.training.preparing import tell_metadata

    manifest = read_manifest([root / "photos.csv"])
    tell_metadata(load_experiment(root / "told.toml").model, manifest)
    said = capsys.readouterr()
    missing = table["site"].isna().mean()
    assert f"metadata: site (category: arm, face, leg), unknown for {missing:.1%}" in said.out
    assert "metadata: age (number: mean " in said.out
    assert "warning: the column site tells the label of 100% of the photos" in said.err
    assert "warning: skin_tone in model.metadata tells the skin's tone" in said.err
    assert "a wrong or missing annotation changes the answer" in said.err
    changes = ['model.metadata={ age = "number" }']
    tell_metadata(load_experiment(root / "told.toml", changes).model, manifest)
    said = capsys.readouterr()
    assert (said.err, said.out.count("\n")) == ("", 1)
    changes = ["model.metadata={}"]
    tell_metadata(load_experiment(root / "told.toml", changes).model, manifest)
    assert capsys.readouterr() == ("", "")


def test_a_column_that_is_not_there_ends_the_training_before_it_begins(
    root: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(root / "told.toml"), "--set", "model.metadata.sex=category", *places(root)]
    before = set((root / "runs").glob("*"))
    assert run_verb(train.main, [*arguments, "--data", str(root / "photos.csv")]) == 2
    assert "sex: the data has no such column. There are: image_id, path" in capsys.readouterr().err
    assert set((root / "runs").glob("*")) == before


def test_the_card_says_what_is_taken_and_what_it_is_worth(version: Path, run: Path) -> None:
    text = (version / "model_card.md").read_text(encoding="utf-8")
    missing = pd.read_csv(run / "manifest.csv")["site"].isna().mean()
    assert f"| `site` | category | arm, face, leg | {missing:.1%} |" in text
    assert "**skin_tone tells the skin's tone.**" in text
    assert "with metadata as recorded (first) and by the photo alone (second)" in text
    told = right(read_predictions(run / "predictions.csv")).mean()
    alone = right(read_predictions(run / "predictions_photo_only.csv")).mean()
    (line,) = [line for line in text.splitlines() if line.startswith("  accuracy")][:1]
    assert line.split()[1:4] == [f"{told:.3f}", f"{alone:.3f}", f"{told - alone:.3f}"]
    facts = read_json(version / "ajl_tf.json")
    assert [column["name"] for column in facts["metadata"]] == ["site", "age", "skin_tone"]


def predicted(version: Path, source: Path, out: Path, *options: str) -> pd.DataFrame:
    out.unlink(missing_ok=True)
    assert predict.main([str(version), str(source), "--out", str(out), *options]) == 0
    rows = pd.read_csv(out).set_index("image_id")
    return rows[[name for name in rows if name.startswith("prob_")]]


def test_predict_takes_the_columns_of_a_csv_or_does_without(
    version: Path, table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = table.iloc[:12].reset_index(drop=True)
    few["site"] = ["Arm", " face ", "LEG", "hand", None, *["arm"] * 7]
    few["skin_tone"] = 3
    few.drop(columns="label").to_csv(tmp_path / "told.csv", index=False)
    given = predicted(version, tmp_path / "told.csv", tmp_path / "out.csv")
    said = capsys.readouterr().out
    assert "site: known for 10 of 12 photos; 1 have a value that no training photo had" in said
    assert "as 'hand'" in said
    assert "age: known for 12 of 12 photos\n" in said

    (tmp_path / "photos").mkdir()
    for path, image_id in zip(few["path"], few["image_id"], strict=True):
        shutil.copy(path, tmp_path / "photos" / f"{image_id}.jpg")
    alone = predicted(version, tmp_path / "photos", tmp_path / "alone.csv")
    assert "metadata     site: no such column; unknown for all photos\n" in capsys.readouterr().out
    assert np.abs(alone.loc[given.index] - given).to_numpy().max() > 0.1
    answers = given.columns[given.loc[few["image_id"]].to_numpy().argmax(axis=1)]
    assert len(set(answers[:3])) == 3

    few.assign(fitzpatrick_scale=3, more="x").drop(columns=["path", "skin_tone"]).to_csv(
        tmp_path / "patients.csv", index=False
    )
    joined = predicted(
        version,
        tmp_path / "photos",
        tmp_path / "joined.csv",
        *("--metadata", str(tmp_path / "patients.csv")),
    )
    np.testing.assert_allclose(joined.loc[given.index], given, atol=1e-5)


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert run_verb(predict.main, [str(each) for each in arguments]) == 2
    return capsys.readouterr().err


def test_metadata_that_do_not_fit_are_refused_before_the_first_photo(
    version: Path,
    saved_model: Path,
    table: pd.DataFrame,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table.iloc[:3].assign(age=["30", "old", "40"]).to_csv(tmp_path / "old.csv", index=False)
    out = ("--out", tmp_path / "out.csv")
    said = refused(capsys, version, tmp_path / "old.csv", *out)
    assert "age: 1 cells are no numbers, as 'old'" in said
    more = tmp_path / "more.csv"
    photos = [root / "photos.csv", *out, "--metadata", more]
    more.write_text("image_id,hair\na,red\n")
    assert "has none of the columns that the model takes: site, age" in refused(
        capsys, version, *photos
    )
    more.write_text("image_id,site\na,arm\na,leg\n")
    assert "1 image_id stand there more than once, as a" in refused(capsys, version, *photos)
    more.write_text("image_id,site\na,arm\n")
    assert "Its image_id look like 'a', theirs like" in refused(capsys, version, *photos)
    assert "the model takes nothing but the photo" in refused(
        capsys, saved_model, table_without_labels(table, tmp_path), *out, "--metadata", more
    )
    assert not (tmp_path / "out.csv").exists()


def table_without_labels(table: pd.DataFrame, folder: Path) -> Path:
    table.iloc[:2].drop(columns="label").to_csv(folder / "plain.csv", index=False)
    return folder / "plain.csv"


def test_explain_explains_the_photo_alone_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(run), "--fold", "0", "--limit", "2", "--method", "grad_cam"]
    assert explain.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "networks are explained as they answer by the photo alone" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))["photos"]
    alone = read_predictions(run / "predictions_photo_only.csv").set_index("image_id")
    for photo in told:
        row = alone.loc[photo["image_id"]]
        assert photo["predicted"] == row["predicted"]
        assert photo["probability"] == pytest.approx(row[f"prob_{row['predicted']}"], abs=1e-4)
