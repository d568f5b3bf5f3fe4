"""What a photo is recognised by: a small grey picture and the strongest points in each part of it.

Points and their descriptors are SIFT's (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94), which
stay nearly the same when a photo is resized, turned, brightened or stored again. They are taken in
turn from all parts of the picture, so that a watermark's letters do not take every place.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ajl_tf.inspection.colour import Floats, Pixels, reduced
from ajl_tf.inspection.layout import find_frame
from ajl_tf.inspection.photos import SMALL_SIDE

SHORTER, LONGER = 128, 384  # pixels of the grey picture, at most
POINTS = 128  # at most: what is cropped and lettered keeps few of them
LENGTH = 128  # of a descriptor
_CELLS = 4  # parts along the shorter side
# Lower than SIFT's own, which finds next to nothing on smooth skin.
_CONTRAST, _EDGE = 0.005, 12
_LAYERS = 2  # of an octave: with three it takes half as long again and finds no more copies
_STEPS = 128  # in which a pixel or degree is stored
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
LOOK = 16  # pixels of a look's side
_COUNT = 2  # bytes for the number of points


class Fingerprint(NamedTuple):
    """A photo's points and its picture.

    Attributes:
        look: uint8 `(16, 16)`, the picture squeezed to a square of a few pixels.
        points: float32 `(n, 4)`: x, y and size in pixels of the picture, angle in degrees.
        descriptors: uint8 `(n, LENGTH)`.
        jpeg: The grey picture; `picture` decodes it.
    """

    look: Pixels
    points: Floats
    descriptors: Pixels
    jpeg: bytes

    @property
    def picture(self) -> Pixels:
        """Grey levels, uint8 `(h, w)`."""
        return np.asarray(
            cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8
        )


def fingerprint(image: Pixels) -> bytes:
    """Takes a photo's fingerprint, without a plain frame around it.

    Args:
        image: uint8 `(H, W, 3)`, RGB, upright, of any size.

    Returns:
        Some 24 KB for `unpack`.
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    picture = _resized(_unframed(grey))
    points, descriptors = _find_points(picture)
    jpeg = cv2.imencode(".jpg", picture, _JPEG)[1].tobytes()
    steps = np.clip(np.rint(points * _STEPS), 0, 2**16 - 1).astype("<u2")
    look = cv2.resize(picture, (LOOK, LOOK), interpolation=cv2.INTER_AREA)
    count = len(points).to_bytes(_COUNT, "little")
    return b"".join([count, look.tobytes(), steps.tobytes(), descriptors.tobytes(), jpeg])


def unpack(packed: bytes) -> Fingerprint:
    """The fingerprint that `fingerprint` packed; one without points of no bytes."""
    packed = packed or bytes(_COUNT + LOOK**2)
    count = int.from_bytes(packed[:_COUNT], "little")
    points_at = _COUNT + LOOK**2
    descriptors_at = points_at + 8 * count
    look = np.frombuffer(packed, np.uint8, LOOK**2, _COUNT).reshape(LOOK, LOOK)
    steps = np.frombuffer(packed, "<u2", 4 * count, points_at).reshape(count, 4)
    descriptors = np.frombuffer(packed, np.uint8, LENGTH * count, descriptors_at)
    return Fingerprint(
        look,
        steps.astype(np.float32) / np.float32(_STEPS),
        descriptors.reshape(count, LENGTH),
        packed[descriptors_at + LENGTH * count :],
    )


def _unframed(grey: Pixels) -> Pixels:
    """What is inside a plain frame, which many photos share."""
    small = reduced(grey, SMALL_SIDE)
    frame = find_frame(small)
    (height, width), (rows, columns) = grey.shape, small.shape
    top, bottom = round(frame.top / rows * height), round(frame.bottom / rows * height)
    left, right = round(frame.left / columns * width), round(frame.right / columns * width)
    return grey[top : height - bottom, left : width - right]


def _resized(grey: Pixels) -> Pixels:
    """With `SHORTER` pixels on the shorter side, or `LONGER` on the longer of a very long one."""
    height, width = grey.shape
    scale = min(SHORTER / min(height, width), LONGER / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=way), np.uint8)


def _find_points(picture: Pixels) -> tuple[Floats, Pixels]:
    """Points `(n, 4)` and descriptors `(n, LENGTH)`; n is at most `POINTS`."""
    sift = cv2.SIFT.create(nOctaveLayers=_LAYERS, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)
    found, descriptors = sift.detectAndCompute(picture, None)
    if not found:
        return np.zeros((0, 4), np.float32), np.zeros((0, LENGTH), np.uint8)
    points = np.array([(*point.pt, point.size, point.angle) for point in found], np.float32)
    # Large points are still there in a smaller copy, strong ones in one of low quality.
    strength = np.array([point.response for point in found]) * np.sqrt(points[:, 2])
    chosen = _in_turn(_cells(points, picture.shape), strength)[:POINTS]
    return points[chosen], np.asarray(descriptors)[chosen].astype(np.uint8)


def _cells(points: Floats, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Which part of the picture each point lies in: about squares, `_CELLS` on the shorter side."""
    sides = np.array(shape[::-1])
    counts = np.rint(_CELLS * sides / sides.min())
    column, row = np.floor(points[:, :2] / sides * counts).T
    return np.asarray(row * counts[0] + column, np.float64)


def _in_turn(cells: NDArray[np.float64], strength: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order: the strongest of each cell, strongest first, then the second of each, and so on."""
    by_cell = np.lexsort((-strength, cells))
    first = np.flatnonzero(np.diff(cells[by_cell], prepend=-1))
    sizes = np.diff(np.append(first, len(cells)))
    rank = np.empty(len(cells), np.int64)
    rank[by_cell] = np.arange(len(cells)) - np.repeat(first, sizes)
    order: NDArray[np.int64] = np.lexsort((-strength, rank))
    return order
