"""Where the spots of a lesion lie and which shape each has.

An outline gives the *level* of each pixel: 1 in the middle of the spot, 0 on its border, below 0
outside. Coordinates come in units of the spot's radius.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ajl_tf.dataset.phantom.fields import Field, Shape, coordinates, noise, side
from ajl_tf.dataset.phantom.kinds import Look

Outline = Callable[[Field, Field, np.random.Generator], Field]
Arrangement = Callable[[int, tuple[float, float], np.random.Generator], NDArray[np.float64]]
_REACH = 2.6  # no outline reaches further than this many radii
_WAVES = np.arange(2, 8)[:, None]
_ANGLES = np.linspace(0, 2 * np.pi, 512, endpoint=False)
_COSINES, _SINES = np.cos(_WAVES * _ANGLES), np.sin(_WAVES * _ANGLES)


def draw_level(look: Look, shape: Shape, rng: np.random.Generator) -> tuple[Field, float]:
    """The highest level of any spot at each pixel.

    Returns:
        The level (H, W), -1 far outside, and the mean radius of the spots in units of the side.
    """
    y, x = coordinates(shape)
    unit = side(shape)
    level = np.full(shape, -1, np.float32)
    count = int(rng.integers(look.count[0], look.count[1] + 1))
    typical = rng.uniform(*look.radius) / (count**0.3 if look.arrangement == "few" else 1)
    extent = (shape[0] / unit, shape[1] / unit)
    for middle_y, middle_x in ARRANGEMENTS[look.arrangement](count, extent, rng):
        radius = typical * rng.uniform(0.7, 1.3) if count > 1 else typical
        radius = max(radius, 2 / unit)  # a spot of less than a few pixels would vanish
        rows = _window(y[:, 0], middle_y, radius * _REACH)
        columns = _window(x[0], middle_x, radius * _REACH)
        angle = rng.uniform(0, 2 * np.pi)
        v, u = (y[rows] - middle_y) / radius, (x[:, columns] - middle_x) / radius
        turned_u = np.float32(np.cos(angle)) * u + np.float32(np.sin(angle)) * v
        turned_v = np.float32(np.cos(angle)) * v - np.float32(np.sin(angle)) * u
        spot = OUTLINES[look.outline](turned_u, turned_v, rng)
        np.maximum(level[rows, columns], spot, out=level[rows, columns])
    return level, typical


def _window(positions: Field, middle: float, reach: float) -> slice:
    first, last = np.searchsorted(positions, (middle - reach, middle + reach))
    return slice(int(first), int(last))


def _round(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return np.asarray(1 - np.sqrt(u * u + v * v))


def _oval(u: Field, v: Field, rng: np.random.Generator) -> Field:
    long = np.float32(rng.uniform(1.0, 1.5))
    return _wobbly(u / long, v * long**0.5, rng.uniform(0, 0.12), rng)


def _ragged(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """An irregular border: waves around it, and noise about half a radius wide."""
    smooth = _wobbly(u, v * np.float32(rng.uniform(0.9, 1.5)), rng.uniform(0.08, 0.2), rng)
    cells = 2 * _REACH * rng.uniform(1.0, 2.2)
    return smooth + np.float32(rng.uniform(0.1, 0.24)) * noise(smooth.shape, cells, rng)


def _wobbly(u: Field, v: Field, amplitude: float, rng: np.random.Generator) -> Field:
    """A disc whose border swings in and out; the border is looked up in a table over the angle."""
    heights = rng.standard_normal((2, len(_WAVES), 1)) * (0.7 * amplitude / _WAVES**0.7)
    swings = np.sum(heights[0] * _COSINES + heights[1] * _SINES, axis=0)
    border = np.clip(1 + swings, 0.35, 1.7).astype(np.float32)
    steps = np.arctan2(v, u) * np.float32(len(border) / (2 * np.pi))
    return np.asarray(1 - np.sqrt(u * u + v * v) / border[steps.astype(np.int16)])


def _ring(u: Field, v: Field, rng: np.random.Generator) -> Field:
    width = np.float32(rng.uniform(0.2, 0.34))
    depth = _oval(u, v, rng)
    return np.asarray(1 - np.abs(depth - width) / width)


def _lobed(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Several discs that run into each other: a polycyclic border."""
    discs = []
    for lobe in range(int(rng.integers(4, 8))):
        angle, far = lobe * 2.4 + rng.uniform(-0.4, 0.4), rng.uniform(0.35, 0.75)
        size = np.float32(rng.uniform(0.3, 0.5))
        du, dv = u - np.float32(far * np.cos(angle)), v - np.float32(far * np.sin(angle))
        discs.append(1 - np.sqrt(du * du + dv * dv) / size)
    return np.asarray(np.maximum.reduce(discs))


def _band(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """A wavy stripe about four times as long as wide."""
    bend = np.float32(rng.uniform(0.0, 0.35)) * np.sin(u * np.float32(rng.uniform(0.8, 2.0)))
    beyond = np.maximum(np.abs(u) - np.float32(rng.uniform(0.9, 1.9)), 0)
    across = (v + bend) * np.float32(rng.uniform(2.0, 2.8))
    return np.asarray(1 - np.sqrt((2.4 * beyond) ** 2 + across * across))


def _star(u: Field, v: Field, rng: np.random.Generator) -> Field:
    angle = np.arctan2(v, u)
    rays = np.float32(rng.integers(4, 8) / 2)
    sharp = np.abs(np.cos(rays * angle + np.float32(0.35) * np.sin(2 * angle))) ** 2.5
    return np.asarray(1 - np.sqrt(u * u + v * v) / (0.28 + 0.72 * sharp))


def _few(count: int, extent: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    middle = rng.uniform(-0.13, 0.13, 2) * extent
    turn = rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count
    far = rng.uniform(0.2, 0.33, count) if count > 1 else np.zeros(1)
    return middle + np.stack([np.sin(turn), np.cos(turn)], 1) * far[:, None] * extent


def _scattered(
    count: int, extent: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    return rng.uniform(-0.44, 0.44, (count, 2)) * extent


def _grouped(
    count: int, extent: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    middle = rng.uniform(-0.15, 0.15, 2) * extent
    return middle + rng.normal(0, rng.uniform(0.06, 0.11), (count, 2))


OUTLINES: Mapping[str, Outline] = MappingProxyType(
    {
        "round": _round,
        "oval": _oval,
        "ragged": _ragged,
        "ring": _ring,
        "lobed": _lobed,
        "band": _band,
        "star": _star,
    }
)
ARRANGEMENTS: Mapping[str, Arrangement] = MappingProxyType(
    {"few": _few, "scattered": _scattered, "grouped": _grouped}
)
