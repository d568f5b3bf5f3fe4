"""Copies of a photo as they turn up on the web, made with Pillow; for `duplicates.py`."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
AND, CHAIN = " + ", "several"
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


def tile(photo: Image.Image, rng: np.random.Generator, opacity: float) -> Image.Image:
    """Slanting lettering all over the photo, as agencies put it."""
    side = sum(photo.size)
    sheet = Image.new("L", (side, side))
    draw = ImageDraw.Draw(sheet)
    size = max(8, round(0.11 * min(photo.size)))
    for row, top in enumerate(range(0, side, 3 * size)):
        line = "   ".join(["PREVIEW ONLY"] * 9)
        draw.text((-size * (row % 5), top), line, 255, ImageFont.load_default(size))
    sheet = sheet.rotate(30)
    left, top = ((side - length) // 2 for length in photo.size)
    mask = sheet.crop((left, top, left + photo.width, top + photo.height))
    return Image.composite(
        Image.blend(photo, Image.new("RGB", photo.size, "white"), opacity), photo, mask
    )


def frame(
    photo: Image.Image, rng: np.random.Generator, share: float, colour: str = "white"
) -> Image.Image:
    """A plain frame around it."""
    return ImageOps.expand(photo, round(min(photo.size) * share), colour)


def letterbox(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Black bars that make it a square."""
    side = max(photo.size)
    return ImageOps.pad(photo, (side, side), color="black")


def bend(photo: Image.Image, rng: np.random.Generator, gamma: float) -> Image.Image:
    """Gamma: dark parts darker (above 1) or brighter."""
    return photo.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)


def tint(photo: Image.Image, rng: np.random.Generator, amount: float) -> Image.Image:
    """Another white balance: more red and less blue, or the other way."""
    return photo.point(
        [
            min(255, round(level * factor))
            for factor in (1 + amount, 1.0, 1 - amount)
            for level in range(256)
        ]
    )


def grey(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Without colour."""
    return photo.convert("L").convert("RGB")


def soften(photo: Image.Image, rng: np.random.Generator, share: float) -> Image.Image:
    """Out of focus: a blur by a part of the shorter side."""
    return photo.filter(ImageFilter.GaussianBlur(min(photo.size) * share))


def roughen(photo: Image.Image, rng: np.random.Generator, steps: float) -> Image.Image:
    """Noise of so many grey levels."""
    levels = np.asarray(photo, np.float32)
    noise = rng.normal(0, steps, levels.shape)
    return Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))


_T = Image.Transpose
SIMPLE: dict[str, dict[str, Change]] = {
    "stored again": {f"JPEG {q}": partial(store_again, quality=q) for q in (80, 50, 30, 20)},
    "resized": {f"to {s:.0%}": partial(resize, scale=s) for s in (1.5, 0.75, 0.4, 0.5)},
    "squeezed": {f"to {s}×{s}": partial(squeeze, side=s) for s in (320, 224, 128)},
    "cropped": {f"sides to {k:.0%}": partial(crop, kept=k) for k in (0.9, 0.82, 0.75, 2 / 3)}
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
    "gamma": {f"{g}": partial(bend, gamma=g) for g in (0.8, 1.25, 0.5, 2.0)},
    "colour": {
        "warmer": partial(tint, amount=0.15),
        "colder": partial(tint, amount=-0.15),
        "none": grey,
    },
    "lettering": {f"{o:.0%} opaque": partial(write_on, opacity=o) for o in (0.4, 0.7, 1.0)}
    | {f"all over, {o:.0%}": partial(tile, opacity=o) for o in (0.3, 0.5)},
    "logo": {f"{s:.0%} of the side": partial(stamp, share=s) for s in (0.15, 0.25, 0.33)},
    "framed": {"letterbox": letterbox, "black, by 10%": partial(frame, share=0.1, colour="black")}
    | {f"by {s:.0%}": partial(frame, share=s) for s in (0.03, 0.1, 0.25)},
    "blurred": {f"by {s:.1%} of the side": partial(soften, share=s) for s in (0.003, 0.006, 0.01)},
    "noise": {f"{n} levels": partial(roughen, steps=n) for n in (4, 12)},
}
# Three or more in a row, as a photo wanders from site to site.
CHAINS: dict[str, tuple[Change, ...]] = {
    "cropped by a third, mirrored, half the size, JPEG 30": (
        partial(crop, kept=2 / 3),
        partial(turn, way=_T.FLIP_LEFT_RIGHT),
        partial(resize, scale=0.5),
        partial(store_again, quality=30),
    ),
    "turned by 90°, brightness ×1.4, 224×224": (
        partial(turn, way=_T.ROTATE_90),
        partial(brighten, factor=1.4),
        partial(squeeze, side=224),
    ),
    "framed, lettering, half the size": (
        partial(frame, share=0.1),
        partial(write_on, opacity=0.7),
        partial(resize, scale=0.5),
    ),
    "mirrored, turned, sides to 75 %, contrast ×1.3": (
        partial(turn, way=_T.FLIP_LEFT_RIGHT),
        partial(turn, way=_T.ROTATE_90),
        partial(crop, kept=0.75),
        partial(set_contrast, factor=1.3),
    ),
    "cropped by a third, lettering, JPEG 50": (
        partial(crop, kept=2 / 3),
        partial(write_on, opacity=1.0),
        partial(store_again, quality=50),
    ),
    "sides to 80 %, no colour, gamma 1.25, JPEG 50": (
        partial(crop, kept=0.8),
        grey,
        partial(bend, gamma=1.25),
        partial(store_again, quality=50),
    ),
}


def single_ways() -> list[Copy]:
    """Each kind at each strength."""
    return [
        Copy(kind, strength, (change,))
        for kind, changes in SIMPLE.items()
        for strength, change in changes.items()
    ]


def double_ways() -> list[Copy]:
    """Each two kinds, at the two last strengths of each, which differ from pair to pair."""
    ways = []
    for number, (one, two) in enumerate(itertools.permutations(SIMPLE, 2)):
        (a, first), (b, second) = (
            list(SIMPLE[kind].items())[-1 - number // step % 2]
            for kind, step in ((one, 1), (two, 2))
        )
        ways.append(Copy(f"{one}{AND}{two}", f"{a}, {b}", (first, second)))
    return ways


def chained_ways() -> list[Copy]:
    """Three or four changes."""
    return [Copy(CHAIN, name, changes) for name, changes in CHAINS.items()]


def make_copy(photo: Image.Image, way: Copy, rng: np.random.Generator) -> bytes:
    """The copy as a JPEG file."""
    for change in way.changes:
        photo = change(photo, rng)
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=int(rng.integers(*QUALITY)))
    return out.getvalue()
