"""The 21 kinds of drawn lesion: what each looks like, and how often it occurs.

They are inventions. The ranges of look-alikes overlap on purpose, and none stands for a diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

Range = tuple[float, float]
# How often traits come from the look-alike, which no classifier can undo, and which go together.
BORROWED = 0.08
_TRAITS = (
    ("outline",),
    ("arrangement", "count", "radius"),
    ("edge",),
    ("redness", "pigment"),
    ("relief",),
    ("surface",),
)


@dataclass(frozen=True)
class Look:
    """Ranges of the traits that one lesion is drawn with.

    Attributes:
        outline: Shape of one spot, a name in `outlines.OUTLINES`.
        arrangement: Where the spots lie, a name in `outlines.ARRANGEMENTS`.
        count: How many spots, both ends included.
        radius: Of a spot, in units of the image's side.
        edge: Width of the border, as a part of the radius.
        redness: Erythema, 0 none to 1 strong.
        pigment: Brown above 0, paler than the skin below 0; -1 to 1.
        relief: How far it stands out, 0 flat to 1 a dome.
        surface: Strength of each surface, by a name in `surfaces.SURFACES`.
    """

    outline: str
    arrangement: str
    count: tuple[int, int]
    radius: Range
    edge: Range
    redness: Range
    pigment: Range
    relief: Range
    surface: Mapping[str, Range] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Kind:
    """One kind of drawn lesion.

    Attributes:
        nine: Its group in `nine_partition_label`.
        three: Its group in `three_partition_label`.
        weight: How often it occurs, relative to the others.
        tilt: Above 0 commoner on dark skin, below 0 on light skin.
        lookalike: The kind it is confused with.
        look: Its traits.
    """

    nine: str
    three: str
    weight: float
    tilt: float
    lookalike: str
    look: Look


def mixed_look(kind: str, rng: np.random.Generator) -> Look:
    """The traits of a kind, now and then some borrowed from its look-alike."""
    own, other = KINDS[kind].look, KINDS[KINDS[kind].lookalike].look
    borrowed = [names for names in _TRAITS if rng.random() < BORROWED]
    return replace(own, **{name: getattr(other, name) for names in borrowed for name in names})


def _look(
    outline: str, arrangement: str, count: tuple[int, int], radius: Range, edge: Range,
    redness: Range, pigment: Range, relief: Range, **surface: Range,
) -> Look:  # fmt: skip
    return Look(
        outline, arrangement, count, radius, edge, redness, pigment, relief,
        MappingProxyType(surface),
    )  # fmt: skip


# fmt: off
_PATCH = ("drawn-red-patch", "drawn-red")
_BUMP = ("drawn-red-bump", "drawn-red")
_FLAT = ("drawn-dark-flat", "drawn-dark")
_RAISED = ("drawn-dark-raised", "drawn-dark")
_CRUST = ("drawn-crusted", "drawn-mixed")
_PALE = ("drawn-pale", "drawn-mixed")
_CORD = ("drawn-cord", "drawn-mixed")

KINDS: Mapping[str, Kind] = MappingProxyType({
    "drawn-plaque-scaly": Kind(*_PATCH, 15, 0.0, "drawn-plaque-smooth", _look(
        "oval", "few", (1, 3), (.14, .28), (.06, .25), (.4, .9), (-.1, .3), (.1, .4),
        scale=(.5, 1))),
    "drawn-plaque-smooth": Kind(*_PATCH, 9, -0.1, "drawn-plaque-scaly", _look(
        "oval", "few", (1, 3), (.14, .28), (.06, .3), (.4, .9), (-.1, .3), (.1, .5),
        mottle=(.2, .8))),
    "drawn-blush": Kind(*_PATCH, 5, -0.3, "drawn-plaque-smooth", _look(
        "ragged", "few", (1, 2), (.24, .42), (.6, 1), (.4, .8), (0, .15), (0, .05),
        vessels=(.4, .9), mottle=(.3, 1))),
    "drawn-ring": Kind(*_PATCH, 6, 0.2, "drawn-polycycle", _look(
        "ring", "few", (1, 2), (.16, .32), (.2, .5), (.3, .8), (-.1, .4), (.2, .6),
        scale=(0, .5))),
    "drawn-polycycle": Kind(*_PATCH, 3.2, 0.1, "drawn-ring", _look(
        "lobed", "few", (1, 1), (.24, .38), (.05, .2), (.3, .8), (-.1, .4), (.1, .4),
        rim=(.5, 1), scale=(0, .4))),
    "drawn-target": Kind(*_PATCH, 2.4, 0.0, "drawn-ring", _look(
        "oval", "few", (1, 4), (.12, .25), (.1, .3), (.4, .9), (0, .3), (.1, .4),
        bands=(.6, 1))),
    "drawn-bumps-scattered": Kind(*_BUMP, 11, 0.1, "drawn-bumps-headed", _look(
        "round", "scattered", (9, 26), (.02, .045), (.3, .7), (.5, 1), (-.1, .3), (.4, .9))),
    "drawn-bumps-headed": Kind(*_BUMP, 8, 0.0, "drawn-bumps-scattered", _look(
        "round", "scattered", (7, 20), (.025, .055), (.3, .7), (.5, 1), (-.1, .3), (.4, .9),
        heads=(.6, 1))),
    "drawn-bumps-grouped": Kind(*_BUMP, 4, -0.1, "drawn-bumps-scattered", _look(
        "round", "grouped", (9, 24), (.02, .045), (.2, .5), (.2, .8), (-.3, .1), (.6, 1),
        gloss=(.5, 1))),
    "drawn-dome-shiny": Kind(*_BUMP, 3, -0.4, "drawn-dome-crusted", _look(
        "round", "few", (1, 1), (.1, .2), (.08, .25), (.5, 1), (-.2, .3), (.7, 1),
        gloss=(.5, 1), vessels=(0, .6))),
    "drawn-dome-crusted": Kind(*_CRUST, 12, 0.0, "drawn-dome-shiny", _look(
        "ragged", "few", (1, 1), (.1, .24), (.08, .25), (.4, .9), (0, .4), (.5, 1),
        crust=(.6, 1))),
    "drawn-knots-scratched": Kind(*_CRUST, 5.5, 0.5, "drawn-dome-crusted", _look(
        "oval", "scattered", (3, 8), (.045, .085), (.15, .4), (.3, .8), (.2, .7), (.5, 1),
        crust=(.3, .8), halo=(.4, 1))),
    "drawn-spot-even": Kind(*_FLAT, 6, -0.2, "drawn-spot-ragged", _look(
        "oval", "few", (1, 1), (.06, .16), (.08, .3), (0, .3), (.5, .9), (0, .5))),
    "drawn-spot-ragged": Kind(*_FLAT, 8.5, -0.1, "drawn-spot-even", _look(
        "ragged", "few", (1, 1), (.08, .24), (.05, .2), (0, .4), (.5, .95), (0, .4),
        patches=(.5, 1))),
    "drawn-spot-netted": Kind(*_FLAT, 4, -0.3, "drawn-spot-ragged", _look(
        "ragged", "few", (1, 1), (.14, .28), (.3, .7), (0, .2), (.25, .6), (0, .1),
        net=(.6, 1))),
    "drawn-freckled": Kind(*_FLAT, 3.5, -0.2, "drawn-bumps-scattered", _look(
        "oval", "scattered", (12, 34), (.012, .035), (.2, .6), (0, .3), (.3, .9), (0, .1))),
    "drawn-plate-pitted": Kind(*_RAISED, 2.4, 0.1, "drawn-spot-netted", _look(
        "oval", "few", (1, 2), (.11, .24), (.04, .12), (0, .3), (.3, .8), (.4, .8),
        pits=(.6, 1))),
    "drawn-band-warty": Kind(*_RAISED, 3, 0.0, "drawn-band-smooth", _look(
        "band", "few", (1, 2), (.1, .18), (.15, .4), (0, .4), (.2, .7), (.3, .7),
        warts=(.6, 1))),
    "drawn-band-smooth": Kind(*_CORD, 5.5, 0.4, "drawn-band-warty", _look(
        "band", "few", (1, 2), (.1, .18), (.1, .4), (.2, .8), (-.4, .3), (.6, 1),
        gloss=(.3, .9))),
    "drawn-star": Kind(*_PALE, 2, 0.2, "drawn-patch-pale", _look(
        "star", "few", (1, 1), (.22, .4), (.1, .4), (.1, .6), (-.6, .1), (.2, .6),
        gloss=(0, .5))),
    "drawn-patch-pale": Kind(*_PALE, 4.5, 0.3, "drawn-plaque-smooth", _look(
        "ragged", "few", (1, 4), (.1, .24), (.05, .3), (0, .3), (-1, -.5), (0, .05),
        scale=(0, .4))),
})
# fmt: on
