"""What covers a lesion: scale, crust, pits, nets, gloss … each changes its CIELAB colours in place.

A surface gets the skin (3, H, W), the lesion's cover and level (H, W) and a strength in 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ajl_tf.dataset.phantom.fields import Field, lines, noise, ramp

Surface = Callable[[Field, Field, Field, float, np.random.Generator], None]


def _paint(lab: Field, where: Field, colour: tuple[float, float, float]) -> None:
    """Mixes in a colour where `where` is 1."""
    for channel, value in zip(lab, colour, strict=True):
        channel += where * (np.float32(value) - channel)


def _shift(lab: Field, where: Field, change: tuple[float, float, float]) -> None:
    """Adds a change of (L*, a*, b*) where `where` is 1."""
    for channel, value in zip(lab, change, strict=True):
        if value:
            channel += where * np.float32(value)


def _scale(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Dry, whitish flakes."""
    fine, coarse = noise(level.shape, rng.uniform(34, 60), rng), noise(level.shape, 9, rng)
    flakes = ramp(0.8 * fine + 0.6 * coarse)
    lightness = float(lab[0].mean())
    _paint(lab, cover * flakes * np.float32(0.75 * strength), (lightness * 0.5 + 46, 4, 9))


def _crust(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """A dark, yellow-brown scab over the middle."""
    rough = noise(level.shape, rng.uniform(9, 16), rng)
    where = cover * ramp(level * 2.2 - 0.5 + 0.6 * rough) * np.float32(strength)
    _paint(
        lab,
        where * np.float32(0.85),
        (rng.uniform(18, 42), rng.uniform(8, 22), rng.uniform(12, 28)),
    )
    _shift(lab, where * noise(level.shape, 34, rng), (7, 1, 4))


def _pits(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Small dark holes and a few pale grains."""
    field = noise(level.shape, rng.uniform(24, 36), rng)
    _shift(lab, cover * ramp(field * 2 - 1.2) * np.float32(strength), (-19, 1, -5))
    _shift(lab, cover * ramp(-field * 2 - 2.2) * np.float32(strength), (17, -3, 4))


def _net(lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator) -> None:
    """A network of brown lines."""
    mesh = lines(level.shape, rng.uniform(20, 30), rng)
    lab[0] *= 1 - cover * mesh * np.float32(0.42 * strength)


def _warts(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """A cobbled surface: knobs, each lit from one side."""
    knobs = noise(level.shape, rng.uniform(24, 36), rng)
    lit = np.roll(knobs, (-1, -1), (0, 1)) - np.roll(knobs, (1, 1), (0, 1))
    _shift(lab, cover * lit * np.float32(strength), (9, 0, 1))
    _shift(lab, cover * ramp(-knobs) * np.float32(strength), (-12, 2, -2))


def _vessels(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Fine red vessels."""
    branches = lines(level.shape, rng.uniform(6, 11), rng) ** 2
    _shift(lab, cover * branches * np.float32(strength), (-7, 14, 3))


def _mottle(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Uneven redness."""
    _shift(
        lab, cover * noise(level.shape, rng.uniform(7, 14), rng) * np.float32(strength), (-2, 3, 0)
    )


def _patches(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Several colours side by side: black-blue and pale red."""
    field = noise(level.shape, rng.uniform(5, 9), rng)
    lab[0] *= 1 - cover * ramp(field * 1.5) * np.float32(0.5 * strength)
    lab[2] -= cover * ramp(field * 1.5) * np.float32(8 * strength)
    _shift(lab, cover * ramp(-field * 1.5 - 0.7) * np.float32(strength), (14, 8, 2))


def _rim(lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator) -> None:
    """The border stands out, the middle clears."""
    edge = np.exp(-((level / np.float32(rng.uniform(0.15, 0.3))) ** 2)) * cover
    _shift(lab, edge * np.float32(strength), (-5, 8, 1))
    _shift(lab, cover * ramp(level * 2) * np.float32(strength), (5, -7, 0))


def _bands(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Concentric zones."""
    waves = np.cos(level * np.float32(2 * np.pi * rng.uniform(1.2, 1.8)))
    _shift(lab, cover * waves * np.float32(strength), (-9, 7, -1))


def _heads(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """A yellow-white tip in the middle of each spot."""
    tip = ramp(level * 4 - np.float32(rng.uniform(1.4, 2.0))) * cover
    lightness = float(lab[0].mean())
    _paint(lab, tip * np.float32(0.9 * strength), (lightness * 0.4 + 54, 2, 22))


def _gloss(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Wet highlights near the top of each spot."""
    wavy = noise(level.shape, rng.uniform(20, 36), rng)
    where = cover * ramp(level * 1.6 - 0.2) * ramp(wavy * 1.2 - 1.1)
    _paint(lab, where * np.float32(0.9 * strength), (97, 1, 2))


def _halo(
    lab: Field, cover: Field, level: Field, strength: float, rng: np.random.Generator
) -> None:
    """Darkened skin around each spot."""
    around = ramp(1 + level * np.float32(rng.uniform(1.0, 2.0))) * (1 - cover)
    lab[0] *= 1 - around * np.float32(0.18 * strength)


SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        "scale": _scale,
        "crust": _crust,
        "pits": _pits,
        "net": _net,
        "warts": _warts,
        "vessels": _vessels,
        "mottle": _mottle,
        "patches": _patches,
        "rim": _rim,
        "bands": _bands,
        "heads": _heads,
        "gloss": _gloss,
        "halo": _halo,
    }
)
