"""What an experiment says reaches the training: each value changes what comes out, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ajl_tf.assessment.predictions import read_predictions
from ajl_tf.config_file import parse_experiment
from ajl_tf.training import members
from ajl_tf.training.members import Job, train_holdout

pytestmark = pytest.mark.usefixtures("tiny_backbone", "blank_figures")
TRAIN, N = 24, 36
LABELS = np.array([*["acne"] * 6, *["eczema"] * 4, *["scabies"] * 2] * 3)  # 3 : 2 : 1
PROBABILITIES = ["prob_acne", "prob_eczema", "prob_scabies"]
CHANGES: dict[str, dict[str, Any]] = {
    "focal loss": {"loss": {"name": "focal"}},
    "label smoothing": {"loss": {"label_smoothing": 0.3}},
    "label tree": {"loss": {"hierarchy": 0.4}},
    "class weights": {"balance": {"class_weights": "inverse"}},
    "class sampler": {"balance": {"sampler": "class"}},
    "rare conditions": {"augment": {"rotation": 40.0, "rare_boost": 1.0}},
    "layer decay": {"phases": {"layer_decay": 0.1}},
    "schedule": {"phases": {"schedule": "cosine"}},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., np.ndarray]:
    """Trains with some values changed; gives the probabilities `(12, 3)` of the held-out rows."""
    rng = np.random.default_rng(0)
    canvases = rng.integers(0, 256, (N, 36, 36, 3)).astype(np.uint8)
    manifest = pd.DataFrame(
        {
            "image_id": [f"x{number}" for number in range(N)],
            "label": LABELS,
            "skin_tone": np.resize([1, 3, 5, -1], N),
            "split": ["train"] * TRAIN + ["validation"] * (N - TRAIN),
            "nine_partition_label": np.where(LABELS == "scabies", "infested", "inflamed"),
        }
    )

    def run(**changes: dict[str, Any]) -> np.ndarray:
        values: dict[str, Any] = {
            "name": "it",
            "data": {"canvas": 36},
            "model": {"backbone": "tiny", "weights": "none", "input_size": 32},
            "augment": {"rotation": 40.0},
            "training": {"batch_size": 8, "keep": "last"},
        }
        phase = {"name": "all", "epochs": 2, "unfreeze": 1.0, "learning_rate": 0.01}
        phase |= {"schedule": "constant"}
        phase |= changes.pop("phases", {})
        values |= {name: values.get(name, {}) | table for name, table in changes.items()}
        experiment = parse_experiment(values | {"phases": [phase]}, "the test")
        folder = tmp_path_factory.mktemp("run")
        train_holdout(Job(experiment, manifest, canvases, "hash"), folder)
        told = read_predictions(folder / "predictions.csv")[PROBABILITIES]
        return told.to_numpy(np.float64)

    return run


@pytest.fixture(scope="module")
def plain(trained: Callable[..., np.ndarray]) -> np.ndarray:
    return trained()


def test_the_same_file_gives_the_same(
    trained: Callable[..., np.ndarray], plain: np.ndarray
) -> None:
    """Else the other tests of this file would say nothing."""
    np.testing.assert_array_equal(trained(), plain)


@pytest.mark.parametrize("name", CHANGES)
def test_each_value_of_a_file_changes_the_training(
    trained: Callable[..., np.ndarray], plain: np.ndarray, name: str
) -> None:
    assert np.abs(trained(**CHANGES[name]) - plain).max() > 1e-4


def test_logits_are_adjusted_by_how_common_conditions_are_in_training(
    trained: Callable[..., np.ndarray], plain: np.ndarray
) -> None:
    common = pd.Series(LABELS[:TRAIN]).value_counts(normalize=True).sort_index().to_numpy()
    expected = plain / common**0.7
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(trained(loss={"logit_adjustment": 0.7}), expected, atol=1e-5)


def test_the_network_is_built_as_the_file_says(
    trained: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    class BuiltError(Exception):
        pass

    asked: list[tuple[Any, ...]] = []

    def build(*values: Any) -> None:
        asked.append(values)
        raise BuiltError

    monkeypatch.setattr(members, "build_classifier", build)
    with pytest.raises(BuiltError):
        trained(model={"dropout": 0.3, "stochastic_depth": 0.2, "pooling": "attention"})
    assert asked == [("tiny", "none", 32, 3, 0.3, 0.2, "attention", ())]
