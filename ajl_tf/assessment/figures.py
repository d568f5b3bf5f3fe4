"""A figure as the report holds it: a value and the ends of its interval, JSON-able."""

from __future__ import annotations

import numpy as np

from ajl_tf.assessment.metrics import Floats


def figure(value: float | Floats, interval: Floats | None) -> dict[str, float | None]:
    """`{value, low, high}`, None for what is NaN.

    Args:
        value: A scalar.
        interval: (2,): low and high; None: no interval.
    """
    low, high = (None, None) if interval is None else (number(end) for end in interval)
    return {"value": number(value), "low": low, "high": high}


def number(value: float | Floats) -> float | None:
    """Six decimals: more would differ between machines and say nothing."""
    return None if np.isnan(value) else round(float(value), 6)
