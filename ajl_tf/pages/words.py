"""How numbers are written on a page; a value that is not known is a dash."""

from __future__ import annotations

from math import isfinite

UNKNOWN = "–"


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
