"""What a report is meant for, and what it does not show: for its page and for the model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

INTENDED_USE = (
    "Meant for research on how well photos of skin conditions can be told apart on every skin "
    "tone. Not meant for patients, triage, or any decision about a person."
)
_KNOWN = slice(0, -1)  # the last group is the unknown one


def limits(report: Mapping[str, Any]) -> list[str]:
    """Sentences on what the scores of a report do not show.

    Args:
        report: As `report.make_report` returns it.
    """
    return list(_limits(report))


def _limits(report: Mapping[str, Any]) -> Iterator[str]:
    bands = report["by_band"]
    known = [group for group in bands["groups"][_KNOWN] if group["n"]]
    unknown = bands["groups"][-1]["n"]
    yield (
        "Skin tone is an annotator's reading of a photo on the Fitzpatrick scale, not a "
        "measurement of a person."
        + (f" The {unknown:,} photos of unknown tone are shown, never compared." if unknown else "")
    )
    if len(known) < 2:
        yield "Fewer than two tone bands have photos, so nothing is said about skin tones."
    else:
        yield from _between(report, known)
    if report.get("sure") is None:
        yield "The predictions have no probabilities, so nothing is said on how sure the model is."
    yield (
        "Scores are of photos of one collection; another camera, clinic or population may score "
        "lower."
    )
    yield (
        "A photo of something else (another condition, healthy skin, a cat) gets one of the "
        f"{len(report['classes'])} answers all the same."
    )
    yield (
        "What is fair is not settled by a number: the figures stand for different notions of it, "
        "and some exclude each other."
    )


def _between(report: Mapping[str, Any], known: list[Mapping[str, Any]]) -> Iterator[str]:
    bands = report["by_band"]
    smallest = min(known, key=lambda group: group["n"])
    score = smallest["weighted_f1"]
    if score["low"] is None:
        said = "which are too few for an interval"
    else:
        said = f"so that its weighted F1 may lie anywhere from {score['low']:.3f} to "
        said += f"{score['high']:.3f}"
    yield f"The smallest tone band, {smallest['group']}, has {smallest['n']:,} photos, {said}."
    absent = [name for name in report["classes"] if name not in bands["shared_conditions"]]
    if absent:
        some = ", ".join(absent[:6]) + (" …" if len(absent) > 6 else "")
        yield (
            f"Standardised recall leaves out what some tone band has no photo of: {some}. Nothing "
            "is known there."
        )
    gap = bands["compared"]["standardised_recall"]["difference"]
    if gap["low"] is not None and gap["low"] <= 0 <= gap["high"]:
        yield (
            "That the photos cannot tell the tone bands apart is no proof that they are equal: "
            f"a difference of up to {gap['high']:.3f} in standardised recall agrees with them."
        )
