"""The scores of a model card: the report's numbers, and no less of what they do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ajl_tf.assessment.card import card_section
from ajl_tf.assessment.predictions import make_predictions
from ajl_tf.assessment.report import make_report

NAMES = ["acne", "<b>tinea</b>", "a | b_c"]


def report_of(n: int = 120, tones: bool = True, probabilities: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(n)],
            "label": [NAMES[number % 3] for number in range(n)],
            "skin_tone": [number // 3 % 6 + 1 if tones else -1 for number in range(n)],
            "split": "test",
        }
    )
    # No photo of the last condition on the darkest tones.
    rows.loc[(rows["skin_tone"] > 4) & (rows["label"] == NAMES[2]), "label"] = NAMES[0]
    table = make_predictions(rows, NAMES, rng.dirichlet([1, 1, 1], n))
    if not probabilities:
        table = table.drop(columns=[f"prob_{name}" for name in NAMES])
    return make_report(table, resamples=50)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return report_of()


def rows_below(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table after some words."""
    lines = text[text.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    found = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").replace(r"\|", "/").split(" | ")])
    return found


def test_the_tables_hold_the_numbers_of_the_report(report: dict[str, Any]) -> None:
    text = card_section(report)
    overall = dict(rows_below(text, "120 photos"))  # type: ignore[arg-type] # rows of two cells
    score = report["overall"]["weighted_f1"]
    interval = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    assert overall["weighted F1"] == interval
    bands = rows_below(text, "### By skin tone")
    groups = report["by_band"]["groups"]
    assert [row[:2] for row in bands] == [[g["group"], str(g["n"])] for g in groups]
    shown = [row[4].split(" ")[0] for row in bands[:3]]
    assert shown == [f"{g['standardised_recall']['value']:.3f}" for g in groups[:3]]
    sure = rows_below(text, "### How sure")
    errors = [f"{g['ece']['value']:.3f}" for g in report["sure"]["calibration"]["groups"][:4]]
    assert [row[2].split(" ")[0] for row in sure[:4]] == errors


def test_it_says_what_the_numbers_cannot_tell(report: dict[str, Any]) -> None:
    text = card_section(report)
    assert report["by_band"]["compared"]["standardised_recall"]["conclusion"] in text
    assert "### What this does not show" in text
    assert r"no photo of: a \| b\_c. Nothing is known there." in text
    assert text.rstrip().endswith("Research software: no diagnosis.")
    assert "no proof that they are equal" in text
    assert "[-0." in text  # the interval of the difference, which includes 0


def test_names_are_text_to_markdown_and_html(report: dict[str, Any]) -> None:
    report = {**report, "notes": ["Predicted but never a label: <script>&*x*."]}
    text = card_section(report)
    assert "<script>" not in text
    assert r"\<script\>&amp;\*x\*" in text


def test_what_is_not_there_is_said() -> None:
    text = card_section(report_of(tones=False, probabilities=False))
    assert "Fewer than two tone bands have photos" in text
    assert "no probabilities" in text
    assert "### How sure" not in text


def test_few_photos_are_called_few() -> None:
    assert "has 6 photos, which are too few for an interval" in card_section(report_of(n=18))


def test_a_report_of_an_older_version_has_its_card_too(report: dict[str, Any]) -> None:
    keys = ("rows", "n", "classes", "notes", "interval", "overall", "by_band")
    old = {key: report[key] for key in keys}
    old["by_band"] = {k: v for k, v in old["by_band"].items() if k != "parity"}
    text = card_section(old)
    assert "### By skin tone" in text
    assert "PQD" not in text
