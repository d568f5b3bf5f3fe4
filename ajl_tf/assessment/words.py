"""The report in words: what a figure means, what may be said of a difference, the text table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ajl_tf.assessment.groups import Comparison

WIDTH = 100
NO_DIAGNOSIS = "Research software: no diagnosis."

NOTIONS = {
    "weighted_f1": "F1 of each condition, weighted by its number of photos (the competition's "
    "metric). Between tones it differs also because their mix of conditions differs.",
    "macro_f1": "F1 averaged over the conditions that occur as label or prediction.",
    "accuracy": "Share of photos predicted right. Between tones it differs also because their mix "
    "of conditions differs.",
    "balanced_accuracy": "Recall averaged over the conditions that occur (in the group).",
    "standardised_recall": "Recall averaged over the conditions that all compared groups share, "
    "each with the same weight: equal opportunity (equal true positive rates; Hardt, Price and "
    "Srebro 2016, https://arxiv.org/abs/1610.02413), averaged over conditions. A condition with "
    "few photos weighs as much as any, and its interval is then somewhat too narrow.",
    "top_3_accuracy": "Share of photos whose label is among the three most probable.",
    "log_loss": "Mean of minus the log of the label's probability; lower is better.",
    "difference": "Highest minus lowest value over the known tones; ratio: lowest through highest; "
    "group_min: the group with the lowest. The unknown tone is shown, never compared.",
}
_NAMES = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "standardised_recall": "standardised recall",
    "top_3_accuracy": "top-3 accuracy",
    "log_loss": "log loss (lower is better)",
}
_BY = {"by_tone": "skin tone", "by_band": "tone band"}
_COLUMNS = ("accuracy", "weighted_f1", "standardised_recall")
_COMPARED = ("standardised_recall", "weighted_f1")


def conclusion(found: Comparison, best: str | None, worst: str | None) -> str:
    """What may be said of the difference between the best and the worst group.

    Args:
        found: The comparison.
        best: Name of the best group.
        worst: Name of the worst group.
    """
    if best is None or worst is None or best == worst:
        return "Fewer than two known groups have this figure: nothing to compare."
    if found.low != found.low:  # NaN
        return (
            f"{best} and {worst}: too few photos (or no variation) for an interval, so nothing "
            "can be said about a difference."
        )
    if found.low <= 0 <= found.high:
        return (
            f"The interval of the difference between {best} and {worst} includes 0: these photos "
            "cannot tell the groups apart."
        )
    return f"The interval excludes 0: lower on {worst} than on {best}."


def format_table(report: Mapping[str, Any]) -> str:
    """The report as plain text of at most 100 columns, for a terminal.

    Args:
        report: As `make_report` returns it.

    Returns:
        Lines: overall; by tone and by band with n, accuracy, weighted F1 and standardised recall;
        what may be said of the differences between bands; notes.
    """
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    interval = report["interval"]
    yield from _wrapped(
        f"Scored: {report['n']:,} photos ({report['rows']}), {len(report['classes'])} conditions. "
        f"In brackets: {interval['level']:.0%} intervals from {interval['resamples']:,} resamples "
        f"of {interval['clusters']:,} clusters; – where fewer than {interval['min_clusters']}."
    )
    yield ""
    yield "overall"
    for name, figure in report["overall"].items():
        yield f"  {_NAMES[name]:<28}{_cell(figure)}"
    for by, title in _BY.items():
        section = report[by]
        yield ""
        yield (
            f"{'by ' + title:<14}{'n':>7}   "
            + "".join(f"{_NAMES[n]:<23}" for n in _COLUMNS).rstrip()
        )
        for group in section["groups"]:
            cells = "".join(f"{_cell(group[name]):<23}" for name in _COLUMNS)
            yield f"  {group['group']:<12}{group['n']:>7,}   {cells}".rstrip()
        yield f"  standardised recall: over the {len(section['shared_conditions'])} conditions " + (
            f"that every known {title} with photos has"
        )
    yield ""
    yield "differences between tone bands"
    for name in _COMPARED:
        compared = report["by_band"]["compared"][name]
        yield from _wrapped(
            f"{_NAMES[name]}: {_cell(compared['difference']).strip()}. {compared['conclusion']}",
            "  ",
        )
    yield "  Accuracy and F1 of tones differ also because their mix of conditions does."
    for note in report["notes"]:
        yield from _wrapped(f"note: {note}")
    yield ""
    yield NO_DIAGNOSIS


def _cell(figure: Mapping[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "–"
    return (
        f"{value:.3f} [–]"
        if low is None or high is None
        else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    )


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
