"""A report as Markdown for a model card: scores, skin tones, calibration, what it does not show.

What a card should say of scores follows Mitchell et al. 2019, "Model Cards for Model Reporting"
(https://arxiv.org/abs/1810.03993): by group, with the uncertainty, and with what is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ajl_tf.assessment.limits import limits
from ajl_tf.assessment.printed import COLUMNS, COMPARED, NO_DIAGNOSIS
from ajl_tf.assessment.words import WORDS, cell

_PARITY = ("pqd", "dpm", "eom", "demographic_parity_difference", "equalised_odds_difference")


def card_section(report: Mapping[str, Any]) -> str:
    """The scores of a model card, with headings of the third level.

    Args:
        report: As `report.make_report` returns it; what a report of an older version lacks is left
            out.

    Returns:
        Markdown: overall, by tone band, gaps, calibration, what the scores do not show.
    """
    parts = [_overall(report), _bands(report), _gaps(report), _sure(report), _limits(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overall(report: Mapping[str, Any]) -> str:
    interval = report["interval"]
    rows = [(WORDS[name].name, cell(value)) for name, value in report["overall"].items()]
    for level, scores in report.get("tree", {}).items():
        partitions = f"weighted F1, {len(scores['partitions'])} partitions ({level})"
        rows.append((partitions, cell(scores["weighted_f1"])))
    found = report.get("malignant")
    if found:
        against = f"({found['n_malignant']:,} photos against {found['n_other']:,})"
        rows.append((f"{WORDS['sensitivity'].name} {against}", cell(found["sensitivity"])))
        rows.append((WORDS["specificity"].name, cell(found["specificity"])))
    said = [
        f"{report['n']:,} photos ({report['rows']}), {len(report['classes'])} conditions. In "
        f"brackets: {interval['level']:.0%} intervals from {interval['resamples']:,} resamples of "
        f"{interval['clusters']:,} clusters; – where fewer than {interval['min_clusters']}.",
        _table(("score", "value"), rows),
    ]
    if "twins" in report:
        said.append(_plain(report["twins"]["sentence"]))
    return "\n\n".join(said)


def _bands(report: Mapping[str, Any]) -> str:
    section = report["by_band"]
    rows = [
        (group["group"], f"{group['n']:,}", *(cell(group[name]) for name in COLUMNS))
        for group in section["groups"]
    ]
    headings = ("tone band", "n", *(WORDS[name].name for name in COLUMNS))
    return "\n\n".join(
        [
            "### By skin tone",
            _table(headings, rows),
            f"Standardised recall is averaged over the {len(section['shared_conditions'])} "
            "conditions that every known tone band with photos has. Accuracy and F1 of tones "
            "differ also because their mix of conditions does.",
        ]
    )


def _gaps(report: Mapping[str, Any]) -> str:
    """What separates the bands, and whether that is more than luck."""
    section = report["by_band"]
    lines = []
    for name in COMPARED:
        found = section["compared"][name]
        lines.append(f"{WORDS[name].name}: {cell(found['difference'])}. {found['conclusion']}")
    for name in _PARITY:
        entry = section.get("parity", {}).get(name)
        if entry and entry["value"] is not None:
            lines.append(f"{WORDS[name].name}: {cell(entry)}. {entry['conclusion']}")
    return "### Differences between tone bands\n\n" + _list(lines)


def _sure(report: Mapping[str, Any]) -> str:
    sure = report.get("sure")
    if not sure:
        return ""
    sets = sure["conformal"]["lac"]["marginal"]["groups"] if sure["conformal"] else []
    names = ["ece", "overconfidence"]
    headings = ["photos", "n", *(WORDS[name].name for name in names)]
    if sets:
        headings.append(f"{WORDS['set_coverage'].name} ({sure['conformal']['target']:.0%} aimed)")
    rows = []
    for number, group in enumerate(sure["calibration"]["groups"]):
        cells = [group["group"], f"{group['n']:,}", *(cell(group[name]) for name in names)]
        rows.append([*cells, cell(sets[number]["set_coverage"])] if sets else cells)
    overall = sure["calibration"]["groups"][0]
    return "\n\n".join(
        [
            "### How sure",
            _table(headings, rows),
            f"All photos: {overall['ece']['conclusion']}",
        ]
    )


def _limits(report: Mapping[str, Any]) -> str:
    lines = [*limits(report), *report["notes"]]
    return f"### What this does not show\n\n{_list(lines)}\n\n{NO_DIAGNOSIS}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(_plain(text) for text in cells)} |"

    return "\n".join([line(headings), f"|{'---|' * len(headings)}", *(line(row) for row in rows)])


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    r"""Text that Markdown and HTML take as it is: a condition may be called `<b>` or `a | b`."""
    return re.sub(r"([\\`*_{}<>|#~])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")
