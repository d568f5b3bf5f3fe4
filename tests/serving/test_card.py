"""The model card says what the model is, what it is not, and where its scores come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.report import make_report
from ajl_tf.config_file import parse_experiment
from ajl_tf.models.backbones import BACKBONES
from ajl_tf.models.record import IMAGENET_21K_THEN_1K
from ajl_tf.serving.alarms import Alarms, Unlike
from ajl_tf.serving.blend import Blend, Fitted
from ajl_tf.serving.card import model_card
from ajl_tf.serving.held_out import HeldOut
from ajl_tf.serving.sources import Options, Source
from ajl_tf.serving.unlike import Known

EXPERIMENT = {
    "name": "it",
    "model": {"backbone": "mobilenet_v2", "weights": "none", "input_size": 64},
    "phases": [{"name": "all", "epochs": 1}],
}
FITTED = Fitted(1.25, 400, "validation rows")


def source(members: int, refit: bool = False, **model: Any) -> Source:
    experiment = parse_experiment(
        {**EXPERIMENT, "model": {**EXPERIMENT["model"], **model}}, "the test"
    )
    nothing = np.zeros(0, np.int64)
    held_out = HeldOut(pd.DataFrame(), ("a", "b"), nothing, np.zeros((0, 2)))
    parts = tuple(Path(f"fold_{number}") for number in range(members))
    parts = (Path("refit"),) if refit else parts
    return Source(Path("runs/it-20250101"), experiment, parts, held_out)


def card(
    names: list[str],
    members: int = 1,
    *,
    others: tuple[Source, ...] = (),
    unlike: Unlike | None = None,
    run: str = "it-20250101",
    options: Options | None = None,
    n: int = 400,
    **model: Any,
) -> str:
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
    sources = [source(members, **model), *others]
    weights = (0.75, 0.25)[: len(sources)] if others else (1.0,)
    blend = Blend(weights, FITTED, n)
    return model_card("it", run, sources, blend, unlike, report, options or Options())


def test_it_says_what_the_model_is_and_is_not() -> None:
    text = card(["acne", "eczema"])
    assert text.startswith("# it\n")
    assert "makes no diagnosis" in text
    assert "Not meant for patients" in text
    assert "- one network, backbone `mobilenet_v2`, input 64 pixels\n" in text
    assert "- 2 classes" in text
    assert "run `it-20250101`" in text
    assert "12 photos (split test)" in text
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
    alone = card(["acne", "eczema"])
    assert "cannot be scored on them" not in alone
    assert "Of this network, on photos it was not trained on." in alone


def test_a_refit_does_not_pass_the_folds_scores_off_as_its_own() -> None:
    text = card(["acne", "eczema"], refit=True)
    assert "- one network, trained on all photos of the run (refit), backbone" in text
    assert "The scores are of the networks of the single folds" in text
    assert "the network that is served was trained on all of these photos" in text
    assert "A refit takes what was fitted for the networks of its run's folds" in text
    assert "Of this network" not in text
    assert "refit" not in card(["acne", "eczema"], members=3)


def test_runs_of_one_network_each_were_not_trained_on_what_they_are_scored_on() -> None:
    text = card(["acne", "eczema"], others=(source(1),), n=0)
    assert "What is served is fitted on all parts." in text
    assert "cannot be scored" not in text
    assert "The runs' logits are averaged, by equal weights." in text
    for other in (source(2), source(1, refit=True)):
        text = card(["acne", "eczema"], others=(other,))
        assert "was trained on all of these photos: it cannot be scored on them" in text


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("none", "`none` (random)"),
        ("imagenet", "`imagenet` (ImageNet, licence"),
        ("/home/me/file.h5", "`file.h5` (a local file; mind its licence)"),
    ],
)
def test_it_says_where_the_weights_began(weights: str, said: str) -> None:
    assert said in card(["acne", "eczema"], weights=weights)


def test_weights_are_called_by_the_photos_that_they_saw() -> None:
    (record, *_) = [r for r in BACKBONES.values() if r.trained_on == IMAGENET_21K_THEN_1K]
    text = card(["acne", "eczema"], backbone=record.name, weights="imagenet", input_size=224)
    assert f"`imagenet` (ImageNet-21k, then ImageNet, licence {record.licence})" in text


def test_it_says_how_sure_it_was_made_and_on_what() -> None:
    text = card(["acne", "eczema"], members=3)
    assert "divided by a temperature: 1.250 (n = 400, validation rows)" in text
    assert "somewhat less sure than it may be" in text
    assert "before the temperature" in text
    assert "somewhat less sure" not in card(["acne", "eczema"])


def test_several_runs_stand_with_their_weights() -> None:
    text = card(["acne", "eczema"], others=(source(2, backbone="resnet50"),))
    assert "- one network, weight 0.750, backbone `mobilenet_v2`" in text
    assert "- the average of 2 networks, weight 0.250, backbone `resnet50`" in text
    assert "divided by a temperature: 1.250 (n = 400, validation rows)" in text
    assert "The runs' logits are averaged, by weights fitted on n = 400 rows." in text
    assert "fitted on other parts of the photos than they are scored on" in text


def test_views_of_a_photo_stand_with_the_network_and_scores_with_what_was_scored() -> None:
    assert "flips" not in card(["acne", "eczema"])
    text = card(["acne", "eczema"], views="flips")
    assert "input 64 pixels, averaged over the eight flips and quarter turns of a photo\n" in text
    assert "before the temperature" in text
    anew = card(["acne", "eczema"], run="it-20250102", options=Options(views="flips+crops"))
    assert "of a photo and of its middle\n" in anew
    assert "- scores of `it-20250102`" in anew
    assert "run `it-20250101`" in anew
    assert "after a temperature from other rows" in anew


def test_false_alarms_stand_by_tone_band() -> None:
    rows = (Alarms("all", 200, 0.05, 0.03, 0.09), Alarms("5-6", 0, None, None, None))
    text = card(["acne", "eczema"], unlike=Unlike((), (), 0.951, 200, "test rows", rows))
    assert "threshold 0.951 was fitted on n = 200 photos" in text
    assert "| all | 200 | 5.0% [3.0%, 9.0%] |" in text
    assert "| 5-6 | 0 | – |" in text
    assert "averages the scores of" not in text
    assert "does not say how unlike" in card(["acne", "eczema"])
    known = Known(np.zeros(1), np.zeros((1, 1)), np.zeros(2))
    several = Unlike((known,) * 3, (1 / 3,) * 3, 0.951, 200, "out-of-fold rows", rows)
    assert "averages the scores of 3 networks" in card(["acne", "eczema"], unlike=several)
