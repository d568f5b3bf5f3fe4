"""The tone probe against what is planted in features, and through the explain verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from ajl_tf import explain
from ajl_tf.assessment.predictions import make_predictions, write_predictions
from ajl_tf.config_file import parse_experiment
from ajl_tf.dataset.manifest import labelled, read_manifest
from ajl_tf.errors import UserError
from ajl_tf.explanation.network import Network
from ajl_tf.explanation.tone_probe import bands_of, compare_probes, probe, summarise_probe
from ajl_tf.runs import create_run, write_json

N, HELD = 300, 50


def rows(groups: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    tones = rng.choice([1, 2, 3, 5], size=groups)  # 1-2 twice as common as the others
    group = np.resize(np.arange(groups), N)
    return pd.DataFrame({"skin_tone": tones[group], "group_id": [f"g{g}" for g in group]})


def test_what_features_hold_is_found_and_what_they_do_not_hold_is_chance() -> None:
    table, rng = rows(), np.random.default_rng(1)
    band = bands_of(table)
    assert set(band) == {0, 1, 2}
    holding = rng.normal(size=(N, 20))
    holding[:, 3] += 6 * band
    nothing = rng.normal(size=(N, 20))
    found, luck = probe(holding, table), probe(nothing, table)
    guessed = table.assign(features=found, condition=luck)
    told = summarise_probe(guessed)
    assert told["photos"] == N
    assert told["chance"] == pytest.approx(1 / 3, abs=1e-6)
    for name, guessed in (("features", found), ("condition", luck)):
        expected = balanced_accuracy_score(band, guessed)
        assert told[name]["value"] == pytest.approx(expected, abs=1e-6)
        assert told[name]["low"] < expected < told[name]["high"]
    assert told["features"]["value"] > 0.85
    assert told["condition"]["low"] < 1 / 3 < told["condition"]["high"]
    gap = told["features"]["value"] - told["condition"]["value"]
    assert told["difference"]["value"] == pytest.approx(gap, abs=1e-5)
    recalls = recall_score(band, found, average=None)
    assert [group["recall"] for group in told["by_band"]] == pytest.approx(recalls, abs=1e-6)
    assert [group["n"] for group in told["by_band"]] == np.bincount(band).tolist()


def test_two_probes_are_compared_on_the_photos_of_both() -> None:
    table, rng = rows().assign(image_id=[f"i{i}" for i in range(N)]), np.random.default_rng(2)
    band = bands_of(table)
    mostly = np.where(rng.random(N) < 0.8, band, rng.integers(3, size=N))
    hardly = np.where(rng.random(N) < 0.2, band, rng.integers(3, size=N))
    first = table.assign(features=mostly, condition=0)[20:]
    second = table.assign(features=hardly, condition=0)[:-20].sample(frac=1, random_state=0)
    told = compare_probes(first, second)
    both = slice(20, N - 20)
    assert told["photos"] == N - 40
    values = [balanced_accuracy_score(band[both], side[both]) for side in (mostly, hardly)]
    for name, value in zip(("features", "theirs"), values, strict=True):
        assert told[name]["value"] == pytest.approx(value, abs=1e-6)
    gap = told["difference"]
    assert gap["value"] == pytest.approx(values[0] - values[1], abs=1e-5)
    assert 0 < gap["low"] < gap["value"] < gap["high"]
    same = compare_probes(first, first)["difference"]
    assert (same["low"], same["value"], same["high"]) == (0, 0, 0)  # each resample is of both
    with pytest.raises(UserError, match="no photo of known tone in common"):
        compare_probes(first[200:], second[second["image_id"] == "i0"])


def test_copies_of_a_photo_do_not_tell_on_each_other() -> None:
    """Features name the group and nothing else: who has seen a copy knows the tone."""
    table = rows(groups=60)  # five photos each
    features = np.eye(60)[table["group_id"].str[1:].astype(int)] * 50
    guessed = probe(features, table)
    assert balanced_accuracy_score(bands_of(table), guessed) < 0.5
    apart = table.assign(group_id=[f"p{i}" for i in range(N)])
    assert balanced_accuracy_score(bands_of(apart), probe(features, apart)) > 0.95


@pytest.mark.parametrize("tones", [[1, 1, 2, 2], [1, 1, 3, 5]])
def test_too_few_photos_are_refused(tones: list[int]) -> None:
    table = pd.DataFrame({"skin_tone": tones, "group_id": ["a", "b", "c", "d"]})
    with pytest.raises(UserError, match=r"two groups of photos in each .* Received: 1-2: "):
        probe(np.zeros((4, 2)), table)


def test_features_are_those_before_the_head(corner: Network, photo: np.ndarray) -> None:
    pooled = 2e-5 * photo[0, :16, :16].sum() / 16
    assert corner.features(photo) == pytest.approx(np.array([[pooled]]), rel=1e-3)


def trained_run(
    drawn_set: Path, backbone: str, built: Any, place: Path, held: slice = slice(HELD)
) -> tuple[Path, pd.DataFrame]:
    """A run's folder as a training leaves it, and the rows of the photos that it held out."""
    values = {
        "name": "tiny",
        "data": {"canvas": 48},
        "model": {
            "backbone": backbone,
            "weights": "none",
            "input_size": built.model.inputs[0].shape[1],
        },
        "phases": [{"name": "all", "epochs": 1}],
    }
    run = create_run(parse_experiment(values, "the test"), place, ["the test"])
    table = labelled(read_manifest([drawn_set]))
    table["split"] = "train"
    table.loc[table.index[held], "split"] = "validation"
    table["label"] = np.resize(["a", "b", "c"], len(table))
    table["group_id"] = table["image_id"]
    table.to_csv(run / "manifest.csv", index=False)
    own = table[held]
    chances = np.full((len(own), 3), 1 / 3, np.float32)
    write_predictions(run / "predictions.csv", make_predictions(own, list("abc"), chances))
    write_json(run / "result.json", {"class_names": list("abc")})
    built.model.save(run / "model.keras")
    return run, own


