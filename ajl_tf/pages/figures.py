"""Figures: an SVG file for slides and papers, and the same drawing for a page, light or dark.

Draw with `INK`, `MUTED` and `SERIES` only: in the file they are colours on white, in the page they
follow its theme. Say with every figure in words what it shows.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from ajl_tf.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED = "#1b2431", "#55606f"
SERIES = ("#0b5c8b", "#b3541f", "#4d6b1d")
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)
}
# Text stays text, in the reader's own font, and is never taken for mathematics.
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ajl_tf",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_MINUS = "\N{MINUS SIGN}"
_NO_DATE: dict[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextmanager
def new_figure(width: float = 4.0, height: float = 2.8) -> Iterator[Figure]:
    """Yields an empty figure of so many inches, to be drawn and saved within the block.

    Up to 4 inches wide its text is still large enough on a telephone.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def log_scale(axes: Axes) -> None:
    """Makes an x axis logarithmic, its labels plain: Matplotlib's own are mathematics.

    There are no more labels than half a page's width has room for, the fewer the longer the axis.
    """
    from matplotlib.ticker import LogFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_minor_formatter(NullFormatter())
    if high < 2 * low:  # powers are too far apart, and so short an axis is nearly linear
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", _MINUS))
        return
    multiples = {5: (1, 2, 3, 5, 7), 100: (1, 2, 5), math.inf: (1,)}
    subs = next(those for times, those in multiples.items() if high <= times * low)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(9, 9)))


def save_figure(
    figure: Figure, path: Path, title: str, description: str, *, fills: bool = True
) -> Markup:
    """Writes a figure as SVG on white, and returns it for a page.

    Args:
        figure: From `new_figure`, within its block.
        path: The file; its stem, unique on a page, prefixes every id inside the drawing.
        title: What it is, for its file and for a screen reader.
        description: What it shows, in words: the text alternative.
        fills: Whether it takes the width that the page gives it; else it keeps its size.

    Returns:
        An `<svg>` without background, in the page's colours.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Matplotlib only measures the text; the reader's own fonts draw it.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_DATE)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{path.stem}-", svg)
    # A style element of an inlined drawing would hold for the whole page.
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    words = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    opening, rest = svg.split(">", 1)
    opening += ' stroke-linejoin="round" role="img"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    write_text(path, f'<?xml version="1.0" encoding="utf-8"?>\n{opening}>{words}{paper}{rest}')
    if fills:
        opening = re.sub(r' (width|height)="[^"]*"', "", opening, count=2)
    inline = f'{opening} aria-label="{escape(f"{title}. {description}")}">{rest}'
    for colour, variable in _THEME.items():
        inline = inline.replace(colour, variable)
    return Markup(inline)
