"""Copies of a photo as they turn up on the web, made with Pillow; for `duplicates.py`."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
QUALITY = 80, 95  # of JPEG, at which a copy is stored after all changes


class Copy(NamedTuple):
    """A way to copy: what is done, how strongly in words, and the steps."""

    kind: str
    strength: str
    changes: tuple[Change, ...]


def store_again(photo: Image.Image, rng: np.random.Generator, quality: int) -> Image.Image:
    """Through a JPEG of some quality."""
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def resize(photo: Image.Image, rng: np.random.Generator, scale: float) -> Image.Image:
    """To a part of its width and height."""
    size = [max(8, round(side * scale)) for side in photo.size]
    return photo.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def squeeze(photo: Image.Image, rng: np.random.Generator, side: int) -> Image.Image:
    """To a square, whatever its shape was."""
    return photo.resize((side, side), Image.Resampling.BICUBIC)


def crop(photo: Image.Image, rng: np.random.Generator, kept: float) -> Image.Image:
    """To a part of its width and height, at any place."""
    width, height = (round(side * kept) for side in photo.size)
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    return photo.crop((left, top, left + width, top + height))


def crop_shape(photo: Image.Image, rng: np.random.Generator, kept: float) -> Image.Image:
    """To another shape: width and height each lose a part of their own."""
    width, height = (round(side * rng.uniform(kept, 1)) for side in photo.size)
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    return photo.crop((left, top, left + width, top + height))


def turn(photo: Image.Image, rng: np.random.Generator, way: Image.Transpose) -> Image.Image:
    """Mirrored, or turned by quarters."""
    return photo.transpose(way)


def brighten(photo: Image.Image, rng: np.random.Generator, factor: float) -> Image.Image:
    """Brighter or darker; what gets too bright is cut off."""
    return ImageEnhance.Brightness(photo).enhance(factor)


def set_contrast(photo: Image.Image, rng: np.random.Generator, factor: float) -> Image.Image:
    """More or less contrast; what is beyond the range is cut off."""
    return ImageEnhance.Contrast(photo).enhance(factor)


def write_on(photo: Image.Image, rng: np.random.Generator, opacity: float) -> Image.Image:
    """Lettering across the photo, as wide as most of it, and again elsewhere."""
    layer = photo.copy()
    draw = ImageDraw.Draw(layer)
    text = str(
        rng.choice(["www.skinatlas.org", "(c) Dr. A. Miller", "SAMPLE ONLY", "img 2009-114"])
    )
    font = ImageFont.load_default(max(8, int(1.5 * photo.width / len(text))))
    ink = "white" if rng.random() < 0.6 else "black"
    for height in (rng.uniform(0, 0.4), rng.uniform(0.5, 0.9)):
        draw.text((photo.width * rng.uniform(0, 0.2), photo.height * height), text, ink, font)
    return Image.blend(photo, layer, opacity)


def stamp(photo: Image.Image, rng: np.random.Generator, share: float) -> Image.Image:
    """A logo in a corner."""
    side = int(min(photo.size) * share)
    logo = Image.new("RGB", (side, side), tuple(rng.integers(256, size=3).tolist()))
    draw = ImageDraw.Draw(logo)
    draw.ellipse((side // 6, side // 6, side * 5 // 6, side * 5 // 6), fill="white")
    draw.text((side // 3, side // 5), "D", "navy", ImageFont.load_default(max(8, side // 2)))
    corner = [int(rng.integers(2)) * (length - side) for length in photo.size]
    marked = photo.copy()
    marked.paste(logo, (corner[0], corner[1]))
    return marked


def frame(photo: Image.Image, rng: np.random.Generator, share: float) -> Image.Image:
    """A plain frame around it."""
    return ImageOps.expand(photo, round(min(photo.size) * share), "white")


_T = Image.Transpose
SIMPLE: dict[str, dict[str, Change]] = {
    "stored again": {f"JPEG {q}": partial(store_again, quality=q) for q in (80, 50, 30, 20)},
    "resized": {f"to {s:.0%}": partial(resize, scale=s) for s in (1.5, 0.75, 0.5, 0.4)},
    "squeezed": {f"to {s}×{s}": partial(squeeze, side=s) for s in (320, 224, 128)},
    "cropped": {f"sides to {k:.0%}": partial(crop, kept=k) for k in (0.9, 0.8, 0.7, 2 / 3)}
    | {"to another shape": partial(crop_shape, kept=2 / 3)},
    "mirrored": {
        "left to right": partial(turn, way=_T.FLIP_LEFT_RIGHT),
        "upside down": partial(turn, way=_T.FLIP_TOP_BOTTOM),
    },
    "turned": {
        f"by {angle}°": partial(turn, way=way)
        for angle, way in ((90, _T.ROTATE_90), (180, _T.ROTATE_180), (270, _T.ROTATE_270))
    },
    "brightness": {f"×{f}": partial(brighten, factor=f) for f in (0.8, 1.25, 0.6, 1.5)},
    "contrast": {f"×{f}": partial(set_contrast, factor=f) for f in (0.8, 1.3, 0.6, 1.6)},
    "lettering": {f"{o:.0%} opaque": partial(write_on, opacity=o) for o in (0.4, 0.7, 1.0)},
    "logo": {f"{s:.0%} of the side": partial(stamp, share=s) for s in (0.15, 0.25, 0.33)},
    "framed": {f"by {s:.0%}": partial(frame, share=s) for s in (0.03, 0.1, 0.25)},
}


def all_ways() -> list[Copy]:
    """Each kind at each strength, and each two kinds at strengths that differ from pair to pair."""
    ways = [
        Copy(kind, strength, (change,))
        for kind, changes in SIMPLE.items()
        for strength, change in changes.items()
    ]
    for number, (one, two) in enumerate(itertools.permutations(SIMPLE, 2)):
        (a, first), (b, second) = (
            list(SIMPLE[kind].items())[-1 - number // step % 2]
            for kind, step in ((one, 1), (two, 2))
        )
        ways.append(Copy(f"{one} + {two}", f"{a}, {b}", (first, second)))
    return ways


def make_copy(photo: Image.Image, way: Copy, rng: np.random.Generator) -> bytes:
    """The copy as a JPEG file."""
    for change in way.changes:
        photo = change(photo, rng)
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=int(rng.integers(*QUALITY)))
    return out.getvalue()