def test_the_verb_probes_photos_that_were_held_out(
    drawn_set: Path, tiny_backbone: str, tiny_classifiers: list[Any], tmp_path: Path
) -> None:
    run, own = trained_run(
        drawn_set, tiny_backbone, tiny_classifiers[0], tmp_path / "runs", slice(HELD)
    )
    assert explain.main([str(run), "--tone-probe"]) == 0
    report = json.loads((run / "explained/explain.json").read_text())
    assert report["methods"] == []
    told = report["tone_probe"]
    known = own[own["skin_tone"] > 0]
    assert told["photos"] == len(known)
    assert 0 <= told["features"]["value"] <= 1
    assert sum(group["n"] for group in told["by_band"]) == len(known)
    assert "against" not in told
    photo = str(labelled(read_manifest([drawn_set]))["path"].iloc[-1])
    with pytest.raises(UserError, match="did not train on"):
        explain.main([str(run), photo, "--tone-probe", "--out", str(tmp_path / "other")])


def test_the_verb_compares_with_another_run_on_the_photos_of_both(
    drawn_set: Path,
    tiny_backbone: str,
    tiny_classifiers: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = [
        trained_run(drawn_set, tiny_backbone, classifier, tmp_path / name, held)
        for name, classifier, held in zip(
            "ab", tiny_classifiers, (slice(HELD), slice(10, HELD)), strict=False
        )
    ]
    (run, _), (other, theirs) = pair
    assert explain.main([str(run), "--tone-probe", "--against", str(other)]) == 0
    told = json.loads((run / "explained/explain.json").read_text())["tone_probe"]
    against = told["against"]
    assert against["run"] == other.name
    assert against["photos"] == (theirs["skin_tone"] > 0).sum() < told["photos"]
    gap = against["features"]["value"] - against["theirs"]["value"]
    assert against["difference"]["value"] == pytest.approx(gap, abs=1e-5)
    printed = capsys.readouterr().out
    assert f"against {other.name}, on the {against['photos']} photos of both" in printed
    with pytest.raises(UserError, match=r"--against compares tone probes: give --tone-probe"):
        explain.main([str(run), "--against", str(other)])


def test_groups_of_two_bands_are_divided_so_that_every_part_has_both_or_refused() -> None:
    table = pd.DataFrame({"skin_tone": [3, 1, 1, 1, 3], "group_id": ["g0", "g2", "g1", "g2", "g1"]})
    with pytest.raises(UserError, match=r"cannot divide these photos"):
        probe(np.eye(5), table)
    rng = np.random.default_rng(0)
    for _ in range(60):
        rows_ = rng.integers(6, 20)
        table = pd.DataFrame(
            {
                "skin_tone": rng.choice([1, 3, 5], rows_),
                "group_id": rng.integers(0, 6, rows_).astype(str),
            }
        )
        try:
            guessed = probe(rng.normal(size=(rows_, 3)), table)
        except UserError:
            continue
        assert set(guessed) <= set(bands_of(table))
