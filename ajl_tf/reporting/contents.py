"""What stands on the page of a report: its cards, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ajl_tf.pages.words import fixed, interval, percent
from ajl_tf.reporting import rows
from ajl_tf.reporting.draw import score_figures

Json = Any


def contents(report: Json, figures: Mapping[str, Json]) -> dict[str, Json]:
    """What the templates name, but for the single photos and the second model.

    Args:
        report: From `assessment.report.make_report`.
        figures: From `draw.draw`.
    """
    sure = report["sure"]
    scaled = sure["temperature"]["calibration"]["groups"] if sure and sure["temperature"] else []
    return {
        "sentences": rows.sentences(report),
        "overall": rows.overall_rows(report),
        "conditions": rows.condition_rows(report),
        "confusions": rows.confusion_rows(report),
        "groupings": groupings(report, figures),
        "calibration": rows.calibration_rows(sure["calibration"]["groups"]) if sure else [],
        "scaled": rows.calibration_rows(scaled),
        "risks": rows.risk_rows(report) if sure else [],
        "sets": rows.set_rows(sure["conformal"]) if sure and sure["conformal"] else [],
        "tree": rows.tree_rows(report),
    }


def against_contents(comparison: Json) -> dict[str, Json]:
    """What the templates name of two models."""
    return {
        "against": rows.against_rows(comparison),
        "mcnemar": rows.mcnemar_rows(comparison),
    }


def groupings(report: Json, figures: Mapping[str, Json]) -> list[Json]:
    """Each division of the photos: by tone band, by tone, by other columns."""
    return [
        {
            "title": title,
            "heading": title if title in report["by"] else title.capitalize(),
            "figure": figures[name],
            "groups": section["groups"],
            "top_3": "top_3_accuracy" in section["groups"][0],
            "shared": section["shared_conditions"],
            "absent": sorted(set(report["classes"]) - set(section["shared_conditions"])),
            "compared": rows.compared_rows(section["compared"]),
            "parity": rows.parity_rows(section["parity"]),
        }
        for name, (title, section) in score_figures(report).items()
    ]


def cards(report: Json, mistakes: int) -> list[tuple[str, str, str, str]]:
    """What to know at a glance: value, words, the section it leads to, and how bad it is."""
    overall, compared = report["overall"], report["by_band"]["compared"]
    found = [
        _card(overall["weighted_f1"], "weighted F1", "short"),
        _card(overall["accuracy"], "accuracy", "short"),
    ]
    gap = compared["standardised_recall"]
    if gap["difference"]["value"] is not None:
        best, worst = gap["between"]
        words = f"standardised recall, tone {best} minus {worst}"
        low = gap["difference"]["low"]
        kind = "look" if low is not None and low > 0 else ""
        found.append(_card(gap["difference"], words, "tones", kind))
    if report["malignant"]:
        card = _card(report["malignant"]["sensitivity"], "sensitivity for malignant", "tree")
        found.append(card)
    if report["sure"]:
        error = report["sure"]["calibration"]["groups"][0]["ece"]
        found.append(_card(error, "calibration error", "sure"))
        for entry in (report["sure"]["at_risk"] or ())[:1]:
            coverage = entry["groups"][0]["coverage"]["value"]
            words = f"of photos can be answered at a risk of {percent(entry['target'])}"
            found.append((percent(coverage), words, "sure", ""))
    return [*found, (f"{mistakes:,}", "mistakes", "mistakes", "")]


def _card(
    figure: Mapping[str, float | None], words: str, section: str, kind: str = ""
) -> tuple[str, str, str, str]:
    return fixed(figure["value"], 3), f"{words} {interval(figure)}", section, kind
