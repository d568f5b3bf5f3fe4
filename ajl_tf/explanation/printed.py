"""The explanation's numbers as plain text of at most 100 columns, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ajl_tf.explanation.explaining import RANDOM
from ajl_tf.explanation.tone_audit import LEAST_CONFIDENCE, SHAM, TONE

_WIDTH = 100
_SHOWN = 20
NO_PROOF = (
    "A map shows what moves the network's answer, not why, and proves nothing of a person.\n"
    "Research software: no diagnosis."
)
PHOTO_ALONE = (
    "metadata  unknown: networks are explained as they answer by the photo alone, which may not\n"
    "          be what predictions.csv has"
)
ONE_VIEW = (
    "views     one: maps and audits are of the photo as it is, while predictions.csv and the\n"
    "          SavedModel have the average over its flips and turns, which may answer otherwise"
)


def photos_line(rows: pd.DataFrame) -> str:
    """How many photos there are, and how many of them a network explains that trained on them."""
    trained = rows["trained_on"]
    held, own = int((trained == False).sum()), int((trained == True).sum())  # noqa: E712 (NA too)
    parts = [
        f"{count:,} {words}"
        for count, words in (
            (held, "explained by the network that held them out"),
            (own, "by a network that TRAINED ON THEM"),
            (len(rows) - held - own, "unknown to the run"),
        )
        if count
    ]
    return f"photos    {len(rows):,}: {', '.join(parts)}"


def photo_table(records: Sequence[Mapping[str, Any]]) -> str:
    """The first photos: name, label, predicted, probability, and which network explains it."""
    head = ("photo", "label", "predicted", "p", "explained by")
    rows = [head]
    for record in records[:_SHOWN]:
        trained = record["trained_on"]
        seen = {None: "unknown to the run", False: "held it out", True: "TRAINED ON IT"}[trained]
        rows.append(
            (
                record["image_id"][:14],
                (record["label"] or "–")[:20],
                record["predicted"][:20],
                f"{record['probability']:.2f}",
                f"{record['explained_by']} ({seen})",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(records) > _SHOWN:
        lines.append(f"… and {len(records) - _SHOWN:,} more, in explain.json")
    return "\n".join(lines)


def maps_table(summary: Mapping[str, Any]) -> str:
    """Faithfulness of each method beside chance, and the share of each map on the lesion."""
    return "\n".join(_maps_lines(summary))


def audit_table(audit: Mapping[str, Any]) -> str:
    """The tone audit: the shift achieved, and flips by tone shift and by sham."""
    return "\n".join(_audit_lines(audit))


def probe_table(told: Mapping[str, Any]) -> str:
    """The tone probe: balanced accuracy beside the condition's, chance, and another run's."""
    return "\n".join(_probe_lines(told))


def _probe_lines(told: Mapping[str, Any]) -> Iterator[str]:
    bands = ", ".join(f"{g['group']} {g['recall']:.3f} (n = {g['n']:,})" for g in told["by_band"])
    yield f"tone band guessed from the features of {told['photos']:,} photos: balanced accuracy"
    yield f"  by features         {cell(told['features'])}; chance is {told['chance']:.3f}"
    yield f"  by condition alone  {cell(told['condition'])}"
    yield f"  features more       {cell(told['difference'], signed=True)}"
    yield from textwrap.wrap(
        f"recall: {bands}", _WIDTH, initial_indent="  ", subsequent_indent="  "
    )
    if "against" in told:
        against = told["against"]
        yield f"against {against['run']}, on the {against['photos']:,} photos of both"
        yield f"  by its features     {cell(against['theirs'])}"
        yield f"  by these            {cell(against['features'])}"
        yield f"  these more          {cell(against['difference'], signed=True)}"


def _maps_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    n = summary[RANDOM]["deletion"]["n"]
    yield f"faithfulness over {n:,} photos: mean and 95% interval"
    for game, good in (("deletion", "low"), ("insertion", "high")):
        yield f"  {game} ({good} is good)".ljust(28) + f"{'score':<23}less the random map's"
        for method, told in summary.items():
            against = told.get(f"{game}_minus_random")
            beside = cell(against, signed=True) if against else ""
            yield f"    {method:<24}{cell(told[game]):<23}{beside}".rstrip()
    masked = {name: told["inside_mask"] for name, told in summary.items() if "inside_mask" in told}
    if not masked:
        return
    yield ""
    yield "share of the map on the lesion; chance is the lesion's share of the photo"
    for method, told in masked.items():
        groups = [{"group": "overall", **told["overall"]}]
        if method != RANDOM:
            groups += [{**g, "group": f"tone {g['group']}"} for g in told["by_tone"]]
        yield f"  {method:<15}{'n':>5}  {'on the lesion':<23}{'chance':<9}difference"
        for group in groups:
            yield (
                f"    {group['group']:<13}{group['n']:>5}  {cell(group['share']):<23}"
                f"{_value(group['area']['value']):<9}{cell(group['share_minus_area'], signed=True)}"
            )
        if told["overall"]["empty"]:
            yield f"    {told['overall']['empty']:,} maps hold nothing positive and are left out"


def _audit_lines(audit: Mapping[str, Any]) -> Iterator[str]:
    yield from textwrap.wrap(
        f"tone audit of {audit['photos']:,} photos; {audit['left_out']:,} left out, because the "
        f"tone of their skin cannot be measured with a confidence of {LEAST_CONFIDENCE:g} or has "
        "nowhere to go",
        _WIDTH,
    )
    for size, told in audit["sizes"].items():
        achieved, change = told["shift_achieved"], told["colour_change"]
        yield ""
        yield f"ITA moved by {size} degrees: measured {_spread(achieved)}"
        yield f"  the sham, which shall leave it: {_spread(told['sham_shift'])}"
        yield (
            f"  colour change (Delta E): {_spread(change[TONE])}; of the sham "
            f"{_spread(change[SHAM])}"
        )
        if told.get("contrast_error", {}).get("n"):
            yield (
                f"  lesion against skin (Delta E): {_spread(told['contrast'])}; moved by "
                f"{_spread(told['contrast_error'])}"
            )
        flips = told["flips"]
        groups = [{"group": "overall", **flips["overall"]}]
        groups += [{**g, "group": f"tone {g['group']}"} for g in flips["by_band"]]
        yield f"  {'predictions flipped':<21}{'n':>6}  {'by tone':<21}{'by sham':<21}tone less sham"
        for group in groups:
            yield (
                f"    {group['group']:<19}{group['n']:>6,}  {cell(group[TONE]):<21}"
                f"{cell(group[SHAM]):<21}{cell(group['excess'], signed=True)}"
            )
        overall = flips["overall"]
        yield (
            f"    darker {cell(overall['darker'])} of {overall['darker']['n']:,}, "
            f"lighter {cell(overall['lighter'])} of {overall['lighter']['n']:,}"
        )


def cell(found: Mapping[str, Any], *, signed: bool = False) -> str:
    """`0.123 [0.100, 0.150]`; a dash where there is none."""
    if found["low"] is None:
        return f"{_value(found['value'], signed)} [–]"
    low, high = (_value(found[end], signed) for end in ("low", "high"))
    return f"{_value(found['value'], signed)} [{low}, {high}]"


def _value(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _spread(told: Mapping[str, Any]) -> str:
    if not told["n"]:
        return "–"
    return f"{told['median']:.1f} (90%: {told['p5']:.1f} to {told['p95']:.1f})"
