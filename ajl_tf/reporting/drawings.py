"""Figures of scores: values with their intervals by group, parity beside chance, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from ajl_tf.assessment.words import WORDS, cell
from ajl_tf.pages.figures import MUTED, SERIES, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = Any
_MARKERS = "osD"
_TINY = 8.5  # points: 11 pixels
_LONGEST = 22  # letters of a name beside a figure
MOST_GROUPS = 30
MOST_CLASSES = 120
_UNITS = {"pqd": 1, "dpm": 1, "eom": 1}  # where groups are equal; the other parity figures: 0


class Row(NamedTuple):
    """A row of a figure: its name, and figures by their names."""

    name: str
    figures: Mapping[str, Mapping[str, float | None]]


def plot_intervals(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Draws a mark and an interval for each figure, the rows from top to bottom.

    Args:
        axes: Empty.
        rows: What is drawn.
        names: Up to three of the rows' figures, each in its own colour and mark.
    """
    for number, name in enumerate(names):
        place = np.arange(len(rows)) + 0.24 * (number - (len(names) - 1) / 2)
        found = zip(place, (row.figures[name] for row in rows), strict=True)
        known = [(at, f, f["value"]) for at, f in found if f["value"] is not None]
        colour = SERIES[number % len(SERIES)]
        ends = [(at, f["low"], f["high"]) for at, f, _ in known if f["low"] is not None]
        if ends:
            axes.hlines(*zip(*ends, strict=True), color=colour, linewidth=2, alpha=0.6)
        axes.plot(
            [value for *_, value in known],
            [at for at, *_ in known],
            _MARKERS[number % len(_MARKERS)],
            color=colour,
            markersize=4.5,
            label=WORDS[name].name if name in WORDS else name,
        )
    axes.set_yticks(range(len(rows)), [shortened(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for between in np.arange(len(rows) - 1) + 0.5:
        axes.axhline(between, color=MUTED, linewidth=0.4, alpha=0.35)


def draw_intervals(
    path: Path,
    title: str,
    rows: Sequence[Row],
    names: Sequence[str],
    *,
    mark: float | None = None,
    axis: str = "",
) -> Markup | None:
    """Figures with intervals, a row for each group; None where there is nothing to draw.

    Args:
        path: The SVG file.
        title: What it is.
        rows: Groups; those without any of the figures are left out, and those beyond `MOST_GROUPS`.
        names: Which of the rows' figures, up to three.
        mark: Where a dashed line stands.
        axis: What the horizontal axis is.
    """
    rows = [row for row in rows if any(row.figures[n]["value"] is not None for n in names)]
    rows = rows[:MOST_GROUPS]
    if not rows:
        return None
    with new_figure(height=0.95 + (0.17 + 0.13 * len(names)) * len(rows)) as figure:
        axes = figure.subplots()
        plot_intervals(axes, rows, names)
        axes.set_xlabel(axis)
        if mark is not None:
            axes.axvline(mark, color=MUTED, linewidth=1, linestyle="--")
        if len(names) > 1:
            figure.legend(loc="outside upper center", ncols=len(names), columnspacing=1.2)
        said = [
            f"{WORDS[name].name if name in WORDS else name}: "
            + ", ".join(f"{row.name} {cell(row.figures[name])}" for row in rows)
            for name in names
        ]
        return save_figure(figure, path, title, f"{'; '.join(said)}.")


def draw_parity(path: Path, parity: Mapping[str, Json]) -> Markup | None:
    """Parity figures beside what chance alone gives; None where there are none."""
    known = {k: v for k, v in parity.items() if v["value"] is not None and v["by_chance"]}
    panels = [
        (f"{equal} is equal", [k for k in known if _UNITS.get(k, 0) == equal]) for equal in (1, 0)
    ]
    panels = [(heading, names) for heading, names in panels if names]
    if not panels:
        return None
    heights = [len(names) + 0.6 for _, names in panels]
    with new_figure(height=0.9 + 0.38 * sum(heights)) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (heading, names) in zip(grid, panels, strict=True):
            places = range(len(names))
            chance = [known[name]["by_chance"] for name in names]
            axes.hlines(
                places,
                [c["low"] for c in chance],
                [c["high"] for c in chance],
                color=MUTED,
                linewidth=9,
                alpha=0.35,
                label="by chance",
            )
            rows = [Row(_parity_name(name), {"this model": known[name]}) for name in names]
            plot_intervals(axes, rows, ["this model"])
            axes.set_title(heading, fontsize=9, loc="left")
            axes.set_xlim(-0.02, 1.02)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        said = (f"{WORDS[name].name} {cell(entry)}" for name, entry in known.items())
        title = "Parity of the tone bands beside chance"
        return save_figure(figure, path, title, f"{'; '.join(said)}.")


def draw_confusion(
    path: Path, counts: Sequence[Sequence[int]], class_names: Sequence[str]
) -> Markup:
    """Confusion matrix: labels in rows, predictions in columns, shaded by share of the label.

    Beyond `MOST_CLASSES`, those with most photos.
    """
    matrix = np.asarray(counts)
    kept = np.sort(np.argsort(-matrix.sum(axis=1), kind="stable")[:MOST_CLASSES])
    matrix, names = matrix[np.ix_(kept, kept)], [class_names[i] for i in kept]
    side = 1.7 + 0.3 * len(names)  # inches; it keeps its size, and scrolls where it has to
    with new_figure(side + 0.3, side) as figure:
        axes = figure.subplots()
        plot_confusion(axes, matrix, names)
        right = int(np.trace(np.asarray(counts)))
        return save_figure(
            figure,
            path,
            "Confusion matrix",
            f"Rows: what a photo is of; columns: what it was predicted as. {right:,} photos lie on "
            "the diagonal. The most frequent confusions stand in a table.",
            fills=False,
        )


def plot_confusion(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Draws the shares of each label's photos, and the number of photos where there are any."""
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = matrix / totals
    rows, columns = np.nonzero(matrix)
    filled = list(zip(rows.tolist(), columns.tolist(), strict=True))
    cells = [Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in filled]
    colours = [to_rgba(SERIES[0], 0.06 + 0.6 * shares[y, x]) for y, x in filled]
    axes.add_collection(PatchCollection(cells, facecolors=colours, linewidths=0))
    if len(names) <= 40:  # beyond, digits say less than shades
        for y, x in filled:
            number = axes.text(x, y, f"{matrix[y, x]}", ha="center", va="center", fontsize=_TINY)
            number.set_in_layout(False)
    ticks = range(len(names))
    axes.set_xticks(ticks, [shortened(name) for name in names], rotation=90, fontsize=_TINY)
    axes.set_yticks(ticks, [shortened(name) for name in names], fontsize=_TINY)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="predicted", ylabel="label")
    axes.tick_params(length=0)


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _parity_name(name: str) -> str:
    """Short: the table beside the figure has the whole name."""
    start = {"demographic_parity": "dem. parity", "equalised_odds": "equal. odds"}
    for long, short in start.items():
        if name.startswith(long):
            return f"{short}, {'worst' if name.endswith('_worst') else 'mean'}"
    return WORDS[name].name
