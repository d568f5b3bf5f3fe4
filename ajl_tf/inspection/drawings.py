"""The figures of an exploration, as SVG files and for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from ajl_tf.assessment.groups import TONES
from ajl_tf.inspection.overview import Summary
from ajl_tf.pages.figures import INK, SERIES, new_figure, save_figure

_BINS = 40


def draw_sizes(
    folder: Path, manifest: pd.DataFrame, survey: pd.DataFrame, files: Summary
) -> Markup | None:
    """Histogram of the shorter side, with and without a label; None where nothing is readable."""
    if files["shorter_side"] is None:
        return None
    sides = survey[["width", "height"]].min(axis=1)
    readable = survey["readable"].to_numpy(bool)
    has_label = manifest["label"].notna().to_numpy()
    spread = files["shorter_side"]
    edges = np.linspace(spread["least"], max(spread["most"], spread["least"] + 1), _BINS + 1)
    with new_figure(height=2.4) as figure:
        axes = figure.subplots()
        groups = (("with label", has_label, SERIES[0]), ("without label", ~has_label, SERIES[1]))
        for name, rows, colour in groups:
            if (rows & readable).any():
                counts = np.histogram(sides[rows & readable], edges)[0]
                axes.stairs(counts, edges, color=colour, linewidth=1.4, label=name)
        axes.set(xlabel="shorter side (px)", ylabel="photos")
        if has_label.any() and not has_label.all():
            axes.legend()
        return save_figure(
            figure,
            folder / "sizes.svg",
            "Shorter sides of the photos",
            f"Half of the photos have a shorter side of at most {spread['median']:.0f} px, 5 % of "
            f"at most {spread['low']:.0f} and 5 % of at least {spread['high']:.0f}.",
        )


def draw_tones(folder: Path, columns: Sequence[Summary]) -> Markup | None:
    """Angles by annotated type: medians and middle halves, a colour for each column of types.

    Args:
        folder: Where the file goes.
        columns: From `inspection.agreement.tone_agreement`.

    Returns:
        None where no photo has both an angle and a type.
    """
    columns = [column for column in columns if column["photos"]]
    if not columns:
        return None
    with new_figure() as figure:
        axes = figure.subplots()
        for number, (column, colour) in enumerate(zip(columns, SERIES, strict=False)):
            rows = [row for row in column["types"] if row["measured"]]
            place = [row["type"] + 0.24 * (number - (len(columns) - 1) / 2) for row in rows]
            axes.vlines(
                place,
                [row["lower"] for row in rows],
                [row["upper"] for row in rows],
                color=colour,
                linewidth=5,
                alpha=0.45,
            )
            medians = [row["median"] for row in rows]
            axes.plot(place, medians, "so"[number % 2], color=colour, label=column["column"])
        axes.set(xlabel="annotated skin tone", ylabel="typology angle (degrees)")
        axes.set_xticks(range(1, 7))
        if len(columns) > 1:
            axes.legend()
        usual = ", ".join(
            f"{row['type']}: {row['median']:.0f}" for row in columns[0]["types"] if row["measured"]
        )
        return save_figure(
            figure,
            folder / "tone.svg",
            "Typology angle by annotated skin tone",
            "Marks are medians, bars the middle half of the photos. Medians in degrees by "
            f"{columns[0]['column']}: {usual}.",
        )


def draw_cells(folder: Path, counts: Summary, most: int = 60) -> Markup | None:
    """Photos by condition and tone as a grid; None without labels. Beyond `most` labels: those."""
    labels = counts["labels"][:most]
    if not labels:
        return None
    grid = np.array([[row["tones"][tone] for tone in TONES] for row in labels])
    height = 0.9 + 0.2 * len(labels)
    with new_figure(6.2, height) as figure:
        axes = figure.subplots()
        rows, columns = np.nonzero(grid)
        area = 160 * grid[rows, columns] / max(int(grid.max()), 1)  # points squared
        axes.scatter(columns, rows, s=area, color=SERIES[0], alpha=0.35, linewidth=0)
        for (row, column), count in np.ndenumerate(grid):
            axes.text(
                column,
                row,
                f"{count:,}",
                ha="center",
                va="center",
                fontsize=8,
                color=INK if count >= counts["thin_below"] else SERIES[1],
            )
        axes.set_xticks(range(len(TONES)), TONES)
        axes.set_yticks(range(len(labels)), [row["label"] for row in labels])
        axes.set(xlim=(-0.5, len(TONES) - 0.5), ylim=(len(labels) - 0.5, -0.5))
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return save_figure(
            figure,
            folder / "label_by_tone.svg",
            "Photos by condition and skin tone",
            f"The number stands in each cell, an empty cell says 0; those below "
            f"{counts['thin_below']} are in another colour.",
        )


def draw_measures(folder: Path, survey: pd.DataFrame, names: Mapping[str, str]) -> Markup | None:
    """Histograms of measures of quality, a column of `names` (-> words) each; None without any."""
    columns = [name for name in names if name in survey and survey[name].notna().any()]
    if not columns:
        return None
    rows = -(-len(columns) // 2)
    with new_figure(height=1.35 * rows) as figure:
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, name in zip(grid, columns, strict=False):
            values = survey[name].dropna().to_numpy(float)
            low, high = np.quantile(values, [0.0, 0.995])
            edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
            counts = np.histogram(values, edges)[0]
            axes.stairs(counts, edges, fill=True, color=SERIES[0], alpha=0.6)
            axes.set_title(names[name], fontsize=9)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        for axes in grid[len(columns) :]:
            axes.set_visible(False)
        return save_figure(
            figure,
            folder / "quality.svg",
            "Measures of image quality",
            f"How many photos have which value of: {', '.join(names[name] for name in columns)}. "
            "The highest half percent is cut off.",
        )
