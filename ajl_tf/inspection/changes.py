"""What was done to a photo to make its copy, in words."""

from __future__ import annotations

import math

from ajl_tf.inspection.alignment import Alignment

_WHOLE = 0.93  # of a photo: less is a crop


def describe(alignment: Alignment) -> str:
    """The change that makes one photo the other: "mirrored, turned by 90°, cropped to 71 %"."""
    (a, b), (c, d) = alignment.matrix[:, :2].tolist()
    mirrored = a * d < b * c
    # Of the first photo's upward direction, which a mirror leaves as it is.
    turn = round(math.degrees(math.atan2(-b, d)) / 90) * 90 % 360
    words = ["mirrored"] if mirrored else []
    words += [f"turned by {turn}°"] if turn else []
    less, more = sorted(alignment.likeness.covered)
    if more < _WHOLE:
        words.append(f"they share {less:.0%}")
    elif less < _WHOLE:
        words.append(f"cropped to {less:.0%}")
    return ", ".join(words).replace("%", " %") or "stored again"
