"""Another skin tone for the same photo: the skin's colour is moved along the ITA axis.

ITA = atan2(L* - 50, b*), so that skin of another tone and the same chroma lies on a circle around
(L* 50, b* 0), and real skin is near one: of published tones the lightest has L* 69, b* 11 (radius
22), the darkest L* 35, b* 11 (radius 19). All skin in the photo, lesion included, is moved by the
one CIELAB vector that turns the skin's median colour by so many degrees. Differences in CIELAB
between lesion and skin stay what they are, up to what sRGB cannot show. a* (redness) is no part of
ITA and stays.

What this is not: melanin hides redness, and a lesion on dark skin does not look like the same
lesion on light skin moved by a vector. It asks whether the tone alone moves a network.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ajl_tf.inspection.colour import Bools, Floats, Pixels, reduced, to_lab
from ajl_tf.inspection.skin import find_skin

_SIDE = 96  # as `tone.measure_tone` looks for skin
_FEWEST = 25  # pixels of skin there
_CLOSED = np.ones((5, 5), np.uint8)  # hairs and highlights up to so wide belong to the skin


class SkinRegion(NamedTuple):
    """The skin of a photo, lesions in it included.

    Attributes:
        colour: Median (L*, a*, b*) of the skin beside the lesion.
        weight: float32 (H, W) in [0, 1], how far each pixel belongs to it; soft at its edge.
    """

    colour: Floats
    weight: Floats


def skin_region(image: Pixels) -> SkinRegion | None:
    """Finds the skin of a photo, uint8 (H, W, 3) sRGB; None where there is next to none."""
    lab = to_lab(reduced(image, _SIDE))
    skin = find_skin(lab)
    if int(skin.mask.sum()) < min(_FEWEST, skin.mask.size):
        return None
    inside = _filled(skin.likely, skin.mask).astype(np.float32)
    size = image.shape[1], image.shape[0]
    weight = cv2.resize(cv2.blur(inside, (3, 3)), size, interpolation=cv2.INTER_LINEAR)
    return SkinRegion(np.median(lab[skin.mask], axis=0), np.asarray(weight, np.float32))


def tone_offset(colour: Floats, degrees: float) -> Floats:
    """The CIELAB vector (3,) that adds so many degrees to the ITA of a colour (3,)."""
    lightness, _, yellow = colour.astype(np.float64)
    radius = np.hypot(lightness - 50, yellow)
    angle = np.arctan2(lightness - 50, yellow) + np.radians(degrees)
    moved = [50 + radius * np.sin(angle) - lightness, 0, radius * np.cos(angle) - yellow]
    return np.asarray(moved, np.float32)


def sham_offsets(colour: Floats, degrees: float) -> Floats:
    """Four CIELAB vectors (4, 3) as long as `tone_offset`'s that leave a colour's ITA as it is.

    More and less red (a*), and away from and towards the neutral point around which ITA turns:
    all that there is beside the direction of ITA.

    Raises:
        ValueError: 60 degrees or more: towards the neutral point, that would reach beyond it.
    """
    if abs(degrees) >= 60:
        raise ValueError(f"`degrees` must be less than 60 either way. Received: {degrees}")
    size = float(np.linalg.norm(tone_offset(colour, degrees)))
    lightness, _, yellow = colour.astype(np.float64)
    radius = max(float(np.hypot(lightness - 50, yellow)), 1e-6)
    outward = np.array([lightness - 50, 0, yellow]) / radius
    directions = np.stack([(0.0, 1.0, 0.0), outward])
    return np.asarray(size * np.concatenate([directions, -directions]), np.float32)


def shifted(image: Pixels, region: SkinRegion, offset: Floats) -> Pixels:
    """Moves the skin's colours by a CIELAB vector; what sRGB cannot show is cut off.

    Args:
        image: uint8 (H, W, 3) sRGB.
        region: Of this photo.
        offset: (3,), as `tone_offset` or one of `sham_offsets`.

    Returns:
        uint8 (H, W, 3); where the region's weight is 0 the photo unchanged.
    """
    lab = to_lab(image) + region.weight[..., None] * offset.astype(np.float32)
    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    moved = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return np.where(region.weight[..., None] > 0, moved, image)


def shift_tone(image: Pixels, degrees: float) -> Pixels:
    """A photo with its skin's ITA changed by so many degrees: positive is lighter.

    A photo without skin is returned as it is.
    """
    region = skin_region(image)
    if region is None:
        return image
    return shifted(image, region, tone_offset(region.colour, degrees))


def _filled(likely: Bools, skin: Bools) -> Bools:
    """The parts of what is likely skin that hold skin, without holes: a lesion is one."""
    closed = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, _CLOSED)
    _, parts = cv2.connectedComponents(closed, connectivity=8)
    kept = np.isin(parts, np.setdiff1d(np.unique(parts[skin]), 0))
    outside, holes = cv2.connectedComponents((~kept).astype(np.uint8), connectivity=4)
    border = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    enclosed = np.setdiff1d(np.arange(1, outside), border)
    return np.asarray(kept | np.isin(holes, enclosed), np.bool_)
