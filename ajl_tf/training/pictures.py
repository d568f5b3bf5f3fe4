"""Figures of an epoch as pixels, for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ajl_tf.reporting.drawings import Row, plot_intervals
from ajl_tf.reporting.drawings_sure import plot_reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCORES = ("weighted_f1", "standardised_recall")


def bands_picture(groups: Sequence[dict[str, Any]]) -> np.ndarray:
    """Draws the scores of each tone band with its n and intervals.

    Args:
        groups: Of the section `by_band` of a report.

    Returns:
        uint8 `(H, W, 3)`.
    """
    rows = [Row(f"{group['group']} (n {group['n']:,})", group) for group in groups if group["n"]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plot_intervals(axes, rows, _SCORES)
        figure.legend(loc="outside upper center", ncols=len(_SCORES), frameon=False)

    return pixels(5.0, 0.9 + 0.45 * len(rows), draw)


def reliability_picture(groups: Sequence[dict[str, Any]]) -> np.ndarray:
    """Draws the reliability diagram of all photos, and the calibration error of each tone band.

    Args:
        groups: Of the section `calibration` of a report, all photos first.

    Returns:
        uint8 `(H, W, 3)`.
    """
    errors = [f"{g['group']} {g['ece']['value']:.3f} (n {g['n']:,})" for g in groups if g["n"]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plot_reliability(axes, groups[0]["reliability"], "calibration error\n" + "\n".join(errors))
        axes.set(xlabel="stated probability", ylabel="share that is right", aspect="equal")

    return pixels(4.0, 4.6, draw)


def confusion_picture(matrix: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Draws a confusion matrix, rows in shares of their label.

    Args:
        matrix: `(C, C)` counts, labels in rows.
        class_names: The C conditions.

    Returns:
        uint8 `(H, W, 3)`.
    """
    rows = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros_like(matrix, dtype=float), where=rows > 0)
    side = 4 + 0.22 * len(class_names)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        ticks = range(len(class_names))
        axes.set_xticks(ticks, class_names, rotation=90, fontsize=7)
        axes.set_yticks(ticks, class_names, fontsize=7)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label")
        figure.colorbar(drawn, ax=axes, shrink=0.6, label="share of the label's photos")

    return pixels(side, side, draw)


def pixels(width: float, height: float, draw: Callable[[Figure], None]) -> np.ndarray:
    """A figure of so many inches as uint8 `(H, W, 3)`, 100 pixels to the inch."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False}):  # a condition may be called $x$
        figure = Figure((width, height), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
