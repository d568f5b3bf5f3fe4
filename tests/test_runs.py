"""Run folders: one for each run, with all that the run depended on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from ajl_tf.config import Experiment
from ajl_tf.config_file import parse_experiment
from ajl_tf.errors import UserError
from ajl_tf.runs import (
    create_run,
    manifest_hash,
    open_run,
    read_json,
    record_manifest,
    write_json,
)


@pytest.fixture
def experiment() -> Experiment:
    values = {
        "name": "it",
        "model": {"backbone": "mobilenet_v2"},
        "phases": [{"name": "only", "epochs": 1}],
    }
    return parse_experiment(values, "the test")


@pytest.fixture
def manifest() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "path": ["/x/a.jpg", "/x/b.jpg", "/x/c.jpg"],
            "label": ["acne", "acne", "eczema"],
            "skin_tone": [1, 6, -1],
            "group_id": ["a", "a", "c"],
            "split": ["train", "train", "test"],
        }
    )


def test_runs_started_at_once_get_a_folder_each(experiment: Experiment, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: create_run(experiment, tmp_path / "runs", []), range(8)))
    assert len(set(folders)) == 8
    assert all(open_run(folder)[1] == experiment for folder in folders)
    assert all(folder.name.startswith("it-") for folder in folders)
    assert all(experiment.hash in folder.name for folder in folders)


def test_a_run_says_what_it_depends_on(experiment: Experiment, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    folder = create_run(experiment, tmp_path, ["train", "it.toml"])
    environment = read_json(folder / "environment.json")
    assert environment["command"] == ["train", "it.toml"]
    assert environment["packages"]["tensorflow"] == tf.__version__
    assert environment["packages"]["keras"] == keras.__version__
    assert environment["devices"][0]["type"] == "CPU"
    assert {"commit", "python", "platform", "processor", "cores", "ajl_tf"} <= set(environment)


def test_the_manifest_is_recorded_with_its_split(manifest: pd.DataFrame, tmp_path: Path) -> None:
    record_manifest(tmp_path, manifest)
    written = pd.read_csv(tmp_path / "manifest.csv", dtype={"skin_tone": int})
    pd.testing.assert_frame_equal(written, manifest)


def test_the_manifest_hash_is_of_the_content(manifest: pd.DataFrame) -> None:
    digest = manifest_hash(manifest)
    assert manifest_hash(manifest.iloc[::-1]) == digest
    assert manifest_hash(manifest.assign(path=["/elsewhere/a.jpg"] * 3)) == digest
    assert manifest_hash(manifest[list(manifest)[::-1]]) == digest
    changes = {
        "image_id": ["a", "b", "d"],
        "label": ["acne", "eczema", "eczema"],
        "skin_tone": [1, 6, 5],
        "group_id": ["a", "b", "c"],
        "split": ["train", "test", "test"],
    }
    digests = {manifest_hash(manifest.assign(**{key: value})) for key, value in changes.items()}
    assert len({digest, *digests}) == 6


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "it.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "it.json", {"label": "café"})
    assert json.loads((tmp_path / "it.json").read_text(encoding="utf-8")) == {"label": "café"}


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has no config\.toml"):
        open_run(tmp_path)
    with pytest.raises(UserError, match=r"result\.json is missing; the run did not get that far"):
        read_json(tmp_path / "result.json")
    (tmp_path / "result.json").write_text('{"half": ')
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read_json(tmp_path / "result.json")
