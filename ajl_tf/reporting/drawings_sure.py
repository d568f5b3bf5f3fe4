"""Figures of how sure a model is: reliability diagrams, risk over coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ajl_tf.assessment.words import cell
from ajl_tf.pages.figures import INK, MUTED, SERIES, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = Any
_COLOURS = dict(zip(("1-2", "3-4", "5-6"), SERIES, strict=True))
_DASHES = {"overall": "-", "1-2": "-", "3-4": "--", "5-6": "-.", "unknown": ":"}


def plot_reliability(axes: Axes, bins: Sequence[Json], title: str) -> None:
    """Draws the share of right answers over the stated probability, and below it how many photos.

    Args:
        axes: Empty.
        bins: Of `{from, to, n, confidence, accuracy: figure}`.
        title: Above it.
    """
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    most = max((found["n"] for found in bins), default=1)
    for found in bins:
        height = 0.18 * found["n"] / most
        axes.fill_between([found["from"], found["to"]], height, color=MUTED, alpha=0.3, linewidth=0)
    known = [found for found in bins if found["accuracy"]["low"] is not None]
    axes.vlines(
        [found["confidence"] for found in known],
        [found["accuracy"]["low"] for found in known],
        [found["accuracy"]["high"] for found in known],
        color=SERIES[0],
        linewidth=2,
        alpha=0.5,
    )
    place = [found["confidence"] for found in bins]
    share = [found["accuracy"]["value"] for found in bins]
    axes.plot(place, share, "o", color=SERIES[0], markersize=3.5)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_title(title, fontsize=9, loc="left")


def draw_reliability(path: Path, groups: Sequence[Json]) -> Markup:
    """Reliability diagrams: overall, and one for each tone band with photos."""
    shown = [group for group in groups if group["reliability"]]
    rows = -(-len(shown) // 2)
    with new_figure(height=0.5 + 1.75 * rows) as figure:
        grid = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, group in zip(grid, shown, strict=False):
            plot_reliability(axes, group["reliability"], _title(group))
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        figure.supxlabel("stated probability of the answer", fontsize=9)
        figure.supylabel("share that is right", fontsize=9)
        said = ", ".join(f"{g['group']} {g['ece']['value']:.3f}" for g in shown)
        return save_figure(
            figure,
            path,
            "Reliability diagrams",
            f"Points on the diagonal keep what they promise. Calibration error: {said}.",
        )


def draw_risk_coverage(path: Path, curves: Sequence[Json]) -> Markup:
    """Share of wrong answers over the share of photos answered, overall and by tone band."""
    shown = [curve for curve in curves if curve["points"] and curve["group"] != "unknown"]
    with new_figure(height=3.2) as figure:
        axes = figure.subplots()
        for curve in shown:
            group, points = curve["group"], [p for p in curve["points"] if _has_value(p["risk"])]
            colour = _COLOURS.get(group, INK)
            coverage = [point["coverage"] for point in points]
            axes.plot(
                coverage,
                [point["risk"]["value"] for point in points],
                _DASHES[group],
                color=colour,
                linewidth=2 if group == "overall" else 1.5,
                label=group,
            )
            certain = [point for point in points if point["risk"]["low"] is not None]
            if group != "overall":
                axes.fill_between(
                    [point["coverage"] for point in certain],
                    [point["risk"]["low"] for point in certain],
                    [point["risk"]["high"] for point in certain],
                    color=colour,
                    alpha=0.13,
                    linewidth=0,
                )
        axes.set(xlabel="coverage: share of photos answered", ylabel="risk: share of wrong answers")
        axes.set(xlim=(0, 1), ylim=(0, None))
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1.2, handlelength=2.4)
        halves = [(c["group"], p) for c in shown for p in c["points"] if p["target"] == 0.5]
        said = ", ".join(f"{group} {cell(point['risk'])}" for group, point in halves)
        words = f"Risk where half of the photos are answered: {said}."
        return save_figure(figure, path, "Risk over coverage", words)


def _has_value(figure: Mapping[str, float | None]) -> bool:
    return figure["value"] is not None


def _title(group: Json) -> str:
    name = group["group"]
    start = name if name in ("overall", "unknown") else f"tone {name}"
    return f"{start} (n {group['n']:,})"
