"""What was found, summed up: counts against the tables, and where to look first."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from ajl_tf.inspection import summaries
from ajl_tf.inspection.summaries import (
    records,
    summarise_doubts,
    summarise_duplicates,
    summarise_leaks,
    summarise_quality,
)

MANIFEST = pd.DataFrame(
    {
        "image_id": list("abcdefg"),
        "label": pd.Series(["x", "x", "x", "y", None, "x", "y"], dtype="str"),
        "skin_tone": [1, 2, 3, 3, 5, 6, -1],
        "group_id": list("aacceeg"),
    }
)
PAIRS = pd.DataFrame(
    {
        "first": ["a", "c"],
        "second": ["b", "d"],
        "kind": ["identical", "near"],
        "similarity": [1.0, 0.8],
        "change": ["the same file", "mirrored"],
    }
)


def test_clusters_with_conflicts_come_first_then_those_across() -> None:
    found = summarise_duplicates(MANIFEST, PAIRS)
    json.dumps(found, allow_nan=False)
    assert (found["clusters"], found["photos"]) == (3, 6)
    assert (found["conflicting"], found["across"]) == (1, 1)
    assert found["pairs"] == {"identical": 1, "near": 1}
    assert [cluster["group_id"] for cluster in found["shown"]] == ["c", "e", "a"]
    first, second, _ = found["shown"]
    assert (first["conflicting"], first["across"]) == (True, False)
    assert (first["similarity"], first["changes"]) == (0.8, ["mirrored"])
    assert first["photos"] == [
        {"image_id": "c", "label": "x", "tone": "3"},
        {"image_id": "d", "label": "y", "tone": "3"},
    ]
    # Joined by a group_id of the data: no pair, so no similarity.
    assert (second["across"], second["similarity"], second["changes"]) == (True, None, [])


def test_no_duplicates() -> None:
    found = summarise_duplicates(MANIFEST.assign(group_id=MANIFEST["image_id"]), PAIRS.iloc[:0])
    assert (found["clusters"], found["photos"], found["shown"]) == (0, 0, [])


def test_issues_by_tone_band_are_shares_of_the_band() -> None:
    issues = pd.DataFrame(
        {
            "image_id": ["a", "a", "c", "f"],
            "issue": ["dark", "blurred", "dark", "dark"],
            "score": [0.9, 0.8, 0.7, 0.6],
            "why": "w",
        }
    )
    found = summarise_quality(MANIFEST, issues)
    json.dumps(found, allow_nan=False)
    assert found["photos"] == 3
    assert [(row["issue"], row["photos"]) for row in found["issues"]] == [
        ("dark", 3),
        ("blurred", 1),
    ]
    assert found["issues"][0]["share"] == pytest.approx(3 / 7)
    dark = found["bands"][0]
    assert dark == {"issue": "dark", "1-2": 0.5, "3-4": 0.5, "5-6": 0.5, "unknown": 0.0}
    known = MANIFEST[MANIFEST["skin_tone"] > 0]
    assert summarise_quality(known, issues)["bands"][0]["unknown"] is None


def test_no_issues() -> None:
    none = pd.DataFrame({"image_id": [], "issue": [], "score": [], "why": []}, dtype=object)
    found = summarise_quality(MANIFEST, none)
    assert (found["photos"], found["issues"], found["bands"], found["shown"]) == (0, [], [], [])


def test_doubts_and_leaks_are_counted_and_the_first_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(summaries, "ROWS", 2)
    doubts = pd.DataFrame(
        {
            "image_id": ["a", "b", "d"],
            "label": ["x", "x", "y"],
            "suggested": ["y", "y", "x"],
            "score": [0.1, 0.2, 0.3],
            "qc": pd.Series([None, "3 Wrongly labelled", None], dtype="str"),
        }
    )
    found = summarise_doubts(MANIFEST, doubts)
    json.dumps(found, allow_nan=False)
    assert found["doubts"] == 3
    assert found["confusions"][0] == {"label": "x", "suggested": "y", "photos": 2}
    assert [row["image_id"] for row in found["shown"]] == ["a", "b"]
    assert found["shown"][0] | {"tone": "1", "label": "x", "qc": None} == found["shown"][0]

    leaks = pd.DataFrame(
        {"group_id": list("aaa"), "image_id": list("aab"), "side": ["train", "test", "train"]}
    )
    found = summarise_leaks(leaks, "One group.")
    assert (found["groups"], found["photos"], len(found["shown"])) == (1, 2, 2)


def test_records_hold_what_json_can() -> None:
    table = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "t": pd.Series([None, "b"], dtype="str")})
    assert records(table) == [{"n": 1, "x": 0.5, "t": None}, {"n": 2, "x": None, "t": "b"}]
    json.dumps(records(table))
