"""The report in words: what a figure means, what may be said of a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ajl_tf.assessment.figures import figure, number
from ajl_tf.assessment.glossary import SCORES
from ajl_tf.assessment.glossary_certainty import CERTAINTY
from ajl_tf.assessment.groups import BANDS, Comparison, compare
from ajl_tf.assessment.metrics import Bools, Floats

UNUSUAL = 0.05  # share of random deals that are as unequal: fewer, and it is more than chance

WORDS = SCORES | CERTAINTY
NOTIONS = {name: word.meaning for name, word in WORDS.items()}


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


def twin_sentence(
    n: int | None, of: int, figures: Mapping[str, Mapping[str, float | None]], why: str
) -> str:
    """What the photos with a twin in training do to the score.

    Args:
        n: How many there are, None where that cannot be told.
        of: How many photos were scored.
        figures: `all, without, only, difference`.
        why: Why it cannot be told.
    """
    if n is None:
        return f"Whether photos have a twin in training cannot be told: {why}."
    if not n:
        return f"None of the {of:,} photos has a twin in training, as far as group_id tells."
    said = (
        f"{n:,} of the {of:,} photos {'has' if n == 1 else 'have'} a twin in training: weighted F1 "
        f"{cell(figures['all'])} with them, {cell(figures['without'])} without them, "
        f"{cell(figures['only'])} on them alone."
    )
    low, high = figures["difference"]["low"], figures["difference"]["high"]
    if low is None or high is None:
        return f"{said} They are too few (or all) to say what they do to the score."
    if low <= 0 <= high:
        return f"{said} These photos cannot tell whether twins change the score."
    change = "higher" if low > 0 else "lower"
    return (
        f"{said} With them the score is {change}, by {cell(figures['difference'])}, from memory or "
        "because such photos are easier: a split without leaks tells which."
    )


def told_comparison(found: Comparison, names: Sequence[str], values: Floats) -> dict[str, Any]:
    """A comparison of groups as it stands in the report.

    Args:
        found: The comparison.
        names: G names of groups.
        values: (G,), the figure of each.
    """
    best = None if found.best is None else names[found.best]
    worst = None if found.worst is None else names[found.worst]
    return {
        "group_min": {
            "group": worst,
            "value": None if found.worst is None else number(values[found.worst]),
        },
        "difference": figure(found.difference, np.array([found.low, found.high])),
        "between": [best, worst],
        "ratio": number(found.ratio),
        "conclusion": conclusion(found, best, worst),
    }


def told_bands(value: Floats, moved: Floats, certain: Bools) -> dict[str, Any]:
    """A comparison of the known tone bands, of figures that stand behind that of all photos.

    Args:
        value: (1 + bands,), overall first.
        moved: (B, 1 + bands).
        certain: (1 + bands,).
    """
    return told_comparison(compare(value[1:], moved[:, 1:], certain[1:]), BANDS, value[1:])


def parity_conclusion(entry: Mapping[str, Any]) -> str:
    """What may be said of a parity figure, from what chance alone gives.

    Args:
        entry: As `sections.beside_chance` makes it.
    """
    chance = entry["by_chance"]
    if entry["value"] is None or chance is None:
        return "Fewer than two known groups have this figure: nothing to compare."
    if entry["low"] is None:
        return (
            "No interval (a group is too small, or the figure is as far out as it can be), so "
            "nothing can be said about equality."
        )
    usual = f"{chance['low']:.3f} to {chance['high']:.3f}"
    if chance["share"] > UNUSUAL:
        return (
            f"Groups dealt out at random give {usual}, and as unequal a value in "
            f"{chance['share']:.0%} of the deals: these photos cannot tell it from chance."
        )
    return (
        f"Groups dealt out at random give {usual}, and as unequal a value in at most "
        f"{UNUSUAL:.0%} of the deals: more than chance, given each photo's condition."
    )


def calibration_conclusion(entry: Mapping[str, Any]) -> str:
    """What may be said of a calibration error, from what a perfectly calibrated model gives.

    Args:
        entry: As `sections.beside_chance` makes it.
    """
    chance = entry["by_chance"]
    if chance is None:
        return "No photos."
    usual = f"{chance['low']:.3f} to {chance['high']:.3f}"
    start = f"A perfectly calibrated model, as sure as this one, would show {usual}"
    if chance["share"] > UNUSUAL:
        return f"{start} with so many photos: they cannot tell this one from it."
    return f"{start} with so many photos: this one is not calibrated."


def cell(figure: Mapping[str, float | None]) -> str:
    """`value [low, high]`; – for what there is not."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "–"
    return (
        f"{value:.3f} [–]"
        if low is None or high is None
        else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    )
