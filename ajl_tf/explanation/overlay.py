"""A picture of an explanation: the photo, and what each map says over a grey copy of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE = 240  # least pixels a panel
_GAP, _MARGIN, _LINE = 8, 10, 18
_PAPER, _INK, _MUTED = (255, 255, 255), (27, 36, 49), (85, 96, 111)
# Neither colour is one of skin, and both are told apart by most colour-blind people.
_FOR, _AGAINST = np.array([0, 125, 70], np.float32), np.array([120, 40, 160], np.float32)
_STRONGEST = 0.85  # opacity
_OUTLINE = (255, 255, 255)


def heat(image: np.ndarray, attribution: np.ndarray) -> np.ndarray:
    """A map over a grey copy of the photo: green speaks for the class, violet against it.

    Args:
        image: `(S, S, 3)` in [0, 255].
        attribution: `(S, S)`; the strongest place, for or against, has the fullest colour.

    Returns:
        uint8 `(S, S, 3)`.
    """
    grey = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    grey = 255 - (255 - grey) * 0.8
    strength = np.abs(attribution)
    opacity = _STRONGEST * strength / max(float(strength.max()), 1e-12)
    colour = np.where(attribution[..., None] > 0, _FOR, _AGAINST)
    mixed = grey + (colour - grey) * opacity[..., None]
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8)


def panels(
    pictures: Sequence[tuple[str, np.ndarray]],
    heading: Sequence[str],
    outline: np.ndarray | None = None,
) -> Image.Image:
    """Pictures side by side under their names, with lines of text above.

    Args:
        pictures: Name and uint8 or float `(S, S, 3)` of each.
        heading: Lines; the first is stronger.
        outline: bool `(S, S)`, whose edge is drawn into each picture; None: nothing.
    """
    side = max(_SIDE, pictures[0][1].shape[0])
    width = len(pictures) * (side + _GAP) - _GAP + 2 * _MARGIN
    top = _MARGIN + _LINE * (len(heading) + 1)
    sheet = Image.new("RGB", (width, top + side + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, line in enumerate(heading):
        colour = _MUTED if number else _INK
        draw.text((_MARGIN, _MARGIN + number * _LINE), _fitting(line, font, width), colour, font)
    for number, (name, picture) in enumerate(pictures):
        left = _MARGIN + number * (side + _GAP)
        draw.text((left, top - _LINE), _fitting(name, font, side), _INK, font)
        sheet.paste(Image.fromarray(_panel(picture, side, outline)), (left, top))
    return sheet


def _panel(picture: np.ndarray, side: int, outline: np.ndarray | None) -> np.ndarray:
    pixels = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    large = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)
    if outline is not None:
        mask = cv2.resize(outline.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        edges, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(large, edges, -1, _OUTLINE, 1)
    return np.asarray(large, np.uint8)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, cut short with dots where it is wider than so many pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
