"""Draws every figure of a report into a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ajl_tf.reporting.drawings import Row, draw_confusion, draw_intervals, draw_parity
from ajl_tf.reporting.drawings_sure import draw_reliability, draw_risk_coverage
from ajl_tf.reporting.rows import against_parts

Json = Any
_SCORES = ("standardised_recall", "weighted_f1", "accuracy")
_MALIGNANT = ("sensitivity", "specificity")
_PROMISES = {"marginal": "one promise for all", "by_band": "one for each band"}


def groupings_of(report: Json) -> dict[str, Json]:
    """Title of each division of the photos to its section: bands and types first."""
    return {"tone band": report["by_band"], "skin tone": report["by_tone"], **report["by"]}


def draw(folder: Path, report: Json, comparison: Json | None) -> dict[str, Markup | None]:
    """Writes the figures as SVG files.

    Args:
        folder: Where they go.
        report: From `assessment.report.make_report`.
        comparison: From `assessment.against.compare_models`.

    Returns:
        Name to the drawing for a page, None where there is nothing to draw: `scores_by_<n>_<title>`
        for each of `groupings_of`, `confusion, parity`, and where known `reliability,
        risk_coverage, sets, malignant, against`.
    """
    drawn = {
        name: draw_intervals(
            folder / f"{name}.svg", f"Scores by {title}", _named(section["groups"]), _SCORES
        )
        for name, (title, section) in score_figures(report).items()
    }
    drawn["confusion"] = draw_confusion(
        folder / "confusion.svg", report["confusion"], report["classes"]
    )
    drawn["parity"] = draw_parity(folder / "parity.svg", report["by_band"]["parity"])
    if report["malignant"]:
        rows = [
            Row(f"{_tone(band['group'])} (n {band['n_malignant']:,} + {band['n_other']:,})", band)
            for band in report["malignant"]["by_band"]
        ]
        title = "Malignant against the rest by tone band"
        drawn["malignant"] = draw_intervals(folder / "malignant.svg", title, rows, _MALIGNANT)
    if report["sure"]:
        drawn |= _draw_sure(folder, report["sure"])
    if comparison:
        rows = [Row(name, part["difference"]) for name, part in against_parts(comparison)]
        drawn["against"] = draw_intervals(
            folder / "against.svg",
            "Differences of the two models",
            rows,
            _SCORES if all(_SCORES[0] in row.figures for row in rows) else _SCORES[1:],
            mark=0.0,
            axis="first minus second",
        )
    return drawn


def score_figures(report: Json) -> dict[str, tuple[str, Json]]:
    """Name of the figure of each division of the photos, to its title and section."""
    return {
        f"scores_by_{number}_{re.sub(r'[^a-z0-9]+', '_', title.lower()).strip('_')}": (title, found)
        for number, (title, found) in enumerate(groupings_of(report).items(), start=1)
    }


def _draw_sure(folder: Path, sure: Json) -> dict[str, Markup | None]:
    drawn: dict[str, Markup | None] = {
        "reliability": draw_reliability(folder / "reliability.svg", sure["calibration"]["groups"]),
        "risk_coverage": draw_risk_coverage(folder / "risk_coverage.svg", sure["risk_coverage"]),
    }
    if sure["conformal"]:
        lac = [sure["conformal"]["lac"][promise]["groups"] for promise in _PROMISES]
        rows = [
            Row(
                _tone(groups[0]["group"]),
                {
                    name: group["set_coverage"]
                    for name, group in zip(_PROMISES.values(), groups, strict=True)
                },
            )
            for groups in zip(*lac, strict=True)
        ]
        drawn["sets"] = draw_intervals(
            folder / "sets.svg",
            "Prediction sets that hold the label",
            rows,
            list(_PROMISES.values()),
            mark=sure["conformal"]["target"],
        )
    return drawn


def _named(groups: Json) -> list[Row]:
    return [Row(f"{group['group']} (n {group['n']:,})", group) for group in groups]


def _tone(group: str) -> str:
    return f"tone {group}" if group[:1].isdigit() else group
