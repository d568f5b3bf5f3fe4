"""The report as plain text of at most 100 columns, for a terminal and the model card."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ajl_tf.assessment.words import UNUSUAL, WORDS, cell

WIDTH = 100
NO_DIAGNOSIS = "Research software: no diagnosis."
_LONGEST = 20  # letters of a group's name
_NAMES = {name: word.name for name, word in WORDS.items()}
COLUMNS = ("accuracy", "weighted_f1", "standardised_recall")
COMPARED = ("standardised_recall", "weighted_f1")


def format_table(report: Mapping[str, Any]) -> str:
    """The report as plain text of at most 100 columns, for a terminal.

    Args:
        report: As `make_report` returns it.

    Returns:
        Lines: overall, and what twins in training do to it; by tone and by band with n, accuracy,
        weighted F1 and standardised recall; what may be said of the differences between bands;
        notes.
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
    for name, scored in report["overall"].items():
        yield f"  {_NAMES[name]:<28}{cell(scored)}"
    if "twins" in report:  # reports of runs that are older than a figure lack it
        yield from _wrapped(f"twins: {report['twins']['sentence']}", "  ")
    yield from _up_the_tree(report)
    yield from _by_group("skin tone", report["by_tone"])
    yield from _by_group("tone band", report["by_band"])
    yield ""
    yield "differences between tone bands"
    for name in COMPARED:
        compared = report["by_band"]["compared"][name]
        yield from _wrapped(
            f"{_NAMES[name]}: {cell(compared['difference']).strip()}. {compared['conclusion']}",
            "  ",
        )
    yield "  Accuracy and F1 of tones differ also because their mix of conditions does."
    yield from _parity(report["by_band"].get("parity", {}))
    for title, section in report.get("by", {}).items():
        yield from _by_group(title, section)
    yield from _sure(report.get("sure"))
    for note in report["notes"]:
        yield from _wrapped(f"note: {note}")
    yield ""
    yield NO_DIAGNOSIS


def _up_the_tree(report: Mapping[str, Any]) -> Iterator[str]:
    for level, section in report.get("tree", {}).items():
        yield (
            f"  {len(section['partitions'])} partitions ({level}): "
            f"weighted F1 {cell(section['weighted_f1'])}"
        )
    found = report.get("malignant")
    if found is not None:
        yield (
            f"  malignant ({found['n_malignant']:,}) against the rest ({found['n_other']:,}): "
            f"sensitivity {cell(found['sensitivity'])},"
        )
        yield f"    specificity {cell(found['specificity'])}"


def _by_group(title: str, section: Mapping[str, Any]) -> Iterator[str]:
    width = max(12, *(len(group["group"][:_LONGEST]) for group in section["groups"]))
    heading = f"by {title}"
    yield ""
    if len(heading) > width + 2:
        yield from _wrapped(heading)
        heading = ""
    columns = "".join(f"{_NAMES[name]:<23}" for name in COLUMNS).rstrip()
    yield f"{heading:<{width + 2}}{'n':>7}   {columns}"
    for group in section["groups"]:
        cells = "".join(f"{cell(group[name]):<23}" for name in COLUMNS)
        yield f"  {group['group'][:_LONGEST]:<{width}}{group['n']:>7,}   {cells}".rstrip()
    yield from _wrapped(
        f"standardised recall: over the {len(section['shared_conditions'])} conditions that every "
        f"known {title} with photos has",
        "  ",
    )


def _parity(parity: Mapping[str, Any]) -> Iterator[str]:
    """A line for each figure that averages: what it is, and what chance alone gives."""
    for name, entry in parity.items():
        chance = entry["by_chance"]
        if entry["value"] is not None and chance is not None and not name.endswith("_worst"):
            verdict = "beyond" if chance["share"] <= UNUSUAL else "within"
            yield (
                f"  {_NAMES[name]:<36}{cell(entry)}; by chance {chance['low']:.3f} to "
                f"{chance['high']:.3f}: {verdict}"
            )


def format_comparison(comparison: Mapping[str, Any]) -> str:
    """A comparison of two models as plain text of at most 100 columns.

    Args:
        comparison: As `against.compare_models` returns it.
    """
    return "\n".join(_comparison_lines(comparison))


def _comparison_lines(comparison: Mapping[str, Any]) -> Iterator[str]:
    interval = comparison["interval"]
    yield from _wrapped(
        f"The same {comparison['n']:,} photos. In brackets: {interval['level']:.0%} intervals of "
        f"the difference (first - second), from {interval['resamples']:,} paired resamples."
    )
    bands = [(f"tone band {band['group']}", band) for band in comparison["by_band"]]
    for title, found in [("overall", comparison["overall"]), *bands]:
        n = found.get("n", comparison["n"])
        yield ""
        heading = f"{title}, {n:,} photos"
        yield heading + (f"{'first':>{44 - len(heading)}}{'second':>9}   difference" if n else "")
        shown = found["difference"] if found is comparison["overall"] else COLUMNS
        for name in shown if n else ():
            difference = found["difference"][name]
            first, second = (found[side][name] for side in ("first", "second"))
            if first is not None and second is not None:
                yield f"  {_NAMES[name]:<34}{first:>8.3f}{second:>9.3f}   {cell(difference)}"
        test = found["mcnemar"]
        if n:
            yield from _wrapped(
                f"right in the first only: {test['only_first']:,}, in the second only: "
                f"{test['only_second']:,}; McNemar's p: exact {_p(test['exact'])}, "
                f"mid-p {_p(test['mid_p'])}. {test['conclusion']}",
                "  ",
            )
    for note in comparison["notes"]:
        yield from _wrapped(f"note: {note}")


def _sure(sure: Mapping[str, Any] | None) -> Iterator[str]:
    if sure is None:
        return
    conformal, temperature = sure["conformal"], sure["temperature"]  # both or neither
    names = ["ece", "overconfidence"] + (["set_coverage"] if conformal else [])
    yield ""
    columns = "".join(f"{_NAMES[name]:<26}" for name in names).rstrip()
    yield f"{'how sure':<14}{'n':>7}   {columns}"
    groups = sure["calibration"]["groups"]
    sets = conformal["lac"]["marginal"]["groups"] if conformal else [{}] * len(groups)
    for group, its_sets in zip(groups, sets, strict=True):
        cells = "".join(f"{cell((group | its_sets)[name]):<26}" for name in names)
        yield f"  {group['group']:<12}{group['n']:>7,}   {cells}".rstrip()
    if conformal:
        yield from _wrapped(
            f"calibration error of all photos: {groups[0]['ece']['conclusion']} Sets "
            f"aim at {conformal['target']:.0%} and hold "
            f"{sets[0]['set_size']['value']:.1f} conditions on average. Temperature "
            f"{temperature['all']:.2f}. Sets and temperature: fitted on {sure['fitted_on']}.",
            "  ",
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
