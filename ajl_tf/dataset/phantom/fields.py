"""Scalar fields that everything drawn is made of: smooth noise, lines, soft steps, coordinates.

Nothing here calls BLAS, so a drawing does not depend on how many threads it may use.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Shape = tuple[int, int]

# A cubic B-spline over unit-variance grid values has this standard deviation along one axis
# (the root of the mean of its squared weights, 151/315), so 2-D noise is divided by its square.
_SPLINE_STD = (151 / 315) ** 0.5


def side(shape: Shape) -> float:
    """The unit of length: the side in pixels of a square of the same area."""
    return float((shape[0] * shape[1]) ** 0.5)


def coordinates(shape: Shape) -> tuple[Field, Field]:
    """Column `y` (H, 1) and row `x` (1, W) in units of `side`, (0, 0) in the middle."""
    unit = side(shape)
    y = (np.arange(shape[0], dtype=np.float32) + 0.5 - shape[0] / 2) / unit
    x = (np.arange(shape[1], dtype=np.float32) + 0.5 - shape[1] / 2) / unit
    return y[:, None], x[None, :]


def noise(shape: Shape, cells: float | tuple[float, float], rng: np.random.Generator) -> Field:
    """Band-limited noise of mean 0 and standard deviation 1.

    Args:
        shape: (H, W) in pixels.
        cells: How many grid cells fit into one `side`, in both directions or in (y, x); features
            are about one cell wide. It is limited to one cell for every two pixels.
        rng: Source of randomness.

    Returns:
        A field (H, W): a cubic B-spline surface over a grid of normal deviates.
    """
    along_y, along_x = cells if isinstance(cells, tuple) else (cells, cells)
    first_y, weights_y = _spline(shape[0], _cell_count(along_y, shape, 0))
    first_x, weights_x = _spline(shape[1], _cell_count(along_x, shape, 1))
    grid = rng.standard_normal((first_y[-1] + 4, first_x[-1] + 4), dtype=np.float32)
    columns = np.ascontiguousarray(_interpolate(grid, first_y, weights_y).T)
    return _interpolate(columns, first_x, weights_x).T / np.float32(_SPLINE_STD**2)


def lines(shape: Shape, cells: float | tuple[float, float], rng: np.random.Generator) -> Field:
    """A net of thin lines in [0, 1]: where band-limited noise crosses zero."""
    return ramp(1 - np.abs(noise(shape, cells, rng)) * np.float32(3.0))


def ramp(field: Field) -> Field:
    """The soft step from 0 (field ≤ 0) to 1 (field ≥ 1)."""
    t = np.clip(field, 0, 1)
    return t * t * (3 - 2 * t)


def blur(image: Field, strength: float) -> Field:
    """Smooths (C, H, W) with a three-tap filter in each direction; `strength` 0 to 1."""
    outer, middle = np.float32(strength / 3), np.float32(1 - 2 * strength / 3)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = middle * padded[:, 1:-1] + outer * (padded[:, :-2] + padded[:, 2:])
    return np.asarray(middle * rows[:, :, 1:-1] + outer * (rows[:, :, :-2] + rows[:, :, 2:]))


def _cell_count(cells: float, shape: Shape, axis: int) -> int:
    pixels = shape[axis]
    return max(1, min(round(cells * pixels / side(shape)), pixels // 2))


def _interpolate(grid: Field, first: NDArray[np.intp], weights: Field) -> Field:
    """Along the first axis: the weighted sum of four grid rows for every pixel."""
    surface = np.zeros((len(first), grid.shape[1]), np.float32)
    for tap, weight in enumerate(weights):
        surface += weight[:, None] * grid[first + tap]
    return surface


@lru_cache(maxsize=256)
def _spline(pixels: int, cells: int) -> tuple[NDArray[np.intp], Field]:
    """For each pixel its first grid point, and the weights (4, pixels) of four in a row."""
    position = (np.arange(pixels) + 0.5) * cells / pixels
    first = np.minimum(np.floor(position).astype(np.intp), cells - 1)
    t = position - first
    weights = (
        np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]) / 6
    )
    return first, weights.astype(np.float32)
