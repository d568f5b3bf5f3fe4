"""What was added to a photo or pasted together: plain frames, seams between pictures, lettering.

Everything here looks at grey levels (H, W), uint8, of a photo whose shorter side has at most 256
pixels; the figures in pixels are for that size.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike as Mat
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Bools, Floats, Pixels

# Grey levels. The rows of a frame differ this little within and from the first (JPEG noise) …
_PLAIN_STD, _PLAIN_STEP = 4.0, 6.0
# … and half of the row behind it differs at least so much: it ends in a straight edge.
_EDGE_STEP, _EDGE_SHARE = 12.0, 0.5
_MOST_FRAME = 0.45  # of a side; beyond, it is a background and not a frame
_NESTED = 2  # a black frame in a white one is common
_SEAM_STEP = 10.0  # grey levels
_SEAM_MARGIN = 0.12  # of a side, where no seam is looked for: rulers lie there
_SEAM_END, _SEAM_END_SHARE = 0.15, 0.3  # a seam goes from end to end, a bar over the eyes does not
_SEAM_AROUND = 25  # pixels whose median is the usual share of steps; many more than a gap has
_GLYPH_CONTRAST = 40  # grey levels
_GLYPH_INK = 150  # bright letters have at least this level, and dark ones such a ground
_GLYPH_HEIGHTS = 4, 26  # pixels
_GLYPH_ZONE = 0.25  # of the height, at the top and at the bottom
_MOST_GLYPHS = 200  # a photo with more is full of specks, and shall take no more time for them


class Frame(NamedTuple):
    """Rows and columns, in pixels, that a plain frame takes on each side."""

    top: int
    bottom: int
    left: int
    right: int

    def inside(self, image: Pixels) -> Pixels:
        """The photo (H, W, ...) without its frame."""
        height, width = image.shape[:2]
        return image[self.top : height - self.bottom, self.left : width - self.right]


def find_frame(grey: Pixels) -> Frame:
    """Plain bands along the sides that end in a straight edge, also one inside the other.

    A plain background is no frame: the photo's subject reaches into it here and there only.
    """
    frame = Frame(0, 0, 0, 0)
    for _ in range(_NESTED):
        inside = frame.inside(grey)
        top, bottom = _bands(inside)
        left, right = _bands(np.ascontiguousarray(inside[top : len(inside) - bottom].T))
        more = (top, bottom, left, right)
        frame = Frame(*(old + new for old, new in zip(frame, more, strict=True)))
    return frame


def seam_share(grey: Pixels) -> float:
    """How much of the height or width the longest straight seam takes, in [0, 1].

    It is the share of pixels that step along one column or row, less what is usual in the columns
    or rows around it (hair and scales step everywhere).
    """
    return max(_longest_seam(grey), _longest_seam(np.ascontiguousarray(grey.T)))


def count_glyphs(grey: Pixels) -> int:
    """How many marks at the top or bottom stand in line like letters, white or dark on light."""
    rows = max(1, round(_GLYPH_ZONE * len(grey)))
    return max(_glyphs_in(strip) for strip in (grey[:rows], grey[-rows:]))


def _glyphs_in(grey: Pixels) -> int:
    kernel = np.ones((9, 9), np.uint8)
    lowest = cv2.morphologyEx(grey, cv2.MORPH_OPEN, kernel)
    highest = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel)
    bright = (cv2.subtract(grey, lowest) > _GLYPH_CONTRAST) & (grey >= _GLYPH_INK)
    dark = (cv2.subtract(highest, grey) > _GLYPH_CONTRAST) & (highest >= _GLYPH_INK)
    return max(_longest_line(marks) for marks in (bright, dark))


def _bands(grey: Pixels) -> tuple[int, int]:
    """How many rows at the top and at the bottom are a frame."""
    return _band(grey), _band(grey[::-1])


def _band(grey: Pixels) -> int:
    if grey[0].std() >= _PLAIN_STD:  # as in most photos
        return 0
    means = grey.mean(axis=1)
    same = (grey.std(axis=1) < _PLAIN_STD) & (np.abs(means - means[0]) < _PLAIN_STEP)
    rows = 0 if same.all() else int(same.argmin())
    if not 0 < rows < _MOST_FRAME * len(same):
        return 0
    behind = grey[min(rows + 2, len(grey) - 1)]  # the edge may be blurred over two pixels
    return rows if (np.abs(behind - means[0]) > _EDGE_STEP).mean() > _EDGE_SHARE else 0


def _longest_seam(grey: Pixels) -> float:
    """Of the vertical ones."""
    height, width = grey.shape
    margin = max(2, round(_SEAM_MARGIN * width))
    if width < 2 * margin + _SEAM_AROUND:
        return 0.0
    away = cv2.absdiff(grey[:, 2:], grey[:, :-2])
    _, steps = cv2.threshold(away, _SEAM_STEP, 1, cv2.THRESH_BINARY)
    shares = _column_means(steps)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(shares, _SEAM_AROUND // 2, mode="edge"), _SEAM_AROUND
    )
    end = max(1, round(_SEAM_END * height))
    whole = np.minimum(_column_means(steps[:end]), _column_means(steps[-end:])) > _SEAM_END_SHARE
    clear = np.where(whole, shares - np.median(around, axis=1), 0)[margin:-margin]
    return float(max(clear.max(), 0))


def _column_means(field: Mat) -> Floats:
    return np.asarray(cv2.reduce(field, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0], np.float32)


def _longest_line(marks: Bools) -> int:
    """The largest number of marks (H, W) of one height side by side on one line."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(marks.astype(np.uint8), connectivity=8)
    boxes = np.asarray(stats[1:], np.int32)
    boxes = boxes[_like_glyphs(boxes)]
    boxes = boxes[np.argsort(boxes[:, cv2.CC_STAT_LEFT], kind="stable")][:_MOST_GLYPHS]
    on_line = _on_line(boxes)
    longest = 0
    # Those with the most marks on their line first, until no other can have a longer one.
    most = on_line.sum(axis=1)
    for first in np.argsort(-most, kind="stable"):
        if most[first] <= longest:
            break
        longest = max(longest, _unbroken(boxes[on_line[first]], boxes[first]))
    return longest


def _like_glyphs(boxes: NDArray[np.int32]) -> Bools:
    _, _, width, height, area = boxes.T
    fill = area / (width * height)
    sized = (height >= _GLYPH_HEIGHTS[0]) & (height <= _GLYPH_HEIGHTS[1]) & (width <= 2 * height)
    return np.asarray(sized & (fill > 0.2) & (fill < 0.95))


def _on_line(boxes: NDArray[np.int32]) -> Bools:
    """`(n, n)`: which boxes, sorted from left to right, could carry on the line each begins."""
    _, top, _, height, _ = boxes.T
    bottom, first = top + height, height[:, None]
    level = np.abs(bottom - bottom[:, None]) <= np.maximum(1, 0.12 * first)
    alike = np.abs(height - first) <= np.maximum(1, 0.25 * first)
    return np.triu(level & alike)


def _unbroken(line: NDArray[np.int32], first: NDArray[np.int32]) -> int:
    """How many boxes from the first on stand side by side, no farther than letters do."""
    left, width, height = line[:, cv2.CC_STAT_LEFT], line[:, cv2.CC_STAT_WIDTH], first[3]
    gaps = left[1:] - (left + width)[:-1]
    near = (gaps <= 1.3 * height) & (gaps >= -1)
    return 1 + (len(near) if near.all() else int(near.argmin()))
