"""The model card says what the model is, what it is not, and where its scores come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.config_file import parse_experiment
from ajl_tf.serving.card import model_card

EXPERIMENT = {
    "name": "it",
    "model": {"backbone": "mobilenet_v2", "weights": "none", "input_size": 64},
    "phases": [{"name": "all", "epochs": 1}],
}


def card(names: list[str], members: int = 1, **model: Any) -> str:
    rows = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(12)],
            "label": [names[number % 2] for number in range(12)],
            "skin_tone": [1, 2, 3, 4, 5, 6, -1, 1, 2, 3, 4, 5],
            "split": "test",
        }
    )
    probabilities = np.random.default_rng(0).dirichlet([1, 1], 12)
    report = make_report(make_predictions(rows, names, probabilities))
    experiment = parse_experiment(
        {**EXPERIMENT, "model": {**EXPERIMENT["model"], **model}}, "the test"
    )
    return model_card(experiment, report, "it-20250101", members)


def test_it_says_what_the_model_is_and_is_not() -> None:
    text = card(["acne", "eczema"])
    assert text.startswith("# it\n")
    assert "makes no diagnosis" in text
    assert "Not\nmeant for patients" in text
    assert "one network, backbone `mobilenet_v2`, input 64 pixels,\n  2 classes" in text
    assert "run `it-20250101`" in text
    assert "`split test`, n = 12" in text
    for word in ("Weighted F1", "5-6", "unknown"):
        assert word.lower() in text.lower()


def test_it_states_the_terms_of_the_photos() -> None:
    assert "CC BY-NC-SA" in card(["acne", "eczema"])
    assert "drawn" not in card(["acne", "eczema"])


def test_drawn_data_is_called_drawn() -> None:
    text = card(["drawn-dots", "drawn-rings"])
    assert "**drawn pictures, not photos**" in text
    assert "nothing about dermatology" in text


def test_an_average_does_not_pass_its_members_scores_off_as_its_own() -> None:
    text = card(["acne", "eczema"], members=5)
    assert "the average of 5 networks" in text
    assert "cannot be scored on them" in text
    assert "cannot be scored on them" not in card(["acne", "eczema"])


@pytest.mark.parametrize(
    ("weights", "said"),
    [("none", "(random)"), ("imagenet", "ImageNet, licence"), ("/a/file.h5", "mind its licence")],
)
def test_it_says_where_the_weights_began(weights: str, said: str) -> None:
    assert said in card(["acne", "eczema"], weights=weights)
