"""How numbers are written on a page; a value that is not known is a dash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

from markupsafe import Markup, escape

UNKNOWN = "–"
_ADDRESS = re.compile(r"https://[^\s<>\"')]*[^\s<>\"').,;]")


def number(value: float | None) -> str:
    """A count, or a measure in whole units: 12,345."""
    return fixed(value, 0)


def percent(value: float | None, digits: int = 0) -> str:
    """A share in [0, 1]: 45 %; a share above none that would be rounded to it, "< 1 %"."""
    if value is None or not isfinite(value):
        return UNKNOWN
    least = 10.0 ** -(digits + 2)
    if 0 < value < least / 2:
        return f"< {least:.{digits}%}".replace("%", " %")
    return f"{value:.{digits}%}".replace("%", " %")


def fixed(value: float | None, digits: int = 2) -> str:
    """A measure with so many digits after the point: 0.71."""
    if value is None or not isfinite(value):
        return UNKNOWN
    return f"{value:,.{digits}f}".replace("-", "−")


def size(value: float | None) -> str:
    """Bytes as kB or MB: 182 kB."""
    if value is None or not isfinite(value):
        return UNKNOWN
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:,.{1 if value < 10 * factor else 0}f} {unit}"
    return f"{value:.0f} bytes"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 photo, 2,860 photos."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def interval(figure: Mapping[str, float | None]) -> str:
    """The ends of a figure `{value, low, high}`: [0.557, 0.595]; [–] where there are none."""
    low, high = figure["low"], figure["high"]
    if low is None or high is None:
        return f"[{UNKNOWN}]"
    return f"[{fixed(low, 3)}, {fixed(high, 3)}]"


def linked(text: str) -> Markup:
    """Text with its web addresses as links: nothing is asked for unless someone follows one."""
    parts, end = [], 0
    for found in _ADDRESS.finditer(text):
        address = escape(found[0])
        shown = escape(found[0].removeprefix("https://"))
        parts += [escape(text[end : found.start()]), f'<a href="{address}">{shown}</a>']
        end = found.end()
    return Markup("".join([*parts, escape(text[end:])]))
