"""Label doubts: what confident learning proposes, against its authors' own library and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.errors import UserError
from ajl_tf.inspection.doubts import contradicted, label_doubts

NAMES = ["acne", "eczema", "tinea"]


def table(rows: list[tuple[str, list[float]]], **columns: object) -> pd.DataFrame:
    """Predictions of photos x0, x1, … from (label, probabilities), out of fold if not said else."""
    photos = {"image_id": [f"x{i}" for i in range(len(rows))], "label": [row[0] for row in rows]}
    photos |= columns or {"fold": [i % 2 for i in range(len(rows))]}
    return make_predictions(pd.DataFrame(photos), NAMES, np.array([row[1] for row in rows]))


# The means over the photos labelled so, by hand: acne 0.5, eczema 0.6, tinea 0.8.
ROWS = [
    ("acne", [0.9, 0.1, 0.0]),
    ("acne", [0.1, 0.7, 0.2]),  # eczema, with confidence: 0.7 is more than 0.6
    ("acne", [0.5, 0.0, 0.5]),
    ("eczema", [0.0, 1.0, 0.0]),
    ("eczema", [0.75, 0.2, 0.05]),  # acne, with confidence
    ("tinea", [0.0, 0.1, 0.9]),
    ("tinea", [0.0, 0.55, 0.45]),  # eczema, but no surer than of eczema's own photos
    ("tinea", [0.0, 0.05, 0.95]),
    ("tinea", [0.0, 0.1, 0.9]),
]


def test_the_doubts_of_a_small_table_are_those_worked_out_by_hand() -> None:
    found = label_doubts(table(ROWS))
    assert found["image_id"].tolist() == ["x1", "x4"]
    assert found["label"].tolist() == ["acne", "eczema"]
    assert found["suggested"].tolist() == ["eczema", "acne"]
    assert found["score"].tolist() == pytest.approx([0.1, 0.2])
    assert found["qc"].isna().all()


def data(**columns: object) -> pd.DataFrame:
    """The manifest of ROWS' photos."""
    photos = {"image_id": [f"x{i}" for i in range(len(ROWS))], "label": [row[0] for row in ROWS]}
    return pd.DataFrame(photos | columns)


def test_what_qc_says_stands_beside_it() -> None:
    qc = ["1 Diagnostic", None, None, None, "3 Wrongly labelled", None, None, None, None]
    found = label_doubts(table(ROWS), data(qc=qc)[::-1])
    assert found["image_id"].tolist() == ["x1", "x4"]
    assert found["qc"].isna().tolist() == [True, False]
    assert found["qc"][1] == "3 Wrongly labelled"
    assert label_doubts(table(ROWS), data())["qc"].isna().all()


def test_photos_that_are_not_in_the_data_or_were_relabelled_are_left_out_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = data()[1:]  # x0 is gone
    manifest.loc[4, "label"] = "acne"  # mended since
    found = label_doubts(table(ROWS), manifest)
    # The means without x0 and x4: acne (0.1 + 0.5) / 2 = 0.3, eczema 1, tinea 0.8.
    assert found["image_id"].tolist() == []
    told = capsys.readouterr().err
    assert "2 of 9 predicted photos are left out" in told
    assert "1 are not in the data" in told


def test_predictions_of_other_photos_are_refused() -> None:
    with pytest.raises(UserError, match="none of the 9 predicted photos is in the data"):
        label_doubts(table(ROWS), data().assign(image_id=[f"y{i}" for i in range(9)]))


def test_a_condition_that_no_photo_is_labelled_with_is_never_suggested() -> None:
    rows = [("acne", [0.3, 0.0, 0.7]), ("eczema", [0.2, 0.8, 0.0]), ("eczema", [0.9, 0.1, 0.0])]
    assert label_doubts(table(rows))["suggested"].tolist() == ["acne"]


def test_a_table_without_doubts_has_its_columns_all_the_same() -> None:
    found = label_doubts(table([("acne", [1.0, 0.0, 0.0]), ("tinea", [0.0, 0.0, 1.0])]))
    assert found.empty
    assert list(found) == ["image_id", "label", "suggested", "score", "qc"]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 80), st.floats(0, 4))
def test_the_doubts_are_those_of_cleanlab(
    seed: int, classes: int, photos: int, skill: float
) -> None:
    cleanlab = pytest.importorskip("cleanlab.filter")
    from cleanlab.count import get_confident_thresholds

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, photos)
    assume(len(set(labels)) > 1)  # cleanlab refuses a single class
    logits = rng.normal(size=(photos, classes))
    logits[np.arange(photos), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    _, doubtful = contradicted(probabilities, labels)
    theirs = cleanlab.find_label_issues(
        labels, probabilities, filter_by="confident_learning", n_jobs=1
    )
    # Of several classes that a model is confident of, the paper takes the most probable; cleanlab
    # the most probable of all, which need not be one of them.
    confident = probabilities >= get_confident_thresholds(labels, probabilities) - 1e-6
    top = probabilities.argmax(axis=1)
    differ = (confident.sum(axis=1) > 1) & ~confident[np.arange(photos), top]
    np.testing.assert_array_equal(doubtful[~differ], theirs[~differ])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_wrong_labels_that_were_planted_come_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, 300)
    logits = rng.normal(size=(300, 3))
    logits[np.arange(300), true] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = np.arange(300) % 20 == 0
    given_label = np.where(wrong, (true + 1) % 3, true)
    rows = pd.DataFrame({"image_id": [f"{i:03}" for i in range(300)]})
    rows = rows.assign(label=np.array(NAMES)[given_label], split="validation")
    found = label_doubts(make_predictions(rows, NAMES, probabilities))
    first = found.head(10)["image_id"].astype(int)
    assert wrong[first].mean() >= 0.7  # of all photos it is 0.05
    assert found["score"].is_monotonic_increasing
    suggested = found.set_index("image_id")["suggested"]
    for image_id in suggested.index[:5]:
        if wrong[int(image_id)]:
            assert suggested[image_id] == NAMES[true[int(image_id)]]


def test_training_rows_and_rows_without_a_label_are_left_out() -> None:
    split = ["validation"] * len(ROWS)
    everything = label_doubts(table(ROWS, split=split))
    rows = [*ROWS, *(("acne", [0.0, 1.0, 0.0]),) * 3]
    with_training = table(rows, split=[*split, "train", "train", "test"])
    with_training.loc[11, "label"] = None
    pd.testing.assert_frame_equal(label_doubts(with_training), everything)
    test = label_doubts(table(ROWS, split=["test"] * len(ROWS)))
    pd.testing.assert_frame_equal(test, everything)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"skin_tone": [1] * len(ROWS)}, "none of these 9 rows is known to be out of fold"),
        ({"split": ["train"] * len(ROWS)}, "is known to be out of fold or held out"),
        ({"fold": [None] * len(ROWS)}, "is known to be out of fold or held out"),
    ],
)
def test_predictions_of_photos_that_trained_the_model_are_refused(
    columns: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        label_doubts(table(ROWS, **columns))


def test_predictions_without_labels_or_probabilities_are_refused() -> None:
    with pytest.raises(UserError, match="none of these 9 rows has a label"):
        label_doubts(table(ROWS).drop(columns="label"))
    with pytest.raises(UserError, match=r"prob_<label>\), and these predictions have none"):
        label_doubts(table(ROWS)[["image_id", "label", "predicted", "fold"]])
